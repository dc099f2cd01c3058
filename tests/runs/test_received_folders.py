"""Folders that other people wrote: every failure is one line that names the file, and nothing outside is touched."""

import copy
import io
import json
import os
import re
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from daam_syntax import runs
from daam_syntax.errors import DaamSyntaxError, FileError
from daam_syntax.runs import views
from daam_syntax.runs.arguments import check_seeds
from daam_syntax.runs.drawing.starting import RunOptions
from daam_syntax.runs.store import shard_files
from daam_syntax.runs.store.checksums import sealed, sha256, unsealed
from daam_syntax.runs.store.run_folder import entries_digest
from daam_syntax.runs.store.shard_files import embedded_record
from daam_syntax.runs.store.tables import origin
from daam_syntax.runs.store.tables.schemas import TABLES
from daam_syntax.workflow import stored_analysis
from helpers.commands import run_here
from helpers.synthetic_run import write_run

HOSTILE = [None, -1, 10**15, 1.5, True, "", "../../../holiday", "x" * 5000, [], [[]], {}, {"a": 1}]

PROMPTS = ["a red cat", "a dog"]
DRAWING = {"steps": None, "guidance": None}


@pytest.fixture(scope="module")
def received(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("received") / "run", PROMPTS).path


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
        runs.plan(["a cat"], 1, run)
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


def forge(folder, table, change, **more):
    """Change the rows of a table, and make all checksums right."""
    path = folder / table / "part-00000.parquet"
    rows = pq.read_table(path)
    pq.write_table(change(rows).replace_schema_metadata(rows.schema.metadata), path)
    record_path = folder / "committed" / "part-00000.json"
    values = unsealed(record_path.read_text())
    written = {"sha256": sha256(path), "n_bytes": path.stat().st_size, **more}
    values["files"][table] |= written
    record_path.write_text(sealed(values))


def forge_manifest(folder, **entries):
    """Change entries of the manifest and its second copy, and mark the tables as those of this run."""
    values = unsealed((folder / "manifest.json").read_text())
    for name, value in entries.items():
        values[name] = {**values[name], **value} if name == "settings" else value
    for name in ("manifest.json", "manifest.backup.json"):
        write_sealed(folder / name, values)
    for table in TABLES:
        path = folder / table / "part-00000.parquet"
        rows = pq.read_table(path)
        marks = json.loads(rows.schema.metadata[b"daam_syntax"])
        own = {b"daam_syntax": json.dumps({**marks, "digest": entries_digest(values)})}
        pq.write_table(rows.replace_schema_metadata({**rows.schema.metadata, **own}), path)
        forge(folder, table, lambda rows: rows)


def with_column(name, value):
    def change(rows):
        place = rows.schema.get_field_index(name)
        kind = rows.schema.field(place)
        return rows.set_column(place, kind, pa.array([value] * len(rows), kind.type))

    return change


def picture(format, size=(6, 4), mode="RGB", **options):
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, format=format, **options)
    return {"bytes": buffer.getvalue(), "path": "x"}


