"""Stored attention between words: one row for each image, relation, and text encoder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import xarray as xr

from daam_syntax.errors import FileError
from daam_syntax.language import Sentence
from daam_syntax.maps import WordAttention
from daam_syntax.maps.word_attention.token_groups import KINDS, TokenGroup
from daam_syntax.runs.arguments import STORED_AXES
from daam_syntax.runs.store.stored_maps import (
    DAMAGE,
    check_offsets,
    check_origin,
    checked_provenance,
)
from daam_syntax.runs.store.tables.schemas import schema_of, with_identity
from daam_syntax.util.wording import one_line


def attention_table(
    attention: Sequence[WordAttention], image: Mapping[str, Any], dtype: str
) -> pa.Table:
    """Convert the attention of one image to a table.

    Parameters
    ----------
    attention
        The relations and text encoders of the image.
    image
        The row of the image in the table of images.
    dtype
        Number format of the stored values, "float16" or "float32".
    """
    columns: dict[str, Any] = {
        name: [image[name]] * len(attention) for name in ("image", "prompt_id", "seed")
    }
    columns |= {
        name: [getattr(each, name) for each in attention]
        for name in ("relation", "encoder", "causal", "truncated_at")
    }
    own = {"prompt_id": image["prompt_id"], "map_dtype": dtype}
    columns["groups"] = [json.dumps(list(map(asdict, each.groups))) for each in attention]
    columns["provenance"] = [
        json.dumps({**each.provenance, **own}, ensure_ascii=False) for each in attention
    ]
    axes = [{axis: each.data[axis].values.tolist() for axis in each.axes} for each in attention]
    columns["axes"] = [json.dumps(each) for each in axes]
    columns["values"] = [each.data.values.astype(dtype).ravel() for each in attention]
    schema = with_identity(schema_of("attention", dtype), "attention")
    return pa.Table.from_pydict(columns, schema=schema)


def from_attention_table(
    rows: pa.Table, image: Mapping[str, Any], sentence: Sentence
) -> list[WordAttention]:
    """Return the attention of one image, one for each row.

    Parameters
    ----------
    rows
        The rows of this image in the table of attention, in order.
    image
        The row of this image in the table of images.
    sentence
        The parsed prompt.

    Raises
    ------
    FileError
        If the rows do not fit together, or belong to another image.
    """
    try:
        check_origin(rows, image, "the attention has")
        return [_attention(row, image, sentence) for row in rows.to_pylist()]
    except DAMAGE as error:
        raise FileError(
            f"Expected the attention between words of image {image['image']}, but its rows do not fit together: "
            f"{one_line(error)}"
        ) from error


def _attention(
    row: Mapping[str, Any], image: Mapping[str, Any], sentence: Sentence
) -> WordAttention:
    groups = [_group(each) for each in json.loads(row["groups"])]
    check_offsets((asdict(group) for group in groups), sentence.text)
    axes: dict[str, list[Any]] = dict(json.loads(row["axes"]))
    if tuple(axes) != tuple(axis for axis in STORED_AXES if axis in axes):
        raise ValueError(f"it has the axes {str(axes)[:60]}")
    values = np.array(row["values"], dtype=np.float32)
    values = values.reshape(*map(len, axes.values()), len(groups), len(groups))
    return WordAttention(
        xr.DataArray(values, dims=(*axes, "query", "key"), coords=axes),
        groups,
        sentence,
        relation=row["relation"],
        encoder=row["encoder"],
        causal=row["causal"],
        truncated_at=row["truncated_at"],
        provenance=checked_provenance(row["provenance"], image),
    )


def _group(values: Mapping[str, Any]) -> TokenGroup:
    group = TokenGroup.from_dict(values)
    numbers = (*group.positions, group.start, group.end)
    if group.kind not in KINDS or any(type(number) is not int for number in numbers):
        raise ValueError(f"it has the tokens {str(dict(values))[:60]}")
    return group
