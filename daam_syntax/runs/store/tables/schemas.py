"""Parquet schemas of a run's tables, fixed so that all shards agree."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
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
from daam_syntax.util.regular_files import check_regular
from daam_syntax.util.wording import one_line

FORMAT: Final = 2
TABLES: Final = ("pairs", "words", "maps", "images", "problems")
"""The tables of a shard; each has a folder of its own. The last one is written last."""
ALL_TABLES: Final = (*TABLES[:-1], "attention", TABLES[-1])
"""The same with the table of runs that store attention between words."""

MAPS_SCHEMA: Final = pa.schema(
    [
        ("image", pa.int64()),
        ("prompt_id", pa.string()),
        ("seed", pa.int64()),
        ("position", pa.int64()),  # in the text encoder's sequence
        ("subword", pa.string()),
        ("start", pa.int64()),  # character offsets into the prompt, end exclusive
        ("end", pa.int64()),
        ("kind", pa.string()),  # "text", or the kind of a special token, such as "start"
        ("encoder", pa.string()),  # missing if the model has one text encoder
        ("map_height", pa.int64()),
        ("map_width", pa.int64()),
        ("values", pa.list_(pa.float16())),  # mean attention probability, row by row; or float32
    ]
)
ATTENTION_SCHEMA: Final = pa.schema(
    [
        ("image", pa.int64()),
        ("prompt_id", pa.string()),
        ("seed", pa.int64()),
        ("relation", pa.string()),  # "encoder", "refiner", or "text-text"
        ("encoder", pa.string()),  # name of the text encoder
        ("causal", pa.bool_()),  # whether tokens attend to themselves and to earlier ones only
        ("truncated_at", pa.int64()),  # character from which the encoder did not read on
        ("groups", pa.string()),  # JSON: the tokens that are rows and columns, see TokenGroup
        ("axes", pa.string()),  # JSON: kept axes, layers by path and attention heads by number
        ("provenance", pa.string()),  # JSON
        ("values", pa.list_(pa.float16())),  # mean attention probability, row by row; or float32
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
        ("reason", pa.string()),  # why it failed; "" if it was drawn
        ("height", pa.int64()),  # pixels; missing if it failed
        ("width", pa.int64()),
        ("truncated_at", pa.int64()),  # character from which no text encoder read on
        ("truncated_by", pa.string()),  # JSON: the same for each of several text encoders
        ("sentence", pa.string()),  # JSON: the parse
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
MAP_DTYPES: Final = {"float16": pa.float16(), "float32": pa.float32()}
"""Number formats of stored maps."""


@dataclass(frozen=True)
class Stamp:
    """What every file of a shard says about its origin.

    Attributes
    ----------
    run
        Identity of the run, new for each run that is started.
    shard
        Number of the shard.
    digest
        Checksum of the settings, the plan, and the prompts of the run.
    """

    run: str
    shard: int
    digest: str


def schema_of(table: str, dtype: str = "float16") -> pa.Schema:
    """Return the columns and types of a table of a shard; its values, if any, are of one of `MAP_DTYPES`."""
    fixed = {"images": IMAGES_SCHEMA, "problems": PROBLEMS_SCHEMA}
    with_values = {"maps": MAPS_SCHEMA, "attention": ATTENTION_SCHEMA}
    if table in with_values:
        schema = with_values[table]
        place = schema.get_field_index("values")
        return schema.set(place, pa.field("values", pa.list_(MAP_DTYPES[dtype])))
    return fixed[table] if table in fixed else measured_schema(table)


def tables_of(relations: Sequence[str]) -> tuple[str, ...]:
    """Return the tables of a run that stores some relations of attention between words."""
    return ALL_TABLES if relations else TABLES


def with_identity(schema: pa.Schema, table: str, stamp: Stamp | None = None) -> pa.Schema:
    """Add metadata to a schema: table, run and shard, and how Hugging Face ``datasets`` shows the images."""
    identity = {"format": FORMAT, "table": table, **(asdict(stamp) if stamp else {})}
    metadata = {"daam_syntax": json.dumps(identity)}
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
    """Return the schema of the table of pairs or of words.

    It is read from the table of an example with no missing values. It therefore follows the tables of `analysis`, and
    does not depend on which values happen to be missing in a shard.
    """
    frame = _example(table)
    return pa.schema([(str(name), _type(frame[name])) for name in frame.columns])


def _example(table: str) -> pd.DataFrame:
    """Return the table of pairs or words of an example."""
    tokens = (Token(0, "a", "a", "DET", "DT", 0, 1), Token(1, "b", "b", "NOUN", "NN", 2, 3))
    sentence = Sentence("a b", tokens, {"ud": (Edge(1, 0, "det"),)})
    values = xr.DataArray(np.ones((2, 1, 2), dtype=np.float32), dims=("token", "y", "x"))
    subwords = [Subword(1, "a", 0, 1), Subword(2, "b", 2, 3)]
    maps = HeatMaps(values, subwords, sentence, (1, 2), provenance={"seed": 0})
    return measure_pairs(maps, schemes="ud") if table == "pairs" else word_table(maps)


@cache
def _nullable() -> frozenset[str]:
    """Return the integer columns of the tables of pairs and words that can have missing values."""
    frames = map(_example, ("pairs", "words"))
    return frozenset(
        str(name) for frame in frames for name in frame if frame[name].dtype == pd.Int64Dtype()
    )


def _type(column: pd.Series) -> pa.DataType:
    if pd.api.types.is_bool_dtype(column):
        return pa.bool_()
    if pd.api.types.is_integer_dtype(column):
        return pa.int64()
    if pd.api.types.is_numeric_dtype(column):
        return pa.float64()
    return pa.string()


def from_frame(frame: pd.DataFrame, table: str) -> pa.Table:
    """Convert a table of pairs or words to Arrow; the types of columns not in `measured_schema` are inferred."""
    known = {field.name: field.type for field in measured_schema(table)}
    schema = pa.schema([(str(n), known.get(str(n), _type(frame[n]))) for n in frame.columns])
    # from_pandas makes NaN a missing value.
    arrays = [pa.array(frame[field.name], type=field.type, from_pandas=True) for field in schema]
    return pa.Table.from_arrays(arrays, schema=with_identity(schema, table))


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Convert an Arrow table to a data frame; integer columns with missing values stay integer."""
    frame = table.to_pandas()
    nullable = _nullable()
    for field in table.schema:
        is_missing = table[field.name].null_count or field.name in nullable
        if pa.types.is_integer(field.type) and is_missing:
            frame[field.name] = table[field.name].to_pandas(
                types_mapper={pa.int64(): pd.Int64Dtype()}.get
            )
    return frame


