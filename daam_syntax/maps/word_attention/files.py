"""Store attention between words in one ``.npz`` file: an array ``attention`` and a JSON header.

The array has dims ``([step], [layer], [head], query, key)``. The header names them, their coordinates, the groups of
tokens that are queries and keys, and the other parts of `WordAttention`. Like the files of heat maps, it is a zip
archive with checksums, and nothing in it is a pickle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import xarray as xr

from daam_syntax.language.sentence import Sentence
from daam_syntax.maps.storage import WORD_ATTENTION_FORMAT, opened_archive, write_arrays
from daam_syntax.maps.word_attention.token_groups import TokenGroup


def write_attention(
    path: Path,
    *,
    data: xr.DataArray,
    groups: Sequence[TokenGroup],
    sentence: Sentence,
    relation: str,
    encoder: str,
    causal: bool,
    truncated_at: int | None,
    provenance: Mapping[str, Any],
) -> None:
    """Write the parts of a `WordAttention`; an error leaves no partial file."""
    header = {
        "format": WORD_ATTENTION_FORMAT,
        "dims": data.dims,
        "coordinates": {str(name): c.values.tolist() for name, c in data.coords.items()},
        "groups": [asdict(group) for group in groups],
        "sentence": sentence.to_dict(),
        "relation": relation,
        "encoder": encoder,
        "causal": causal,
        "truncated_at": truncated_at,
        "provenance": dict(provenance),
    }
    write_arrays(path, {"attention": data.values}, header)


@contextmanager
def opened_attention(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the parts of the attention in a file, by the parameters of `WordAttention`.

    Raises
    ------
    FileError
        If the file cannot be read, or if the code inside the block fails on its contents.
    """
    with opened_archive(path, [WORD_ATTENTION_FORMAT], what="word attention") as (arrays, header):
        along = {"timestep": "step"}
        coordinates = {
            name: (along.get(name, name), values) for name, values in header["coordinates"].items()
        }
        kept = ("relation", "encoder", "causal", "truncated_at", "provenance")
        groups = list(map(TokenGroup.from_dict, header["groups"]))
        yield {
            "data": xr.DataArray(arrays["attention"], dims=header["dims"], coords=coordinates),
            "groups": groups,
            "sentence": Sentence.from_dict(header["sentence"]),
            **{name: header[name] for name in kept},
        }
