"""Every public function and method refuses hostile arguments in one sentence of its own, whatever they are."""

import functools
import inspect
import warnings
from collections.abc import Sequence
from fractions import Fraction
from importlib import import_module

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from daam_syntax.errors import ArgumentValueError, DaamSyntaxError
from daam_syntax.util.arguments.checks import POSITIVE, checked
from helpers.valid_calls import calls

ROOMS = "analysis drawing emoji explorer figures language maps maps.measures pipelines runs studies"
HOSTILE = {
    "object": object(),
    "bytes": b"x",
    "NaN": float("nan"),
    "truth value": np.True_,
    "list of an object": [object()],
    "array of texts": np.array(["a", None], dtype=object),
    "lone surrogate": "a\ud800",
    "dict": {"a": 1},
    "array without axes": np.array(0.5),
    "huge number": 10**400,
    "fraction": Fraction(1, 3),
}
IN_BULK = {"Token", "Edge", "Span", "Subword", "TokenGroup", "WordAlignment", "Measure"}
"""Values that the package makes by the thousand, and checks where they are put together."""

RESULTS = {
    *("Balance", "Exchange", "Estimate", "Matching", "Regression", "Relatedness", "Diagnosis"),
    *("Finding", "VarianceComponents", "StudyDesign", "StudyResult", "RelatedThings", "Page"),
    *("TracedImage", "Scene", "SoftMeasure", "Run", "Counterfactual"),
}
"""Values that functions return; their constructors are not for users."""

ELSEWHERE = {
    "execution_device": "takes a pipeline, of any class",
    "load_study": "takes the name of a study, in tests/studies/",
    "swapped": "takes the columns that measures return",
    "universal_sentence": "takes the parts of a parse, in tests/language/ud/",
    "draw_batch": "is called by `draw`",
    "LabelSet": "is a type",
    "DaamSyntaxError": "is an error",
    "known_words": "takes nothing",
    "learned_weights": "takes nothing",
    **dict.fromkeys(
        ("analyze", "run", "run_study"), "draws what is allowed; see tests/test_workflow.py"
    ),
}


METHODS_ELSEWHERE = {
    **dict.fromkeys(("Family", "RecordingSpec", "TextEncoder", "StudyResult"), "for the package"),
    **dict.fromkeys(("Run.shard_maps", "Run.shard_attention", "Run.stored_images"), "take records"),
    "Run.word_attention": "needs a run with relations, in tests/runs/test_word_attention.py",
    "StateEdit.of_images": "is called by `intervene`",
    "TokenGroup.from_dict": "reads the header of a file, in tests/maps/test_word_attention.py",
    "Trace.output_maps": "has the parameters of `heat_maps`",
    "Trace.video_maps": "has the parameters of `heat_maps`",
    "PromptSet.from_dataset": "needs the library datasets, in tests/language/prompt_sets/",
    **dict.fromkeys(
        [
            f"{name}.__{kind}__"
            for name in ("OutputMaps", "VideoMaps")
            for kind in ("getitem", "contains")
        ],
        "are refused, whatever the word",
    ),
}
"""Classes and methods without a call here, and why."""


def public_methods():
    """Return the public methods of public classes that take arguments."""
    for room in ["attention", *ROOMS.split()]:
        module = import_module(f"daam_syntax.{room}")
        for name in getattr(module, "__all__", None) or dir(module):
            value = getattr(module, name)
            if inspect.isclass(value) and value.__module__.startswith("daam_syntax."):
                yield from methods_of(name, value)


def methods_of(name, value):
    for cls in value.__mro__:
        if cls.__module__.startswith("daam_syntax."):
            for method, function in vars(cls).items():
                function = getattr(function, "__func__", function)
                if inspect.isfunction(function) and (
                    not method.startswith("_")
                    or method in ("__getitem__", "__contains__", "__call__")
                ):
                    kinds = [p.kind for p in inspect.signature(function).parameters.values()]
                    if any(kind != inspect.Parameter.VAR_KEYWORD for kind in kinds[1:]):
                        yield f"{name}.{method}"


