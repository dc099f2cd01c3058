"""Heat maps as rows of a table."""

import json

import numpy as np
import pytest

from daam_syntax.errors import FileError
from daam_syntax.runs.store.stored_maps import (
    from_table,
    reduce_maps,
    stored_grid,
    to_table,
    truncation_columns,
)
from daam_syntax.runs.store.tables.schemas import (
    IMAGES_SCHEMA,
    MAPS_SCHEMA,
    check_identity,
    with_identity,
)
from helpers.synthetic_run import made_up, sentence_of


def test_stored_grids_keep_their_aspect_ratio():
    assert stored_grid((64, 96), 24) == (16, 24)
    assert stored_grid((64, 96), None) == (64, 96)
    assert stored_grid((8, 8), 24) == (8, 8)
    assert stored_grid((2, 200), 10) == (1, 10)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_stored_maps_are_read_as_they_were(dtype):
    (traced,) = made_up([(sentence_of("a b"), 0)], None, None)
    maps = reduce_maps(traced.maps, None, dtype)
    rows = to_table(maps, 0)
    assert rows["encoder"].null_count == rows.num_rows
    assert truncation_columns(maps) == {"truncated_at": None, "truncated_by": None}
    image = {
        "image": 0,
        "prompt_id": maps.provenance["prompt_id"],
        "seed": 0,
        "height": maps.image_size[0],
        "width": maps.image_size[1],
        "truncated_at": None,
        "truncated_by": None,
        "provenance": json.dumps(dict(maps.provenance)),
    }
    restored = from_table(rows, image, maps.sentence)
    assert restored.subwords == maps.subwords
    np.testing.assert_array_equal(restored.data, maps.data)
    if dtype == "float32":
        np.testing.assert_array_equal(restored.data, traced.maps.data)
    for name, value in (("seed", 1), ("prompt_id", "another")):
        with pytest.raises(FileError, match=f"the maps have the {name}"):
            from_table(rows, image | {name: value}, maps.sentence)


def test_schemas_are_checked():
    for table, schema in (("maps", MAPS_SCHEMA), ("images", IMAGES_SCHEMA)):
        check_identity(with_identity(schema, table), table, schema)
        with pytest.raises(ValueError, match="other names or types"):
            check_identity(with_identity(schema.remove(0), table), table, schema)
