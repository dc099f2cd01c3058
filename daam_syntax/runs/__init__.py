"""Results on disk: many prompts with several seeds each, drawn in shards, resumed after any interruption.

A finished run is read, measured and reported without a model. Imports ``drawing``, ``analysis``, ``figures`` and the
rooms below them; ``workflow``, ``studies`` and ``cli`` import it. Inside: ``problems``, ``run_settings`` and
``measuring``, then ``store``, then ``drawing`` and ``reanalysis`` (neither imports the other), then ``stored_run``,
then ``planning``, ``reporting`` and ``running``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
