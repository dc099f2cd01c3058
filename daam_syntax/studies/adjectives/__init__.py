"""The study adjectives: breadth of adjectives."""

from daam_syntax.studies.adjectives.study import DESIGN, run

__all__ = ["DESIGN", "run"]
