"""The study of syntax: what relations add to the overlap of heads and dependents."""

from daam_syntax.studies.syntax.study import DESIGN, run

__all__ = ["DESIGN", "run"]
