"""The study sanity: sanity checks."""

from daam_syntax.studies.sanity.study import DESIGN, run

__all__ = ["DESIGN", "run"]