def from_problems(problems: Iterable[Problem]) -> pa.Table:
    """Convert problems to a table with the columns of `PROBLEM_COLUMNS`."""
    return from_rows(map(asdict, problems), PROBLEMS_SCHEMA, "problems")


def from_rows(rows: Iterable[Mapping[str, Any]], schema: pa.Schema, table: str) -> pa.Table:
    """Convert rows to a table with a given schema."""
    return pa.Table.from_pylist(list(rows), schema=with_identity(schema, table))


def map_lists(values: np.ndarray) -> pa.Array:
    """Convert maps, *shape* ``(subword, y, x)``, to an Arrow array with one list per subword."""
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
        If the file cannot be read, or holds another table.
    """
    try:
        check_regular(path)
        with pq.ParquetFile(path) as file:
            check_identity(file.schema_arrow, table, schema)
            if lacking := set(columns or ()).difference(file.schema_arrow.names):
                raise ValueError(f"it has no column {', '.join(sorted(lacking))}.")
            rows = file.read(columns=list(columns) if columns is not None else None)
        rows.validate(full=True)  # texts are UTF-8, and lists are inside their values
        return rows
    except FileNotFoundError:
        raise FileError(
            f"Expected the table {table} at {path}, but there is no such file."
        ) from None
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise FileError(f"Expected the table {table} in {path}, but {one_line(error)}") from error


def check_identity(found: pa.Schema, table: str, schema: pa.Schema | None = None) -> None:
    """Check that a schema is that of a given table of a run.

    Raises
    ------
    ValueError
        If it is not.
    """
    identity = identity_of(found)
    if (identity.get("format"), identity.get("table")) != (FORMAT, table):
        raise ValueError(f"it is marked as {identity or 'something else'}.")
    if schema is not None and not found.equals(schema):
        raise ValueError(
            f"its columns ({', '.join(found.names)}) have other names or types than expected."
        )


def identity_of(found: pa.Schema) -> dict[str, Any]:
    """Return what the metadata of a file say about its table, run, and shard.

    Raises
    ------
    ValueError
        If they cannot be read.
    """
    identity = json.loads((found.metadata or {}).get(b"daam_syntax", b"{}"))
    if not isinstance(identity, dict):
        raise ValueError("its metadata are not a JSON object.")
    return identity
