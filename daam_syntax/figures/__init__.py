"""Pictures of heat maps and trees; every function draws on the axes it is given and saves nothing."""

from daam_syntax.figures.arcs import dependency_arcs
from daam_syntax.figures.overlays import overlay
from daam_syntax.figures.overview import overview

__all__ = ["dependency_arcs", "overlay", "overview"]
