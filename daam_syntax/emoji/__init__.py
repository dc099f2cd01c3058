"""The embedded world: emoji scenes with captions, trees, and exact masks, and the model trained on them.

`vocabulary` defines the words; `grammar` writes captions and trees; `scenes` composes images from `sprites` and
`backgrounds`; `model` knows the shipped weights and their defaults; `annotator` finds objects in images of the model.
`training` made the weights, and nothing outside it imports it. May import ``maps``, ``language``,
``util``, and ``errors``.
"""

from daam_syntax.emoji.grammar import ObjectSpec, SceneSpec, write_caption
from daam_syntax.emoji.model import learned_weights
from daam_syntax.emoji.scenes import Scene, draw_scene, scene

__all__ = [
    "ObjectSpec",
    "Scene",
    "SceneSpec",
    "draw_scene",
    "learned_weights",
    "scene",
    "write_caption",
]
