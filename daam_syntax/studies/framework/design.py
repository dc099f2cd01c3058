"""What a study asks and how it goes about it: all of it that can be said before anything is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class StudyDesign:
    """The question of a study, its method, and its defaults.

    Attributes
    ----------
    name
        Of the study, one of `daam_syntax.studies.STUDIES`.
    title, question
        What is asked.
    method
        What is measured and how, in sentences that the report prints.
    limits
        What the answer cannot say.
    prompts
        Name of the default prompts, made for the embedded model; see `daam_syntax.prompts`.
    seeds
        Default number of images per prompt.
    steps
        Default number of denoising steps for the embedded model.
    in_pairs
        Whether prompts stand in pairs, the first with the second and so on.
    of_stored
        What the study measures of a run that is stored, without drawing; "" if it has to draw.
    figures, tables
        What each figure and table shows, by its name.
    """

    name: str
    title: str
    question: str
    method: str
    limits: str
    prompts: str
    seeds: int
    steps: int
    in_pairs: bool = False
    of_stored: str = ""
    figures: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, str] = field(default_factory=dict)
