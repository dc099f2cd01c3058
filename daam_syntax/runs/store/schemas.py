"""The tables of a run as Parquet: which columns of which type, so that all shards agree."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import xarray as xr

from daam_syntax.analysis import measure_pairs, word_table
from daam_syntax.errors import FileError
from daam_syntax.language import Edge, Sentence, Token
from daam_syntax.maps import HeatMaps, Subword
from daam_syntax.runs.problems import PROBLEM_COLUMNS, Problem

FORMAT: Final = 1
TABLES: Final = ("pairs", "words", "maps", "images", "problems")
"""The tables of a shard; each has a folder of its own."""

MAPS_SCHEMA: Final = pa.schema(
    [
        ("image", pa.int64()),
        ("prompt_id", pa.string()),
        ("seed", pa.int64()),
        ("position", pa.int64()),  # place in the text encoder's sequence
        ("subword", pa.string()),
        ("start", pa.int64()),  # character offsets into the prompt, end exclusive
        ("end", pa.int64()),
        ("kind", pa.string()),  # "text", or "start" and "end" for special tokens
        ("map_height", pa.int64()),
        ("map_width", pa.int64()),
        ("values", pa.list_(pa.float16())),  # mean attention probability, row by row
    ]
)
IMAGES_SCHEMA: Final = pa.schema(
    [
        ("image", pa.int64()),
        ("prompt_id", pa.string()),
        ("prompt", pa.string()),
        ("seed", pa.int64()),
        ("generator_seed", pa.int64()),
        ("status", pa.string()),  # "drawn" or "failed"
        ("reason", pa.string()),  # why it failed; "" where it did not
        ("height", pa.int64()),  # pixels; missing where it failed
        ("width", pa.int64()),
        ("truncated_at", pa.int64()),  # character from which the encoder read nothing more
        ("provenance", pa.string()),  # JSON
        ("picture", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),  # PNG
    ]
)
PROBLEMS_SCHEMA: Final = pa.schema(
    [
        (name, pa.int64() if name in ("shard", "image", "seed", "row") else pa.string())
        for name in PROBLEM_COLUMNS
    ]
)
SENTENCES_SCHEMA: Final = pa.schema(
    [("prompt_id", pa.string()), ("prompt", pa.string()), ("sentence", pa.string())]
)


def schema_of(table: str) -> pa.Schema:
    """Return the columns and types of a table of a shard."""
    fixed = {"maps": MAPS_SCHEMA, "images": IMAGES_SCHEMA, "problems": PROBLEMS_SCHEMA}
    return fixed[table] if table in fixed else measured_schema(table)


def with_identity(schema: pa.Schema, table: str) -> pa.Schema:
    """Write into a schema which table it is of, and how Hugging Face ``datasets`` shows the pictures."""
    metadata = {"daam_syntax": json.dumps({"format": FORMAT, "table": table})}
    if table == "images":
        features: dict[str, dict[str, str]] = {
            field.name: {"_type": "Image"}
            if field.name == "picture"
            else {"_type": "Value", "dtype": str(field.type)}
            for field in schema
        }
        metadata["huggingface"] = json.dumps({"info": {"features": features}})
    return schema.with_metadata(metadata)


@cache
def measured_schema(table: str) -> pa.Schema:
    """Return the schema of the table of pairs or words, as it is for an image with nothing missing.

    So it does not depend on what happens to be missing in a shard, and follows the tables of `analysis`.
    """
    tokens = (Token(0, "a", "a", "DET", "DT", 0, 1), Token(1, "b", "b", "NOUN", "NN", 2, 3))
    sentence = Sentence("a b", tokens, {"ud": (Edge(1, 0, "det"),)})
    values = xr.DataArray(np.ones((2, 1, 2), dtype=np.float32), dims=("token", "y", "x"))
    subwords = [Subword(1, "a", 0, 1), Subword(2, "b", 2, 3)]
    maps = HeatMaps(values, subwords, sentence, (1, 2), provenance={"seed": 0})
    frame = measure_pairs(maps, schemes="ud") if table == "pairs" else word_table(maps)
    return pa.schema([(str(name), _type(frame[name])) for name in frame.columns])


def _type(column: pd.Series) -> pa.DataType:
    if pd.api.types.is_bool_dtype(column):
        return pa.bool_()
    if pd.api.types.is_integer_dtype(column):
        return pa.int64()
    if pd.api.types.is_numeric_dtype(column):
        return pa.float64()
    return pa.string()


def from_frame(frame: pd.DataFrame, table: str) -> pa.Table:
    """Turn a table of pairs or words into Arrow; a column that `measured_schema` has not is read by its type."""
    known = {field.name: field.type for field in measured_schema(table)}
    schema = pa.schema([(str(n), known.get(str(n), _type(frame[n]))) for n in frame.columns])
    # From pandas: NaN is a missing value.
    arrays = [pa.array(frame[field.name], type=field.type, from_pandas=True) for field in schema]
    return pa.Table.from_arrays(arrays, schema=with_identity(schema, table))


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Turn an Arrow table into a data frame; whole numbers stay whole where one is missing."""
    frame = table.to_pandas()
    for field in table.schema:
        if pa.types.is_integer(field.type) and table[field.name].null_count:
            frame[field.name] = table[field.name].to_pandas(
                types_mapper={pa.int64(): pd.Int64Dtype()}.get
            )
    return frame


def from_problems(problems: Iterable[Problem]) -> pa.Table:
    """Turn problems into a table with the columns of `PROBLEM_COLUMNS`."""
    return from_rows(map(asdict, problems), PROBLEMS_SCHEMA, "problems")


def from_rows(rows: Iterable[Mapping[str, Any]], schema: pa.Schema, table: str) -> pa.Table:
    """Turn rows into a table of a given schema."""
    return pa.Table.from_pylist(list(rows), schema=with_identity(schema, table))


def map_lists(values: np.ndarray) -> pa.Array:
    """Turn maps, float16 of shape (subword, y, x), into one list a row."""
    n_pixels = values.shape[1] * values.shape[2]
    offsets = pa.array(np.arange(len(values) + 1, dtype=np.int32) * np.int32(n_pixels))
    return pa.ListArray.from_arrays(offsets, pa.array(values.ravel()))


def read_table(
    path: Path, table: str, schema: pa.Schema | None = None, columns: Sequence[str] | None = None
) -> pa.Table:
    """Read a Parquet file of a run.

    Raises
    ------
    FileError
        If it cannot be read, or is not that table.
    """
    try:
        with pq.ParquetFile(path) as file:
            check_identity(file.schema_arrow, table, schema)
            return file.read(columns=list(columns) if columns is not None else None)
    except FileNotFoundError:
        raise FileError(
            f"Expected the table {table} at {path}, but there is no such file."
        ) from None
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise FileError(f"Expected the table {table} in {path}, but {error}") from error


def check_identity(found: pa.Schema, table: str, schema: pa.Schema | None = None) -> None:
    """Refuse a schema that is not that of a table of ours.

    Raises
    ------
    ValueError
        If it is not.
    """
    identity = json.loads((found.metadata or {}).get(b"daam_syntax", b"{}"))
    if identity != {"format": FORMAT, "table": table}:
        raise ValueError(f"it says that it is {identity or 'something else'}.")
    if schema is not None and not found.equals(schema):
        raise ValueError(f"its columns are {', '.join(found.names)} of other types or names.")
