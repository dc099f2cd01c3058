"""Every public value can be pickled, copied, and sent to another process, which has not imported anything."""

import copy
import pickle
import subprocess
import sys
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

import daam_syntax as ds
from daam_syntax import analysis, emoji, maps
from daam_syntax.errors import DaamSyntaxError, MemoryLimitError
from helpers.valid_calls import Values


def error_of(call):
    with pytest.raises(DaamSyntaxError) as caught:
        call()
    return caught.value


def public_values():
    v = Values()
    pilot = analysis.VarianceComponents(0.1, 0.01, 0.02, 10, 20)
    return {
        "HeatMaps": v.maps,
        "HeatMap": v.maps["zebra"],
        "Subword": v.maps.subwords[0],
        "KeptMaps": v.kept,
        "VideoMaps": v.video,
        "OutputMaps": v.output,
        "WordAttention": v.attention,
        "ImageAttention": v.image_attention,
        "MapWeights": v.weights,
        "Diagnosis": v.maps.diagnose(),
        "threshold": maps.parse_threshold("otsu"),
        "measures": dict(maps.measures.PAIR_MEASURES),
        "PackedMasks": maps.measures.PackedMasks(v.maps.stack() > 0.5),
        "Sentence": v.sentence,
        "RelatedThings": ds.language.related_things(ds.parse("a cat on a bed")),
        "PromptSet": v.crossed,
        "PromptPair": v.crossed.pairs()[0],
        "Sample": v.prompts.stratify(1, by="category"),
        "Run": v.run,
        "pairs": v.pairs,
        "words": ds.word_table(v.maps),
        "summary": ds.summarize(v.pairs, n_resamples=99),
        "Estimate": ds.estimate_mean(v.sides[0], n_resamples=99),
        "Exchange": analysis.exchange_partners(v.pairs),
        "Regression": analysis.regress(v.phrases),
        "Matching": analysis.match_pairs(v.phrases),
        "Balance": analysis.balance(*v.sides),
        "VarianceComponents": pilot,
        "SimulatedStudy": analysis.SimulatedStudy(),
        "Page": ds.explore(np.zeros((40, 60, 3)), v.maps),
        "Edit": ds.Edit(words=(1,)),
        "StateEdit": ds.StateEdit(1, padding=True),
        "DrawingSettings": ds.pipelines.DrawingSettings(steps=3),
        "Scene": v.scene,
        "Counterfactual": emoji.without_object(emoji.scene(1), 0),
        "PromptFileError": error_of(lambda: ds.PromptSet.from_records([{"prompt": "", "id": "/"}])),
        "MemoryLimitError": MemoryLimitError("too much", 5, 3),
        "WordError": error_of(lambda: v.maps["dog"]),
        "FileError": error_of(lambda: ds.HeatMaps.load("none.npz")),
        "ArgumentTypeError": error_of(lambda: ds.language.prompt_id(3)),
    }


def contents(value):
    """Return what two equal values have in common, as plain values."""
    if isinstance(value, Exception):
        return type(value), str(value), contents(vars(value))
    if isinstance(value, pd.DataFrame):
        return value.to_csv(), repr(value.attrs)
    if isinstance(value, np.ndarray):
        return value.tobytes(), value.shape
    if hasattr(value, "to_numpy") and hasattr(value, "dims"):  # xarray
        return value.dims, value.to_numpy().tobytes()
    if isinstance(value, Mapping):
        return {name: contents(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [contents(each) for each in value]
    kept = getattr(value, "__dict__", None)
    if kept and type(value).__module__.startswith("daam_syntax") and not callable(value):
        return {name: contents(each) for name, each in kept.items()}
    text = repr(value)
    return text if " at 0x" not in text else type(value).__name__


@pytest.fixture(scope="module")
def values():
    return public_values()


def test_values_can_be_pickled_and_copied(values):
    for name, value in values.items():
        expected = contents(value)
        for copied in (
            *(pickle.loads(pickle.dumps(value, protocol)) for protocol in (2, 5)),  # noqa: S301
            copy.copy(value),
            copy.deepcopy(value),
        ):
            assert type(copied) is type(value), name
            assert contents(copied) == expected, name


def test_values_can_be_compared_and_found_in_lists(values):
    for name, value in values.items():
        if not isinstance(value, pd.DataFrame):
            assert isinstance(value == copy.deepcopy(value), bool), name
            assert [None, value].index(value) == 1, name


def test_values_travel_to_a_new_process_and_back(values, tmp_path):
    path = tmp_path / "values"
    path.write_bytes(pickle.dumps(values))
    code = (
        f"import pickle; path = {str(path)!r}; values = pickle.load(open(path, 'rb')); "
        "pickle.dump(values, open(path, 'wb')); print(len(values))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True, cwd=tmp_path
    )
    assert told.stdout.split() == [str(len(values))]
    back = pickle.loads(path.read_bytes())  # noqa: S301
    assert {name: contents(each) for name, each in back.items()} == {
        name: contents(each) for name, each in values.items()
    }
