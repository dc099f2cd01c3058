"""Every generated file that is committed, and how it is made.

`Text` is made again in seconds and compared. `Recorded` takes minutes to days, so only digests of its inputs are
compared with those recorded when it was made.
"""

from __future__ import annotations

import importlib.util
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import nbformat

from benchmarks import report
from benchmarks.attribution import tables as attribution_tables
from benchmarks.diagnosis import page as diagnosis_page
from benchmarks.emoji_model import card
from benchmarks.null_worlds import page as calibration_page
from benchmarks.verdicts import page as verdicts_page
from tools import lowest_versions, measures_page, models_page
from tools.digests import ROOT, digest_of

WEIGHTS = ("data/emoji-model/**/*.safetensors", "data/emoji-annotator/*.safetensors")
PACKAGE = ("daam_syntax/**/*.py",)


@dataclass(frozen=True)
class Text:
    """Files that are cheap to make.

    Attributes
    ----------
    name
        Short name, for the command line.
    contents
        Returns the expected text of each file, by path.
    """

    name: str
    contents: Callable[[], Mapping[Path, str]]


@dataclass(frozen=True)
class Recorded:
    """Files that are expensive to make.

    Attributes
    ----------
    name
        Short name, for the command line.
    command
        Arguments of the Python interpreter that make the files, or None if that takes more than one command (see
        `note`).
    inputs
        Glob patterns of the inputs. If one changes, the files are out of date.
    code
        Glob patterns of code that the files depend on. If it changes, the files may be out of date.
    note
        What else a maintainer needs to know.
    due
        Why the files still are those of earlier inputs, which their pages say; empty if they are those of today's.
    """

    name: str
    command: tuple[str, ...] | None
    inputs: tuple[str, ...]
    code: tuple[str, ...] = PACKAGE
    note: str = ""
    due: str = ""

    def digests(self, root: Path = ROOT) -> dict[str, str]:
        """Return the digests of the inputs and of the code, as they are now."""
        return {"inputs": digest_of(self.inputs, root), "code": digest_of(self.code, root)}


