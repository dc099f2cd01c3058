"""Tidy tables of pairs and words, controls, and inference with prompts as the sample.

Inside, ``tables`` measures heat maps, ``exchange`` compares the pairs of a table with exchanged partners,
``statistics`` works on arrays and ``inference`` on tables, and ``relations`` says what relations add. ``controls`` and
``sweeps`` use them.
``export`` writes any table. May import ``maps`` and everything below it, but no model library. Public names are listed
in ``__init__.pyi`` and loaded on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
