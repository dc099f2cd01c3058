"""Runs of models whose denoiser attends to several text encoders."""

import functools
import json

import numpy as np
import pytest

from daam_syntax import runs
from daam_syntax.runs.store.schemas import IMAGES_SCHEMA, MAPS_SCHEMA, check_identity, with_identity
from daam_syntax.runs.store.stored_maps import from_table, reduce_maps, to_table, truncation_columns
from helpers.family_cases import CASES
from helpers.family_pipelines import make
from helpers.synthetic_run import made_up, sentence_of

PROMPTS = [
    "a red cat",
    "a red owl and a red owl " * 20,
]  # CLIP does not read the second one to the end


def with_arguments(pipe, monkeypatch, arguments):
    """Pass further arguments to every call of a pipeline."""
    original = type(pipe).__call__

    @functools.wraps(original)  # the trace reads the names of the parameters
    def call(self, *args, **kwargs):
        return original(self, *args, **{**arguments, **kwargs})

    monkeypatch.setattr(type(pipe), "__call__", call)


@pytest.mark.parametrize("name", ["SD3", "HunyuanDiT"])
def test_stored_maps_keep_their_text_encoders(tmp_path, monkeypatch, name):
    (case,) = (each for each in CASES if each.name == name)
    pipe = make(name)
    with_arguments(pipe, monkeypatch, case.arguments)
    run = runs.run(PROMPTS, tmp_path, pipe, steps=1, height=64, width=96, batch_size=2)
    assert run.images()["status"].tolist() == ["drawn", "drawn"]
    short, long = run.maps()
    for maps in (short, long):
        assert maps.encoders == tuple(case.encoders)
        for encoder in case.encoders:
            assert np.isfinite(maps.encoder(encoder).stack([1])).all()
    assert dict(short.truncated_by) == dict.fromkeys(case.encoders)
    assert long.truncated_by["clip"] is not None
    assert run.words()["status"].notna().all()
    again = run.reanalyze(threshold="absolute:0.01")
    assert len(again.pairs()) == len(run.pairs())


def test_maps_that_were_stored_without_encoder_columns_can_be_read():
    """Runs that were drawn before these columns existed had one text encoder."""
    (traced,) = made_up([(sentence_of("a b"), 0)], None, None)
    maps = reduce_maps(traced.maps, None)
    rows = to_table(maps, 0)
    assert rows["encoder"].null_count == rows.num_rows
    assert truncation_columns(maps) == {"truncated_at": None, "truncated_by": None}
    image = {
        "image": 0,
        "height": maps.image_size[0],
        "width": maps.image_size[1],
        "truncated_at": None,
        "provenance": json.dumps(dict(maps.provenance)),
    }
    restored = from_table(rows.drop_columns("encoder"), image, maps.sentence)
    assert restored.subwords == maps.subwords
    np.testing.assert_array_equal(restored.data, maps.data)
    for table, schema, added in (
        ("maps", MAPS_SCHEMA, "encoder"),
        ("images", IMAGES_SCHEMA, "truncated_by"),
    ):
        earlier = schema.remove(schema.get_field_index(added))
        check_identity(with_identity(earlier, table), table, schema)
        with pytest.raises(ValueError, match="other names or types"):
            check_identity(with_identity(earlier.remove(0), table), table, schema)
