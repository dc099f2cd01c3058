"""Options of the studies on the command line: every parameter can be set, and every error is one line."""

import inspect
import shlex

import pandas as pd
import pytest

from daam_syntax import studies
from daam_syntax.cli.study_options import parameter_descriptions, parse_steps
from daam_syntax.studies import STUDIES, StudyResult, load_study
from daam_syntax.studies.cohyponyms.correctness import Rates
from helpers.commands import run_here

GIVEN = {
    "adjectives": {
        "threshold": ("--threshold otsu", "otsu"),
        "swaps": ("--swaps red --swaps blue", ["red", "blue"]),
        "cross_steps": ("--cross-steps 0:0.5", slice(0, 0.5)),
        "self_steps": ("--self-steps 1", 1),
    },
    "cohyponyms": {
        "pairs": ("--pairs pairs.csv", "pairs.csv"),
        "similarity": ("--similarity wn:oewn:2024", "wn:oewn:2024"),
        "threshold": ("--threshold absolute:0.1", "absolute:0.1"),
        "measure": ("--measure soft_iou", "soft_iou"),
        "rates": ("--rates 0.9,0.8", Rates(0.9, 0.8)),
        "sheet": ("--sheet people", "people"),
        "judgments": ("--judgments a.csv --judgments b.csv", ["a.csv", "b.csv"]),
    },
    "contextless": {
        "colors": ("--colors red --colors blue", ["red", "blue"]),
        "threshold": ("--threshold otsu", "otsu"),
        "batch_size": ("--batch-size 3", 3),
    },
    "intervention": {
        "threshold": ("--threshold relative:0.5", "relative:0.5"),
        "pos": ("--pos NOUN --pos ADJ", ["NOUN", "ADJ"]),
        "shares": ("--shares 0.1 --shares 0.2", [0.1, 0.2]),
        "scale": ("--scale 2", 2.0),
        "renormalize": ("--renormalize", True),
        "in_steps": ("--in-steps 0,2", [0, 2]),
        "in_layers": ("--in-layers up_blocks --in-layers 16", ["up_blocks", 16]),
        "in_heads": ("--in-heads 0 --in-heads 3", [0, 3]),
        "batch_size": ("--batch-size 4", 4),
    },
    "minimal-pairs": {"threshold": ("--threshold otsu", "otsu")},
    "modes": {},
    "retrieval": {},
    "sanity": {
        "threshold": ("--threshold otsu", "otsu"),
        "nonce": ("--nonce dax", "dax"),
    },
    "syntax": {
        "threshold": ("--threshold otsu", "otsu"),
        "measure": ("--measure soft_iou", "soft_iou"),
        "scheme": ("--scheme ud", "ud"),
        "caliper": ("--caliper 1", 1),
        "sweep_values": ("--sweep-values 0.3 --sweep-values 0.6", [0.3, 0.6]),
        "published": ("--published values.csv", "values.csv"),
    },
    "verdicts": {
        "verdicts": ("--verdicts results.jsonl", "results.jsonl"),
        "pass_score": ("--pass-score 0.6", 0.6),
        "sensitivity": ("--sensitivity 0.9", 0.9),
        "specificity": ("--specificity 0.95", 0.95),
        "threshold": ("--threshold otsu", "otsu"),
        "limit": ("--limit 20", 20),
    },
    "where-is-syntax": {
        "encoder": ("--encoder text_encoder_2", "text_encoder_2"),
        "image_overlap": ("--no-image-overlap", False),
        "permutations": ("--permutations 99", 99),
        "seed": ("--seed 3", 3),
    },
    "words": {
        "threshold": ("--threshold relative:0.5", "relative:0.5"),
        "renormalize": ("--renormalize", True),
        "batch_size": ("--batch-size 4", 4),
    },
}
"""Maps each study and parameter to the options that set it on the command line, and the value that `run` receives."""


@pytest.fixture
def passed(monkeypatch):
    """The arguments that the command passes to `run_study`; nothing is drawn."""
    found = {}

    def run_study(name, pipe, **arguments):
        found.update(arguments)
        return StudyResult(
            load_study(name).DESIGN,
            {},
            dict.fromkeys(load_study(name).DESIGN.printed, pd.DataFrame()),
            {},
            (),
            {"model": "", "seeds": 1, "steps": 1, "guidance": 1},
            pd.DataFrame(),
            (),
        )

    monkeypatch.setattr(studies, "run_study", run_study)
    return found


@pytest.mark.parametrize("name", STUDIES)
def test_every_parameter_of_every_study_can_be_set(name, passed, tmp_path):
    _, *parameters = inspect.signature(load_study(name).run).parameters
    assert list(GIVEN[name]) == parameters
    options = shlex.split(" ".join(written for written, _ in GIVEN[name].values()))
    done = run_here("study", name, "--out", "out", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {each: passed[each] for each in parameters} == {
        each: value for each, (_, value) in GIVEN[name].items()
    }


@pytest.mark.parametrize("name", STUDIES)
def test_options_that_are_not_given_are_left_to_the_study(name, passed, tmp_path):
    run_here("study", name, "--out", "out", cwd=tmp_path)
    assert passed.keys() == {"prompts", "seeds", "steps", "guidance", "parser", "progress"}


@pytest.mark.parametrize("name", STUDIES)
def test_help_describes_every_option(name, tmp_path):
    done = run_here("study", name, "--help", cwd=tmp_path)
    assert done.returncode == 0
    shown = " ".join(done.stdout.split())
    for each in GIVEN[name]:
        assert f" --{each.replace('_', '-')} " in shown
    described = parameter_descriptions(inspect.getdoc(load_study(name).run))
    assert described.keys() == {"setup", *GIVEN[name]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("retrieval --nonce dax", "retrieval has no options of its own"),
        ("intervention --nonce dax", "--threshold, --pos, --shares, --scale"),
        ("intervention --scale two", "Invalid value for '--scale'"),
        ("intervention --in-steps first", "a range of fractions of all steps (0:0.8), but got"),
        ("intervention --scale -1", "Expected a scale of 0 or more"),
        ("cohyponyms --rates 1", "numbers SENSITIVITY,SPECIFICITY"),
        ("syntax --measure overlap", "Expected one of the measures iou"),
        ("syntax --scheme none", "'none'"),
        ("syntax --caliper", "--caliper"),
        ("sanity --threshold median:2", "relative:0.4"),
        ("nothing", "Expected one of the studies adjectives"),
    ],
)
def test_wrong_options_and_values_are_one_line(arguments, message, tmp_path):
    options = ["--prompts", "prompts.txt", "--seeds", 1, "--steps", 1, "--out", "out"]
    (tmp_path / "prompts.txt").write_text("a red cat\n", encoding="utf-8")
    name, *wrong = shlex.split(arguments)
    done = run_here("study", name, *options, *wrong, cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("3", 3),
        ("0,2,4", [0, 2, 4]),
        ("0:10", slice(0, 10)),
        ("0:0.8", slice(0, 0.8)),
        (":10", slice(None, 10)),
        ("2:", slice(2, None)),
        ("0:10:2", slice(0, 10, 2)),
    ],
)
def test_steps_as_text(text, steps):
    assert parse_steps(text) == steps


def test_descriptions_of_a_docstring():
    docstring = """Do something.

    Parameters
    ----------
    first, second
        Of both,
        in two lines.
    third
        Last.

    Raises
    ------
    ValueError
        Never.
    """
    assert parameter_descriptions(inspect.cleandoc(docstring)) == {
        "first": "Of both, in two lines.",
        "second": "Of both, in two lines.",
        "third": "Last.",
    }
