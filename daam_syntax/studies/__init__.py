"""Studies: one question, one module. A study draws, measures, infers, tabulates and plots.

To add one, write a module in this package and its line in `STUDIES`. The module has

- ``TITLE``, ``QUESTION`` and ``PROMPTS`` (the default prompts), and
- ``run(pipe, *, prompts=None, seeds=…, steps=None, …, progress=False) -> StudyResult``, where None stands for the
  defaults. Further options have defaults, so that every study can be started in the same way.

Its tables have the columns ``prompt_id``, ``prompt``, ``image`` and ``seed`` wherever rows are about images, so that
`daam_syntax.analysis.estimate_mean` and `estimate_difference` can read them: prompts are the sample. What most studies
need is in `daam_syntax.studies.common`.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any, Final

from daam_syntax.errors import StudyError
from daam_syntax.studies.result import StudyResult

STUDIES: Final = (
    "adjectives",
    "cohyponyms",
    "intervention",
    "minimal-pairs",
    "modes",
    "retrieval",
    "sanity",
    "syntax",
)
"""Names of the studies; the module of each has its name with underscores."""

__all__ = ["STUDIES", "StudyResult", "load_study", "run_study"]


def load_study(name: str) -> ModuleType:
    """Return the module of a study.

    Raises
    ------
    StudyError
        If there is none of this name; the message lists all.
    """
    if name not in STUDIES:
        raise StudyError(f"Expected one of the studies {', '.join(STUDIES)}, but got {name!r}.")
    return importlib.import_module(f"daam_syntax.studies.{name.replace('-', '_')}")


def run_study(name: str, pipe: Any, **options: Any) -> StudyResult:
    """Run a study.

    Parameters
    ----------
    name
        One of `STUDIES`.
    pipe
        A diffusers text-to-image pipeline.
    **options
        Those of the study's ``run``: all have ``prompts``, ``seeds``, ``steps`` and ``progress``.

    Returns
    -------
    StudyResult
        Its ``write(folder)`` keeps everything.

    Raises
    ------
    StudyError
        If there is no such study, or the prompts do not suit it.
    """
    result: StudyResult = load_study(name).run(pipe, **options)
    return result