def _load(path: Path) -> ModuleType:
    """Import a script that is not part of a package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _measures() -> dict[Path, str]:
    page = measures_page.PAGE
    return {page: measures_page.updated(page.read_text(encoding="utf-8"))}


def _diagnosis() -> dict[Path, str]:
    results = json.loads(diagnosis_page.RESULTS.read_text(encoding="utf-8"))
    path = diagnosis_page.PAGE
    return {path: diagnosis_page.page(path.read_text(encoding="utf-8"), results)}


def _verdicts() -> dict[Path, str]:
    results = json.loads(verdicts_page.RESULTS.read_text(encoding="utf-8"))
    path = verdicts_page.PAGE
    return {path: verdicts_page.page(path.read_text(encoding="utf-8"), results)}


def _readme() -> dict[Path, str]:
    path = attribution_tables.README
    results = attribution_tables.read_results()
    return {path: attribution_tables.updated_readme(path.read_text(encoding="utf-8"), results)}


def _card() -> dict[Path, str]:
    return {card.CARD: card.model_card(card.read_results())}


def _assignments() -> dict[Path, str]:
    folder = ROOT / "notebooks" / "assignments"
    make = _load(ROOT / "notebooks" / "instructors" / "make.py")
    made = {p.name: make.student_version(nbformat.read(p, as_version=4)) for p in make.solutions()}
    return {folder / name: nbformat.writes(notebook) + "\n" for name, notebook in made.items()}


def _prompts() -> dict[Path, str]:
    folder = ROOT / "data" / "prompts"
    with tempfile.TemporaryDirectory() as made:
        _load(folder / "make.py").main(Path(made))
        paths = sorted(Path(made).glob("*.csv"))
        return {folder / path.name: path.read_bytes().decode() for path in paths}


TEXTS = (
    Text("models", lambda: {models_page.PAGE: models_page.page()}),
    Text("measures", _measures),
    Text("benchmarks", lambda: {report.PAGE: report.page()}),
    Text("readme", _readme),
    Text("calibration", lambda: {calibration_page.PAGE: calibration_page.markdown()}),
    Text("diagnosis", _diagnosis),
    Text("verdicts", _verdicts),
    Text("card", _card),
    Text("assignments", _assignments),
    Text("prompts", _prompts),
    Text("lowest", lambda: {lowest_versions.FILE: lowest_versions.constraints()}),
)

_BY_HAND = "needs other packages or a quiet machine: see its docstring"

NULL_WORLD_PROMPTS = tuple(
    f"data/prompts/{name}.csv"
    for name in (
        *("adjectives", "cohyponyms", "crossed", "emoji-relations", "minimal-pairs"),
        *("open", "real-models", "scenes"),
    )
)

RECORDED = (
    Recorded(
        "notebooks",
        ("notebooks/execute.py",),
        (
            "notebooks/*.ipynb",
            "notebooks/assignments/*.py",
            "notebooks/instructors/solutions/*.ipynb",
            *WEIGHTS,
        ),
    ),
    Recorded(
        "gallery",
        ("docs/gallery.py",),
        ("docs/gallery.py", *WEIGHTS),
    ),
    Recorded("overview", ("-m", "tools.overview_images"), ("tools/overview_images.py", *WEIGHTS)),
    Recorded(
        "attribution",
        ("-m", "benchmarks.attribution"),
        WEIGHTS,
        (*PACKAGE, "benchmarks/attribution/**/*.py"),
        "about a quarter of an hour; then python -m tools.check --write, for the tables",
    ),
    Recorded(
        "emoji-model",
        ("-m", "benchmarks.emoji_model", "all", "--again"),
        WEIGHTS,
        (*PACKAGE, "benchmarks/emoji_model/**/*.py"),
        "`images --device cuda` draws on a GPU; without --again, results of the same weights are kept",
    ),
    Recorded(
        "diagnosis-results",
        ("-m", "benchmarks.diagnosis"),
        ("benchmarks/diagnosis/*.py", *WEIGHTS),
        ("daam_syntax/maps/diagnosis/*.py",),
    ),
    Recorded(
        "verdicts-results",
        ("-m", "benchmarks.verdicts"),
        ("data/prompts/hard.csv", *WEIGHTS),
        ("daam_syntax/studies/verdicts/**/*.py", "benchmarks/verdicts/*.py"),
        "about eight minutes of one core; writes the page, too",
    ),
    Recorded("map-weights", ("-m", "benchmarks.map_weights"), WEIGHTS),
    Recorded("parsing", ("-m", "benchmarks.parsing"), WEIGHTS),
    Recorded(
        "calibration-results",
        ("-m", "benchmarks.calibration"),
        ("benchmarks/calibration.py",),
        ("daam_syntax/analysis/inference/*.py",),
    ),
    Recorded(
        "null-worlds",
        ("-m", "benchmarks.null_worlds"),
        ("benchmarks/null_worlds/*.py", *NULL_WORLD_PROMPTS),
        (
            "daam_syntax/analysis/exchange/*.py",
            "daam_syntax/analysis/inference/*.py",
            "daam_syntax/analysis/relations/*.py",
            "daam_syntax/analysis/statistics/*.py",
            "daam_syntax/analysis/controls/*.py",
        ),
    ),
    Recorded(
        "golden-daam",
        None,
        ("benchmarks/golden_daam.py",),
        ("benchmarks/golden_daam.py",),
        _BY_HAND,
    ),
    Recorded(
        "weights",
        None,
        ("data/sprites/*.png", "daam_syntax/emoji/vocabulary.py"),
        ("daam_syntax/emoji/**/*.py",),
        "python -m daam_syntax.emoji.training, stage by stage; then every other entry",
    ),
)
"""Timings (tracing, joint_tracing, batches, measures, corpus) are measurements of a date and not out of date."""
