"""Digests of the inputs of generated files, so that a stale file is found without making it again."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILE = Path(__file__).parent / "digests.json"


def digest_of(patterns: Iterable[str], root: Path = ROOT) -> str:
    """Return the SHA-256 of everything that matters in the files that match some glob patterns.

    Python files count without comments and docstrings, and notebooks count by the source of their code cells: prose
    changes no result.
    """
    paths = sorted({path for pattern in patterns for path in root.glob(pattern) if path.is_file()})
    if not paths:
        raise FileNotFoundError(f"Expected files that match {list(patterns)} in {root}: none do.")
    sha = hashlib.sha256()
    for path in paths:
        content = hashlib.sha256(_essence(path)).hexdigest()
        sha.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    return sha.hexdigest()


def _essence(path: Path) -> bytes:
    """Return the part of a file that can change a result."""
    if path.suffix == ".py":
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                node.body = [part for part in node.body if not _is_text(part)]
        return ast.dump(tree).encode()
    if path.suffix == ".ipynb":
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        return json.dumps(sources).encode()
    return path.read_bytes()


def _is_text(node: ast.stmt) -> bool:
    """Whether a statement is a bare string: a docstring or the description of a constant."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def recorded(file: Path = FILE) -> dict[str, dict[str, str]]:
    """Return the recorded digests: name to "inputs" and "code"."""
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def record(name: str, digests: dict[str, str], file: Path = FILE) -> None:
    """Store the digests of one entry and keep the others."""
    found = recorded(file) | {name: digests}
    file.write_text(json.dumps(dict(sorted(found.items())), indent=1) + "\n", encoding="utf-8")
