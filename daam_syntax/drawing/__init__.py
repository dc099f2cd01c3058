"""Drawing prompts under a trace, with a seeded generator for each image.

Imports ``attention``, ``pipelines`` and the rooms below them; writes no files.
"""

from daam_syntax.drawing.seeds import generator_seed
from daam_syntax.drawing.traced_images import TracedImage, draw, draw_batch

__all__ = ["TracedImage", "draw", "draw_batch", "generator_seed"]
