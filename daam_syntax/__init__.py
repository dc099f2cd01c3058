"""Dependency syntax and cross-attention heat maps of text-to-image diffusion models.

Rooms and public names are listed in ``__init__.pyi`` and loaded on first use, so importing the package is fast.
"""

import lazy_loader

from daam_syntax.util.pickling import allow_pickling
from daam_syntax.util.version import __version__

allow_pickling()
_load, __dir__, _names = lazy_loader.attach_stub(__name__, __file__)
__getattr__ = _load
__all__ = ["__version__", *_names]