@pytest.mark.parametrize(
    ("table", "column", "value", "message"),
    [
        ("images", "picture", picture("JPEG"), "PNG"),
        ("images", "picture", picture("TIFF"), "PNG"),
        ("images", "picture", picture("PNG", (64, 64)), "64 x 64 pixels, not 6 x 4"),
        ("images", "picture", {"bytes": b"\x89PNG", "path": ""}, "but it is not PNG"),
        ("images", "picture", picture("PNG", mode="I;16"), "mode I;16"),
        ("images", "picture", picture("PNG", mode="RGBA"), "mode RGBA"),
        (
            "images",
            "picture",
            picture("PNG", save_all=True, append_images=[Image.new("RGB", (6, 4), "red")]),
            "several frames",
        ),
        ("images", "picture", {"bytes": None, "path": ""}, "PNG"),
        ("images", "height", 10**9, "sides of 1 to 65,536 pixels"),
        ("images", "sentence", "{}", "parse"),
        ("images", "sentence", "[" * 10_000, "parse"),
        ("images", "provenance", "[]", "not JSON objects"),
        ("images", "provenance", '{"seed": 7}', "provenance has the seed 7"),
        ("images", "seed", 7, "planned images 0 to 1|generator_seed of prompt"),
        ("images", "image", 7, "planned images 0 to 1|images in order"),
        ("images", "prompt", "a whale", "planned images 0 to 1|generator_seed of prompt"),
        ("images", "prompt_id", "../../../escaped", "planned images 0 to 1"),
        ("images", "truncated_by", "3", "not JSON objects"),
        ("maps", "seed", 7, "planned images 0 to 1"),
        ("maps", "prompt_id", "another", "planned images 0 to 1"),
        ("pairs", "image", 7, "planned images 0 to 1"),
        ("pairs", "seed", 7, "planned images 0 to 1"),
        ("pairs", "seed", None, "planned images 0 to 1"),
        ("pairs", "prompt", "a whale", "planned images 0 to 1"),
        ("words", "prompt_id", "another", "planned images 0 to 1"),
        ("maps", "map_height", 10**6, "map_height from 1 to 65536"),
        ("maps", "start", 10**6, "fit together"),
        ("maps", "values", [float("nan")] * 24, "fit together|NaN"),
        ("maps", "values", [], "fit together"),
        ("images", "status", "drawn by hand", "drawn or failed"),
        ("images", "status", "failed", "a reason for each failure"),
        ("images", "reason", "none", "a reason for each failure"),
        ("images", "generator_seed", 1, "generator_seed of prompt and seed"),
        ("images", "truncated_at", 1000, "a place in the prompt"),
        ("images", "truncated_by", '{"": 1000}', "encoders stopped at"),
        ("images", "width", None, "sides of 1 to 65,536 pixels"),
        ("images", "provenance", '{"height": 9}', "provenance has the height 9"),
        ("images", "picture", None, "stored images"),
        ("maps", "values", [-1.0] * 24, "not negative"),
        ("maps", "values", [float("inf")] * 24, "not a probability"),
        ("maps", "values", [7.0] * 24, "not a probability"),
        ("maps", "position", -1, "a subword is"),
        ("maps", "kind", "word", "a subword is"),
        ("maps", "encoder", "third", "a subword is"),
        ("maps", "end", 10**6, "outside the prompt"),
        ("maps", "map_width", 3, "fit together"),
        ("pairs", "iou", 1.1, "iou from 0 to 1"),
        ("pairs", "iou", float("nan"), "iou from 0 to 1"),
        ("pairs", "phi", -1.1, "phi from -1 to 1"),
        ("pairs", "lift", float("inf"), "lift from 0 to inf"),
        ("pairs", "log_area_ratio", float("-inf"), "log_area_ratio from -inf to inf"),
        ("pairs", "head_area", 2.0, "head_area from 0 to 1"),
        ("pairs", "iou", None, "a reason where a measure is missing"),
        ("pairs", "reason", "because", "a reason where a measure is missing"),
        ("pairs", "head_index", 9, "pairs of the parses, in order"),
        ("pairs", "dependent", "whale", "pairs of the parses, in order"),
        ("pairs", "head_pos", "VERB", "pairs of the parses, in order"),
        ("pairs", "kind", "matched", "tree_distance of 1"),
        ("pairs", "threshold", "relative:0.5", "pairs of the parses, in order"),
        ("pairs", "tree_distance", 5, "tree_distance of 1"),
        ("pairs", "tree_distance", None, "tree_distance of 1"),
        ("pairs", "head_subwords", -1, "head_subwords from 0"),
        ("words", "area", 1.5, "area from 0 to 1"),
        ("words", "area", float("nan"), "area from 0 to 1"),
        ("words", "mean", -0.1, "mean from 0 to"),
        ("words", "peak_x", 1.1, "peak_x from 0 to 1"),
        ("words", "mean", None, "mean where a word has a map"),
        ("words", "n_subwords", 0, "subwords where a word has a map"),
        ("words", "index", 9, "words of the parses"),
        ("words", "index", -1, "words of the parses"),
        ("words", "word", "whale", "words of the parses"),
        ("words", "threshold", "relative:0.5", "thresholds"),
        ("words", "status", "lost", "status among"),
    ],
)
def test_forged_tables_are_refused(folder, table, column, value, message):
    forge(folder, table, with_column(column, value))
    found = read_everything(folder)
    assert any(part in found for part in message.split("|")), found
    assert f"{table}/part-00000.parquet" in found, found


