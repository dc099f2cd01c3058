"""The study of adjectives: breadth and place of their attention, and what swapping one changes."""

from daam_syntax.studies.adjectives.study import DESIGN, run

__all__ = ["DESIGN", "run"]
