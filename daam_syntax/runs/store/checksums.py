"""Checksums of files, of prompts, and of JSON files that contain their own.

`records` makes the record of each file of a shard, with its checksum; `shard_store` verifies files and records, and
`manifest` manifests. `run_folder` compares prompts and parses with the manifest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from daam_syntax.language import PromptSet, Sentence


def sealed(values: Mapping[str, Any]) -> str:
    """Return JSON that contains its own checksum, so that any change is detected."""
    return json.dumps({**values, "checksum": _json_digest(values)}, indent=2) + "\n"


def unsealed(text: str) -> dict[str, Any]:
    """Return the values that `sealed` wrote.

    Raises
    ------
    ValueError
        If the text is anything else.
    """
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError("it is not a JSON object")
    if "checksum" not in values:
        raise ValueError("it has no checksum: daam-syntax did not write it")
    if values.pop("checksum") != _json_digest(values):
        raise ValueError("its checksum differs: it was altered")
    return values


def _json_digest(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _list_digest(items: Iterable[Any]) -> str:
    """Return the digest of a list in JSON, without having all of it in memory."""
    digest = hashlib.sha256(b"[")
    for number, item in enumerate(items):
        digest.update(f"{', ' if number else ''}{json.dumps(item, sort_keys=True)}".encode())
    digest.update(b"]")
    return digest.hexdigest()


def sha256(path: Path) -> str:
    """Return the SHA-256 checksum of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sentences_digest(sentences: Sequence[Sentence]) -> str:
    """Return a checksum of parsed prompts, hexadecimal."""
    return _list_digest(sentence.to_dict() for sentence in sentences)


def prompts_digest(prompts: PromptSet) -> str:
    """Return a checksum of prompts with their metadata, hexadecimal."""
    return _list_digest(row.values() for row in prompts.rows)
