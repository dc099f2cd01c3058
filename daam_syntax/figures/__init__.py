"""Pictures of heat maps, trees and tables.

Functions that take ``ax`` draw on the axes they are given and return them; composites return a figure. None of them
saves anything or changes a global style.
"""

from daam_syntax.figures.maps.overlays import overlay
from daam_syntax.figures.maps.overviews import overview
from daam_syntax.figures.maps.word_grids import word_grid
from daam_syntax.figures.maps.word_matrices import word_matrix
from daam_syntax.figures.styles import CONTROL, PALETTE, paper, save
from daam_syntax.figures.tables.breadth_plots import breadth_by_pos
from daam_syntax.figures.tables.containment_plots import containment
from daam_syntax.figures.tables.deletion_plots import deletion_curves
from daam_syntax.figures.tables.forest_plots import forest
from daam_syntax.figures.tables.profiles import overlap_profile, threshold_sweep
from daam_syntax.figures.tables.similarity_plots import similarity_scatter
from daam_syntax.figures.trees.arc_overlays import arcs_with_overlays
from daam_syntax.figures.trees.arcs import dependency_arcs
from daam_syntax.figures.trees.graphs import dependency_graph

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
