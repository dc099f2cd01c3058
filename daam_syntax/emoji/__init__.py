"""The embedded world: emoji scenes with captions, trees, and exact masks, and the model trained on them.

`vocabulary` defines the words; `grammar` writes captions and trees; `scenes` composes images from `sprites` and
`backgrounds`, in the places of `placement`; `counterfactuals` draws them without an object, or with another; `model`
knows the shipped weights and their defaults; `annotator` finds objects in images of the model. `training` made the
weights, and nothing outside it imports it. May import ``maps``, ``language``, ``util``, and ``errors``.
Public names are listed in ``__init__.pyi`` and loaded on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