def public_names():
    """Return the public functions and classes of all rooms but attention, whose are in the same list of calls."""
    for room in ROOMS.split():
        module = import_module(f"daam_syntax.{room}")
        for name in getattr(module, "__all__", None) or dir(module):
            value = getattr(module, name)
            if callable(value) and not inspect.ismodule(value):
                yield name


def test_every_public_function_has_a_valid_call():
    known = {*calls(), *IN_BULK, *RESULTS, *ELSEWHERE}
    assert set(public_names()) <= known, "add a call to tests/helpers/valid_calls.py"


def test_every_public_method_has_a_valid_call():
    known = {*calls(), *METHODS_ELSEWHERE}
    missing = {
        each
        for each in public_methods()
        if each not in known and each.split(".")[0] not in METHODS_ELSEWHERE
    }
    assert not missing, "add a call to tests/helpers/valid_calls.py"


@pytest.mark.parametrize("name", list(calls()))
def test_hostile_arguments_are_refused_in_a_sentence(name, tmp_path, monkeypatch):
    function, valid = calls()[name]
    monkeypatch.chdir(tmp_path)
    unsaid = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for parameter in parameters_of(function, valid):
            for kind, value in HOSTILE.items():
                try:
                    function(**{**valid, parameter: value})
                except (TypeError, ValueError, DaamSyntaxError) as error:
                    unsaid += [f"{parameter}={kind}: {error!r}"] * (not is_said(str(error)))
    plt.close("all")
    assert not unsaid


@pytest.mark.parametrize(
    "ratios", [[1, 0], range(2), np.array([1.0, 0.0]), pd.Series([1, 0]), (Fraction(1, 2), np.nan)]
)
def test_each_of_several_numbers_is_in_range_whatever_holds_them(ratios):
    @checked(ratios=POSITIVE)
    def mean(ratios: Sequence[float]) -> float:
        return sum(ratios) / len(ratios)

    with pytest.raises(ArgumentValueError, match="a finite number above 0 as ratios of mean, but"):
        mean(ratios)
    assert mean([Fraction(1, 2), np.float32(1.5)]) == 1.0


class Text(str):
    """A string as members of an enumeration are, which show something else."""

    def __str__(self):
        return "Text.WRONG"

    __format__ = __str__


SLOW = {
    "draw",
    "intervene",
    "observe",
    "record_attention",
    "reuse_attention",
    "animate",
    "load_pipeline",
    "report",
    "frame_grid",
}
SLOW |= {name for name in calls() if name.startswith(("trace", "arcs_with", "overview", "word_"))}


@pytest.mark.parametrize("name", [name for name in calls() if name not in {*SLOW, *IN_BULK}])
def test_strings_of_subclasses_are_taken_wherever_strings_are(name, tmp_path, monkeypatch):
    """Defaults are among them: what a function does by itself, a user may ask for."""
    function, valid = calls()[name]
    monkeypatch.chdir(tmp_path)
    given = inspect.signature(function).parameters.values()
    named = {p.name: p.default for p in given if isinstance(p.default, str)} | valid
    texts = {p: Text(value) for p, value in named.items() if isinstance(value, str)}
    if not texts:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = function(**{**valid, **texts})
    plt.close("all")
    assert "WRONG" not in repr(found)


def is_said(message):
    return message.lower().lstrip("(").startswith("expected") or ": expected" in message.lower()


def parameters_of(function, valid):
    given = inspect.signature(function).parameters.values()
    if getattr(function, "__name__", "") == "plan":
        return ("seeds", "pilot", "rate", "workers")  # prompts need the model of the pilot
    if isinstance(function, functools.partial):
        return list(valid)
    named = [p.name for p in given if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return named or list(valid)
