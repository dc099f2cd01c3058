"""The design of a study: everything about it that is fixed before anything is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class StudyDesign:
    """The question of a study, its method, and its defaults.

    Attributes
    ----------
    name
        Name of the study, one of `daam_syntax.studies.STUDIES`.
    title
        Title of the report.
    question
        Research question; it ends with a question mark.
    method
        What is measured and how, as full sentences for the report.
    limits
        What the findings cannot show, as full sentences for the report.
    prompts
        Name of the default prompt set, made for the embedded model; see `daam_syntax.prompts`.
    seeds
        Default number of images per prompt.
    steps
        Default number of denoising steps for the embedded model.
    in_pairs
        Whether the prompts come in pairs: the first with the second, the third with the fourth, and so on.
    of_stored
        What the study measures on a stored run, without drawing; "" if it has to draw.
    figures, tables
        Caption of each figure and table, by its name.
    printed
        Names of the tables that the command prints besides the findings.
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
    printed: tuple[str, ...] = ()
