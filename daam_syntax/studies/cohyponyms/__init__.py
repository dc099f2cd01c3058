"""The study of cohyponyms: overlap of cohyponyms."""

from daam_syntax.studies.cohyponyms.study import DESIGN, run

__all__ = ["DESIGN", "run"]
