"""The embedded world: emoji scenes with exact masks, and the annotator of its model's pictures."""

from daam_syntax.emoji.grammar import ObjectSpec, SceneSpec, write_caption
from daam_syntax.emoji.scenes import Scene, draw_scene, scene

__all__ = ["ObjectSpec", "Scene", "SceneSpec", "draw_scene", "scene", "write_caption"]
