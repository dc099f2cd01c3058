"""Results on disk: many prompts times several seeds, drawn in shards, resumed after any interruption, read without a model.

May import ``drawing``, ``analysis`` and everything below them; ``workflow``, ``studies`` and ``cli`` import it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
