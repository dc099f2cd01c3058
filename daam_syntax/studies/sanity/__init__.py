"""The study of sanity checks of the maps."""

from daam_syntax.studies.sanity.study import DESIGN, run

__all__ = ["DESIGN", "run"]
