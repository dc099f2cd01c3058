"""Folders that other people wrote: every failure is one line that names the file, and nothing outside is touched."""

import copy
import io
import json
import os
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from daam_syntax import runs
from daam_syntax.errors import DaamSyntaxError
from daam_syntax.runs.store.checksums import sealed, sha256, unsealed
from daam_syntax.runs.store.shard_files import embedded_record
from helpers.commands import run_here
from helpers.synthetic_run import write_run

HOSTILE = [None, -1, 10**15, 1.5, True, "", "../../../holiday", "x" * 5000, [], [[]], {}, {"a": 1}]


@pytest.fixture(scope="module")
def received(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("received") / "run", ["a red cat", "a dog"]).path


@pytest.fixture
def folder(received, tmp_path):
    shutil.copytree(received, tmp_path / "a" / "run")
    return tmp_path / "a" / "run"


def read_everything(folder):
    """Read all that a folder holds; return the message of the error, if it is one that a user can read."""
    message = ""
    try:
        run = runs.open_run(folder)
        run.pairs(), run.words(), run.images(), run.problems()
        list(run.maps()), list(run.pil_images()), run.sentences, run.prompts
        runs.plan(3, 1, run)
        repr(run), run.sessions, run.is_complete
    except DaamSyntaxError as error:
        message = str(error)
    assert "\n" not in message
    return message


def places(value, path=()):
    """Yield the path to each value in nested JSON."""
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


def with_value(values, path, value):
    """Return JSON with another value at one place."""
    if not path:
        return value
    changed = copy.deepcopy(values)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


def write_sealed(path, values):
    """Write JSON with its right checksum, as an attacker would."""
    path.write_text(sealed(values) if isinstance(values, dict) else json.dumps(values))


@pytest.mark.parametrize("name", ["manifest.json", "committed/part-00000.json"])
def test_values_of_other_types_and_sizes_are_refused_or_harmless(folder, name):
    path = folder / name
    values = unsealed(path.read_text())
    n_refused = 0
    (folder / "manifest.backup.json").unlink()
    for number, place in enumerate(places(values)):
        for value in HOSTILE[number % 2 :: 2]:
            write_sealed(path, with_value(values, place, value))
            message = read_everything(folder)
            n_refused += bool(message)
            if message and not place:
                assert path.name in message
    assert n_refused > 50


def test_a_manifest_that_lacks_a_key_is_refused(folder):
    path = folder / "manifest.json"
    values = unsealed(path.read_text())
    (folder / "manifest.backup.json").unlink()
    for name in values:
        write_sealed(path, {key: value for key, value in values.items() if key != name})
        assert "manifest.json" in read_everything(folder), name


def forge(folder, table, change):
    """Change the rows of a table, and make all checksums right."""
    path = folder / table / "part-00000.parquet"
    rows = pq.read_table(path)
    pq.write_table(change(rows).replace_schema_metadata(rows.schema.metadata), path)
    record_path = folder / "committed" / "part-00000.json"
    values = unsealed(record_path.read_text())
    values["files"][table] |= {"sha256": sha256(path), "n_bytes": path.stat().st_size}
    record_path.write_text(sealed(values))


def with_column(name, value):
    def change(rows):
        place = rows.schema.get_field_index(name)
        kind = rows.schema.field(place)
        return rows.set_column(place, kind, pa.array([value] * len(rows), kind.type))

    return change


def picture(format, size=(6, 4)):
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, format=format)
    return {"bytes": buffer.getvalue(), "path": "x"}


@pytest.mark.parametrize(
    ("table", "column", "value", "message"),
    [
        ("images", "picture", picture("JPEG"), "PNG"),
        ("images", "picture", picture("TIFF"), "PNG"),
        ("images", "picture", picture("PNG", (64, 64)), "64 x 64 pixels, not 6 x 4"),
        ("images", "picture", {"bytes": b"\x89PNG", "path": ""}, "PNG"),
        ("images", "picture", {"bytes": None, "path": ""}, "PNG"),
        ("images", "height", 10**9, "PNG"),
        ("images", "sentence", "{}", "parse"),
        ("images", "sentence", "[" * 10_000, "parse"),
        ("images", "provenance", "[]", "fit together"),
        ("images", "provenance", '{"seed": 7}', "provenance has the seed 7"),
        ("images", "seed", 7, "others"),
        ("images", "image", 7, "others"),
        ("images", "truncated_by", "3", "fit together"),
        ("maps", "seed", 7, "maps have the seed"),
        ("maps", "prompt_id", "another", "maps have the prompt_id"),
        ("maps", "map_height", 10**6, "fit together"),
        ("maps", "start", 10**6, "fit together"),
        ("maps", "values", [float("nan")] * 24, "fit together|NaN"),
        ("maps", "values", [], "fit together"),
    ],
)
def test_forged_tables_are_refused(folder, table, column, value, message):
    forge(folder, table, with_column(column, value))
    found = read_everything(folder)
    assert any(part in found for part in message.split("|")), found


def test_what_is_not_a_file_is_refused(folder, tmp_path):
    outside = tmp_path / "outside.parquet"
    for path in (folder / "maps" / "part-00000.parquet", folder / "manifest.json"):
        content = path.read_bytes()
        for kind in ("link", "fifo", "folder"):
            path.unlink()
            if kind == "link":
                outside.write_bytes(content)
                path.symlink_to(outside)
            else:
                (os.mkfifo if kind == "fifo" else os.mkdir)(path)
            if path.name != "manifest.json":  # which is read from its second copy
                assert "not a regular file" in read_everything(folder), kind
            else:
                assert read_everything(folder) == "", kind
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            path.write_bytes(content)


def test_a_folder_of_an_earlier_format_is_refused_in_one_line_and_kept(folder):
    for name in ("manifest.json", "manifest.backup.json"):
        values = unsealed((folder / name).read_text())
        write_sealed(folder / name, values | {"format": 1, "kind": "daam-syntax corpus"})
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    commands = [("report", folder), ("measure", folder), ("explore", folder)]
    commands += [("analyze", "a red cat", "--steps", 1, "--out", folder)]
    for arguments in commands:
        done = run_here(*arguments, cwd=folder.parent)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1, done.stderr
        assert "format 1, not 'daam-syntax run', format 2" in done.stderr
        assert "into another folder" in done.stderr
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {path: after[path] for path in before} == before


def test_a_command_prints_one_line(folder):
    (folder / "manifest.backup.json").unlink()
    values = unsealed((folder / "manifest.json").read_text())
    write_sealed(folder / "manifest.json", values | {"plan": {"n_prompts": "../x"}})
    for command in ("report", "measure", "explore"):
        done = run_here(command, folder, cwd=folder.parent)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1, done.stderr
        assert "manifest.json" in done.stderr


def test_a_shard_is_described_by_its_own_files(folder):
    record = embedded_record(folder / "problems" / "part-00000.parquet")
    assert record == runs.open_run(folder).records[0]
    assert np.isfinite(record.seconds)
