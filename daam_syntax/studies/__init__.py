"""Studies: one question, one module. A study draws, measures, infers, tabulates and plots.

To add one, write a module in this package and its line in `STUDIES`. The module has

- ``DESIGN``, a `StudyDesign`: question, method, limits, default prompts, and
- ``run(setup, *, …) -> StudyResult``: what `run_study` calls with a `Setup`, which draws, or a `StoredSetup`, which
  reads a stored run, where the design says so; its further parameters are the study's own options, and have defaults.

Its tables have the columns ``prompt_id``, ``prompt``, ``image`` and ``seed`` wherever rows are about images, so that
`daam_syntax.analysis.estimate_mean` and `estimate_difference` can read them: prompts are the sample. What most studies
need is in `daam_syntax.studies.framework.common`.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any, Final

from daam_syntax.drawing.traced_images import DrawingSettings, check_prompts
from daam_syntax.errors import StudyError
from daam_syntax.language import PromptSet
from daam_syntax.language import prompts as shipped_prompts
from daam_syntax.pipelines.loading import is_emoji
from daam_syntax.runs.stored_run import Run
from daam_syntax.studies.framework.design import StudyDesign
from daam_syntax.studies.framework.findings import Finding
from daam_syntax.studies.framework.result import StudyResult
from daam_syntax.studies.framework.stored_setup import StoredSetup

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

__all__ = [
    "STUDIES",
    "Finding",
    "StudyDesign",
    "StudyResult",
    "check_options",
    "load_study",
    "run_study",
]


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


def check_options(name: str, options: Iterable[str]) -> None:
    """Check that a study has options of these names.

    Raises
    ------
    StudyError
        If it has not; the message lists those that it has.
    """
    _, *own = inspect.signature(load_study(name).run).parameters
    unknown = [option for option in options if option not in own]
    if unknown:
        raise StudyError(
            f"Expected options that the study {name} has ({', '.join(own) or 'none'}), but got "
            f"{', '.join(unknown)}."
        )


def run_study(
    name: str,
    pipe: Any,
    *,
    prompts: str | Iterable[str] | None = None,
    seeds: int | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    parser: Any = None,
    progress: bool = False,
    **options: Any,
) -> StudyResult:
    """Run a study.

    Parameters
    ----------
    name
        One of `STUDIES`.
    pipe
        A diffusers text-to-image pipeline that can be traced; or a stored run (`daam_syntax.runs.open`), of which
        syntax, cohyponyms and adjectives measure the maps, without a model: then none of the parameters below.
    prompts
        None for the study's own, which are made for the embedded model. Of a `PromptSet` with pairs, a study of pairs
        draws these.
    seeds
        Images per prompt; None for the study's own number.
    steps
        Denoising steps; None for the study's own number with the embedded model, else for the pipeline's.
    guidance
        Guidance scale; None leaves it to the pipeline.
    parser
        As for `daam_syntax.trace`.
    progress
        Whether to show a progress bar.
    **options
        Those of the study's own ``run``.

    Returns
    -------
    StudyResult
        Its ``write(folder)`` keeps everything.

    Raises
    ------
    StudyError
        If there is no such study or option, or the prompts do not suit it.
    """
    check_options(name, options)
    study = load_study(name)
    design: StudyDesign = study.DESIGN
    if isinstance(pipe, Run):
        given = {"prompts": prompts, "seeds": seeds, "steps": steps, "guidance": guidance}
        _check_stored(design, [each for each, value in given.items() if value is not None])
        of_run: StudyResult = study.run(StoredSetup(pipe), **options)
        return of_run
    from daam_syntax.studies.framework.setup import Setup

    if steps is None and is_emoji(pipe):
        steps = design.steps
    chosen = shipped_prompts(design.prompts) if prompts is None else prompts
    if design.in_pairs and isinstance(chosen, PromptSet) and any(r.pair for r in chosen.rows):
        pairs = chosen.pairs(minimal=True)
        chosen = [prompt.text for pair in pairs for prompt in (pair.first, pair.second)]
    setup = Setup(
        pipe,
        tuple(check_prompts(chosen)),
        design.seeds if seeds is None else seeds,
        DrawingSettings(steps, guidance).for_pipeline(pipe),
        parser,
        progress,
    )
    result: StudyResult = study.run(setup, **options)
    return result


def _check_stored(design: StudyDesign, given: Sequence[str]) -> None:
    """Check that a study works on a stored run, and that nothing is asked for that would have to be drawn."""
    if not design.of_stored:
        able = [name for name in STUDIES if load_study(name).DESIGN.of_stored]
        raise StudyError(
            f"Expected a study that draws nothing ({', '.join(able)}) for a stored run, but {design.name} has to draw; "
            "give it a model."
        )
    if given:
        raise StudyError(
            f"Expected a stored run alone, whose prompts and settings are fixed, but got {', '.join(given)}, too."
        )
