"""The study of verdicts: whether overlap, binding, and neglect predict that an image is wrong."""

from daam_syntax.studies.verdicts.study import DESIGN, run

__all__ = ["DESIGN", "run"]
