"""Pictures of heat maps, trees and tables.

Functions that take ``ax`` draw on the axes they are given and return them; composites return a figure. None of them
saves anything or changes a global style.
"""

from daam_syntax.figures.arc_overlays import arcs_with_overlays
from daam_syntax.figures.arcs import dependency_arcs
from daam_syntax.figures.breadth import breadth_by_pos
from daam_syntax.figures.containment import containment
from daam_syntax.figures.deletion import deletion_curves
from daam_syntax.figures.forest import forest
from daam_syntax.figures.graph import dependency_graph
from daam_syntax.figures.lines import overlap_profile, threshold_sweep
from daam_syntax.figures.matrix import word_matrix
from daam_syntax.figures.overlays import overlay
from daam_syntax.figures.overview import overview
from daam_syntax.figures.similarity import similarity_scatter
from daam_syntax.figures.styles import CONTROL, PALETTE, paper, save
from daam_syntax.figures.word_grid import word_grid

__all__ = [
    "CONTROL",
    "PALETTE",
    "arcs_with_overlays",
    "breadth_by_pos",
    "containment",
    "deletion_curves",
    "dependency_arcs",
    "dependency_graph",
    "forest",
    "overlap_profile",
    "overlay",
    "overview",
    "paper",
    "save",
    "similarity_scatter",
    "threshold_sweep",
    "word_grid",
    "word_matrix",
]
