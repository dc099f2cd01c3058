"""Measures of overlap, breadth, and binding: pure functions of arrays, and registries of them by name.

A measure states its properties once, in a declaration on its function (see `declaration`). A new measure is one
decorated function, in the module of its kind. May not import the rest of the package. Public names are listed in
``__init__.pyi`` and loaded on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
