"""Figures of heat maps, dependency trees and tables.

A function that takes ``ax`` draws on these axes and returns them; a composite returns a figure. None of them saves a
file or changes matplotlib's global style. Inside, ``shared`` lies below ``trees``, which lies below ``maps`` and
``tables``. May import ``analysis`` and everything below it. Public names are listed in ``__init__.pyi`` and loaded on
first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
