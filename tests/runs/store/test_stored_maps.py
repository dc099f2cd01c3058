"""Heat maps as rows of a table."""

import json

import numpy as np
import pytest

from daam_syntax.runs.store.schemas import IMAGES_SCHEMA, MAPS_SCHEMA, check_identity, with_identity
from daam_syntax.runs.store.stored_maps import (
    from_table,
    reduce_maps,
    stored_grid,
    to_table,
    truncation_columns,
)
from helpers.synthetic_run import made_up, sentence_of


def test_stored_grids_keep_their_aspect_ratio():
    assert stored_grid((64, 96), 24) == (16, 24)
    assert stored_grid((64, 96), None) == (64, 96)
    assert stored_grid((8, 8), 24) == (8, 8)
    assert stored_grid((2, 200), 10) == (1, 10)


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
