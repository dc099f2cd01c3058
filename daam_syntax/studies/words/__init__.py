"""The study of words: what each word of a prompt does to the image, beside the attention that it receives."""

from daam_syntax.studies.words.study import DESIGN, run

__all__ = ["DESIGN", "run"]