def dropped(rows):
    return rows.slice(0, len(rows) - 1)


def doubled(rows):
    return pa.concat_tables([rows.slice(0, len(rows) - 1), rows.slice(0, 1)])


def reordered(rows):
    return rows.take(list(range(len(rows)))[::-1])


def renamed(rows):
    return rows.rename_columns(["other", *rows.column_names[1:]])


def widened(rows):
    return rows.append_column("more", pa.array([{"a": [1]}] * len(rows)))


def of_a_dictionary(rows):
    place = rows.schema.get_field_index("prompt_id")
    return rows.set_column(place, "prompt_id", rows["prompt_id"].dictionary_encode())


@pytest.mark.parametrize("table", ["pairs", "words", "maps", "images"])
@pytest.mark.parametrize("change", [dropped, doubled, reordered, renamed, widened, of_a_dictionary])
def test_rows_and_columns_that_are_missing_or_too_many_are_refused(folder, table, change):
    rows = change(pq.read_table(folder / table / "part-00000.parquet"))
    forge(folder, table, lambda _: rows, **({} if table == "images" else {"n_rows": len(rows)}))
    if table == "maps" and change in (dropped, doubled):
        return  # which subwords a tokenizer makes is not known without it
    if (table, change) == ("words", reordered):
        return  # the order of words means nothing
    assert f"{table}/part-00000.parquet" in read_everything(folder)


def with_size(rows, height, width):
    """Return rows of the table of images with another size, and PNG files that have it."""
    pixels = [picture("PNG", (width, height))] * len(rows)
    kind = rows.schema.field("picture")
    place = rows.schema.get_field_index("picture")
    sized = with_column("width", width)(with_column("height", height)(rows))
    return sized.set_column(place, kind, pa.array(pixels, kind.type))


def test_images_of_another_size_than_the_settings_are_refused(folder):
    """Everything else fits: the rows, the PNG files, and all checksums."""
    forge_manifest(folder, settings={"drawing": {**DRAWING, "height": 4, "width": 6}})
    assert read_everything(folder) == ""
    forge(folder, "images", lambda rows: with_size(rows, 8, 6))
    message = read_everything(folder)
    assert "images of 4 x 6 pixels (height x width), the size of the run, in" in message
    assert "images/part-00000.parquet" in message


def test_images_of_a_run_have_one_size(folder, tmp_path):
    run = write_run(tmp_path / "larger", [*PROMPTS, "a bus", "a big red bus"], shard_size=2)
    assert read_everything(run.path) == ""
    forge(run.path, "images", lambda rows: with_size(rows, 8, 6))
    assert "images of 8 x 6 pixels (height x width)" in read_everything(run.path)


def test_numbers_of_failed_images_are_those_of_the_table(folder):
    record = unsealed((folder / "committed" / "part-00000.json").read_text())
    write_sealed(folder / "committed" / "part-00000.json", record | {"n_failed": 1})
    assert "Expected 1 failed images in" in read_everything(folder)


