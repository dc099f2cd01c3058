"""Find a study by its name and run it."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any, Final

from daam_syntax.errors import StudyError
from daam_syntax.language import PromptSet
from daam_syntax.language import prompts as shipped_prompts
from daam_syntax.language.prompt_sets.prompt_lists import check_prompts
from daam_syntax.pipelines.settings import DrawingSettings
from daam_syntax.runs.stored_run import Run
from daam_syntax.studies.framework.design import StudyDesign
from daam_syntax.studies.framework.result import StudyResult
from daam_syntax.studies.framework.stored_setup import StoredSetup
from daam_syntax.util.arguments.checks import checked

STUDIES: Final = (
    "adjectives",
    "cohyponyms",
    "contextless",
    "intervention",
    "minimal-pairs",
    "modes",
    "retrieval",
    "sanity",
    "syntax",
    "verdicts",
    "where-is-syntax",
    "words",
)
"""Names of the studies; the module of each has the same name with underscores."""


@checked
def load_study(name: str) -> ModuleType:
    """Return the module of a study.

    Raises
    ------
    StudyError
        If no study has this name; the message lists all of them.
    """
    if name not in STUDIES:
        raise StudyError(f"Expected one of the studies {', '.join(STUDIES)}, but got {name!r}.")
    return importlib.import_module(f"daam_syntax.studies.{name.replace('-', '_')}")


def option_names(name: str) -> list[str]:
    """Return the names of a study's own options: the parameters of its ``run`` except the setup.

    Raises
    ------
    StudyError
        If no study has this name.
    """
    _, *own = inspect.signature(load_study(name).run).parameters
    return own


def _check_options(name: str, options: Iterable[str]) -> None:
    """Check that a study has options with these names.

    Raises
    ------
    StudyError
        If it lacks one; the message lists the options that it has.
    """
    own = option_names(name)
    unknown = [option for option in options if option not in own]
    if unknown:
        raise StudyError(
            f"Expected options of the study {name} ({', '.join(own) or 'it has none'}), but got "
            f"{', '.join(unknown)}."
        )


@checked
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
        A diffusers text-to-image pipeline that can be traced, or a stored run (`daam_syntax.runs.open_run`). The
        studies syntax, cohyponyms, adjectives and verdicts can measure the maps of a stored run without a model; its
        prompts and settings are fixed, so none of the next five parameters can be given.
    prompts
        Prompts; None for the study's own, which are made for the embedded model. From a `PromptSet` with pairs, a
        study of pairs takes those pairs.
    seeds
        Number of images per prompt; None for the study's own number.
    steps
        Denoising steps; None for the study's own number with the embedded model, and for the pipeline's default with
        any other model.
    guidance
        Guidance scale; None for the pipeline's default.
    parser
        Dependency parser, as for `daam_syntax.trace`.
    progress
        Whether to show a progress bar.
    **options
        The study's own options: parameters of its ``run``.

    Returns
    -------
    StudyResult
        The findings, tables and figures; its ``write(folder)`` saves them.

    Raises
    ------
    StudyError
        If the study or an option does not exist, or if the prompts do not suit the study.
    """
    _check_options(name, options)
    study = load_study(name)
    design: StudyDesign = study.DESIGN
    if isinstance(pipe, Run):
        given = {
            "prompts": prompts,
            "seeds": seeds,
            "steps": steps,
            "guidance": guidance,
            "parser": parser,
        }
        _check_stored(design, [each for each, value in given.items() if value is not None])
        of_run: StudyResult = study.run(StoredSetup(pipe), **options)
        return of_run
    from daam_syntax.studies.framework.setup import Setup

    chosen = shipped_prompts(design.prompts) if prompts is None else prompts
    if design.in_pairs and isinstance(chosen, PromptSet) and any(r.pair for r in chosen.rows):
        pairs = chosen.pairs(minimal=True)
        chosen = [prompt.text for pair in pairs for prompt in (pair.first, pair.second)]
    setup = Setup(
        pipe,
        tuple(check_prompts(chosen)),
        design.seeds if seeds is None else seeds,
        DrawingSettings(steps, guidance).for_pipeline(pipe, embedded_steps=design.steps),
        parser,
        progress,
    )
    result: StudyResult = study.run(setup, **options)
    return result


def _check_stored(design: StudyDesign, given: Sequence[str]) -> None:
    """Check that a study can work on a stored run, and that no settings for drawing were given."""
    if not design.of_stored:
        able = [name for name in STUDIES if load_study(name).DESIGN.of_stored]
        raise StudyError(
            f"Expected a study that works on a stored run ({', '.join(able)}), but {design.name} must generate images; "
            "pass a model."
        )
    if given:
        raise StudyError(
            f"Expected only a stored run, whose prompts and settings are fixed, but also got {', '.join(given)}: leave "
            f"{'it' if len(given) == 1 else 'them'} out."
        )
