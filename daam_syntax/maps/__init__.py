"""Heat maps, their thresholds, and measures of them, without any model.

Inside, ``measures`` lies below ``thresholds``, and both lie below ``heatmap``, ``diagnosis``, and ``heatmaps``. May
import ``language`` (without its parser), ``util``, and ``errors``. Public names are listed in ``__init__.pyi`` and
loaded on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