@pytest.mark.parametrize("is_in_prompts", [False, True])
def test_no_name_leads_out_of_a_folder(folder, is_in_prompts):
    """The names of views are made of ids."""
    name = "../../../escaped"
    provenance = json.dumps({"prompt_id": name})
    for table in ("images", "maps", "pairs", "words"):
        forge(folder, table, with_column("prompt_id", name))
    forge(folder, "images", with_column("provenance", provenance))
    if is_in_prompts:
        path = folder / "prompts.parquet"
        pq.write_table(with_column("id", name)(pq.read_table(path)), path)
    before = sorted(folder.parents[1].glob("*/*"))
    with pytest.raises(DaamSyntaxError, match=r"id of at most|planned images|prompts of the run"):
        stored_analysis(folder, overviews=False)
    assert sorted(folder.parents[1].glob("*/*")) == before
    assert not list(folder.parents[2].glob("escaped*"))


def test_a_small_file_does_not_fill_the_memory(folder, monkeypatch):
    """Equal rows take no room in a Parquet file; a shard has no more than its images can have."""
    monkeypatch.setattr(origin, "_MOST_ROWS", 1_000)
    monkeypatch.setattr(origin, "_MOST_BYTES", 1_000_000)
    schema = pq.read_schema(folder / "problems" / "part-00000.parquet")
    many = pa.table([pa.nulls(3_000, kind) for kind in schema.types], schema=schema)
    forge(folder, "problems", lambda rows: many)
    assert "Expected 0 rows of 2 images" in read_everything(folder)
    assert "but it has 3,000" in read_everything(folder)
    forge(folder, "problems", lambda rows: many, n_rows=3_000)
    assert "Expected 3,000 rows of 2 images" in read_everything(folder)
    long = many.slice(0, 1).set_column(2, schema.field(2), pa.array(["x" * 3_000_000]))
    forge(folder, "problems", lambda rows: long, n_rows=1)
    assert "uncompressed" in read_everything(folder)
    schema = schema.with_metadata({**schema.metadata, b"more": b"x" * 1_000_000})
    forge(folder, "problems", lambda rows: rows)
    path = folder / "problems" / "part-00000.parquet"
    pq.write_table(many.slice(0, 0).replace_schema_metadata(schema.metadata), path)
    forge(folder, "problems", lambda rows: rows, n_rows=0)
    assert "but its metadata have" in read_everything(folder)


@pytest.mark.parametrize("n_images", [10**9, 10**6])
def test_a_plan_of_many_images_in_one_shard_is_refused(folder, n_images):
    plan = {"n_prompts": n_images, "n_seeds": 1, "batch_size": 1, "shard_size": n_images}
    forge_manifest(folder, plan=plan)
    record = unsealed((folder / "committed" / "part-00000.json").read_text())
    record["n_images"] = record["files"]["images"]["n_rows"] = n_images
    write_sealed(folder / "committed" / "part-00000.json", record)
    assert re.search("at most 1,000,000 images|2, not 1,000,000", read_everything(folder))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"settings": {"thresholds": []}}, "no threshold"),
        ({"settings": {"schemes": ["deep"]}}, "manifest.json: Expected the settings of a run"),
        ({"settings": {"model": {"model": None}}}, "'model' is None"),
        ({"settings": {"model": {"model": "x", "revision": 3}}}, "'revision' is 3"),
        ({"sessions": [{"peak_memory": "much"}]}, "'sessions' is"),
        ({"sessions": []}, ""),
    ],
)
def test_forged_manifests_are_refused_or_harmless(folder, entries, message):
    forge_manifest(folder, **entries)
    found = read_everything(folder)
    assert message in found, found
    assert bool(message) == bool(found)


def test_limits_of_text_encoders_are_checked_before_they_are_used(folder):
    limit = {"encoder": "", "tokenizer": "tokenizer", "n_tokens": 77, "form": "as it is"}
    for wrong in ({"form": "torn"}, {"n_tokens": "many"}, {"before": 3}):
        written = {**limit, "before": "", "after": "", **wrong}
        sessions = unsealed((folder / "manifest.json").read_text())["sessions"]
        forge_manifest(folder, sessions=[{**sessions[0], "text_limits": [written]}])
        with pytest.raises(FileError, match=rf"manifest of .*'{next(iter(wrong))}' is"):
            runs.plan(["a cat"], 1, folder)


