"""The study of contextless words: which words carry color, number, and place, by edits of their vectors."""

from daam_syntax.studies.contextless.study import DESIGN, run

__all__ = ["DESIGN", "run"]
