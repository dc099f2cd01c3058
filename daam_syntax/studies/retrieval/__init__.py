"""The study of retrieval: which words a layer reads."""

from daam_syntax.studies.retrieval.study import DESIGN, run

__all__ = ["DESIGN", "run"]