FILES = [
    "committed/part-00000.json",
    "images/part-00000.parquet",
    "manifest.json",
    "maps/part-00000.parquet",
    "pairs/part-00000.parquet",
    "problems/part-00000.parquet",
    "problems/prompts.parquet",
    "prompts.parquet",
    ".lock",
]


def put(path, kind, outside):
    """Put something else in the place of a file."""
    path.unlink(missing_ok=True)
    {
        "link": lambda: path.symlink_to(outside),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "device": lambda: path.symlink_to("/dev/zero"),
    }[kind]()


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "device"])
def test_what_is_not_a_file_is_refused(received, tmp_path, kind):
    """A pipe would wait forever, a device has no end, and a link leads out of the folder."""
    for number, name in enumerate(FILES):
        folder = shutil.copytree(received, tmp_path / str(number))
        path, outside = folder / name, tmp_path / f"outside-{number}"
        content = path.read_bytes()
        outside.write_bytes(content)
        put(path, kind, outside)
        message = read_everything(folder)
        # The manifest has a second copy, and the lock is not read.
        assert name in message if name not in ("manifest.json", ".lock", FILES[6]) else not message
        if name == ".lock":
            with pytest.raises(FileError, match=r"\.lock, but it is something else; delete it"):
                write_run(folder, PROMPTS)
        if name == ".lock" or kind == "folder":
            path.rmdir() if kind == "folder" else path.unlink()
        write_run(folder, PROMPTS)
        assert outside.read_bytes() == content
        assert read_everything(folder) == ""


def test_a_view_that_is_not_a_file_is_written_again(folder):
    stored_analysis(folder, overviews=False)
    path = folder / "pairs.csv"
    content = path.read_bytes()
    put(path, "pipe", None)
    stored_analysis(folder, overviews=False)
    assert path.read_bytes() == content


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_run_whose_records_are_gone_is_read_from_its_shards(tmp_path, is_whole):
    run = write_run(tmp_path / "run", PROMPTS, batch_size=1, shard_size=1)
    shutil.rmtree(run.path / "committed")
    if not is_whole:
        path = run.path / "maps" / "part-00001.parquet"
        path.write_bytes(path.read_bytes()[:-9])  # such a shard is not finished
    again = runs.open_run(run.path)
    assert again.is_complete == is_whole
    expected = run.pairs()
    if not is_whole:
        expected = expected[expected["image"] == 0]
    pd.testing.assert_frame_equal(again.pairs(), expected)
    assert len(list(again.maps())) == (2 if is_whole else 1)
    assert not (run.path / "committed").exists()  # reading writes nothing


@pytest.mark.parametrize("name", ["committed", "pairs", "images"])
@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_not_a_folder_is_refused_when_it_is_read(folder, tmp_path, name, kind):
    shutil.move(folder / name, tmp_path / "moved")
    if kind == "file":
        (folder / name).write_text("mine")
    else:
        (folder / name).symlink_to(tmp_path / "moved", target_is_directory=True)
    for act in (runs.open_run, lambda folder: write_run(folder, PROMPTS)):
        with pytest.raises(FileError, match=rf"Expected a folder at .*{name}, but it is a {kind}"):
            act(folder)


def test_a_link_to_nothing_is_not_a_folder_to_write_to(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    with pytest.raises(
        FileError, match=r"link: File exists\. It is not a folder; rename or delete"
    ):
        write_run(tmp_path / "link", PROMPTS)
    (tmp_path / "link").unlink()
    assert write_run(tmp_path / "link", PROMPTS).is_complete


def test_a_file_that_is_replaced_while_a_run_is_open_is_compared_again(folder):
    """The folder then holds another run."""
    run = runs.open_run(folder)
    assert set(run.pairs()["prompt"]) == {"a red cat", "a dog"}
    write_run(folder, ["a bus"], overwrite=True)
    with pytest.raises(FileError, match=r"pairs/part-00000\.parquet, but"):
        run.pairs()


def test_names_of_tables_and_files_in_place_of_folders_are_explained(folder):
    run = runs.open_run(folder)
    for name in ("nope", "attention", "../run/pairs"):
        with pytest.raises(ValueError, match="one of the tables pairs, words, maps, images, prob"):
            run.table(name)
    with pytest.raises(ValueError, match="one of the tables pairs, words of a reanalysis"):
        run.reanalyze().table("maps")
    with pytest.raises(FileError, match=r"manifest\.json is not a folder; name the folder"):
        runs.open_run(folder / "manifest.json")


@pytest.mark.parametrize("seed", [2**31 - 1, 0])
def test_every_seed_that_is_drawn_is_read(tmp_path, seed):
    assert check_seeds([seed, 5]) == (seed, 5)
    run = write_run(tmp_path / "run", PROMPTS, seeds=(seed, 5))
    assert run.images()["seed"].tolist() == [seed, 5, seed, 5]


def test_a_threshold_that_is_given_twice_counts_once(folder):
    again = runs.open_run(folder).reanalyze(threshold=["relative:0.4", "relative:0.40"])
    pd.testing.assert_frame_equal(again.pairs(), runs.open_run(folder).pairs())
    assert RunOptions(thresholds=("relative:0.4",) * 2).checked().thresholds == ("relative:0.4",)


def test_a_view_of_another_size_is_not_read(folder, monkeypatch):
    """It may have 20 GB, which would take half a minute."""
    stored_analysis(folder, overviews=False)
    read, digest = [], views.sha256
    monkeypatch.setattr(views, "sha256", lambda path: read.append(path.name) or digest(path))
    stored_analysis(folder, overviews=False)
    assert read.count("pairs.csv") == 1
    content = (folder / "pairs.csv").read_bytes()
    (folder / "pairs.csv").write_bytes(content + b"more")
    read.clear()
    stored_analysis(folder, overviews=False)
    assert read.count("pairs.csv") == 1  # only after it was written again
    assert (folder / "pairs.csv").read_bytes() == content


def test_a_record_is_not_restored_from_a_table_that_would_fill_the_memory(folder, monkeypatch):
    monkeypatch.setattr(shard_files, "_LARGEST_PROBLEMS", 1_000_000)
    path = folder / "problems" / "part-00000.parquet"
    schema = pq.read_schema(path)
    columns = [["x" * 3_000_000] if pa.types.is_string(k) else [0] for k in schema.types]
    pq.write_table(pa.table(columns, schema=schema), path, compression="zstd")
    assert path.stat().st_size < 100_000
    with pytest.raises(ValueError, match="bytes uncompressed"):
        embedded_record(path)


def replace(folder):
    write_run(folder, ["a bus"], overwrite=True)


@pytest.mark.parametrize(
    ("name", "act"),
    [
        *[(name, replace) for name in ("committed", "images", "problems", ".work")],
        ("images", lambda folder: stored_analysis(folder, overviews=False)),
        ("analyses", lambda folder: runs.open_run(folder).reanalyze(threshold="absolute:0.1")),
        ("report", runs.report),
    ],
)
def test_links_in_place_of_folders_lead_nowhere(folder, tmp_path, name, act):
    """Readers write nothing there, and a run that replaces the received one deletes nothing there."""
    outside = tmp_path / "outside"
    (folder / name).mkdir(exist_ok=True)
    shutil.move(folder / name, outside)
    (folder / name).symlink_to(outside, target_is_directory=True)
    for file in (".x.partial", "session-00000.parquet", "ff966ff162-0.png"):
        (outside / file).write_bytes(b"mine")
    before = {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()}
    with pytest.raises(FileError, match=rf"{name}, but it is a link; put the folder itself there"):
        act(folder)
    assert {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()} == before
    (folder / name).unlink()  # the remedy
    shutil.copytree(outside, folder / name)
    act(folder)


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
