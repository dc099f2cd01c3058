"""Runs of many prompts and seeds: what is stored, and how it is read."""

import io
import json
import shutil
from pathlib import Path

import datasets
import duckdb
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import daam_syntax as ds
from daam_syntax import runs
from daam_syntax.analysis import PAIR_COLUMNS, WORD_COLUMNS, measure_pairs, summarize
from daam_syntax.errors import FileError, PromptError, ThresholdError
from daam_syntax.language import prompt_id
from daam_syntax.runs.store.checksums import sealed
from daam_syntax.runs.store.tables.schemas import FORMAT
from helpers.commands import run_here
from helpers.imports import MODEL_LIBRARIES, loaded_by
from helpers.small_runs import N_IMAGES, N_SHARDS, PROMPTS, SETTINGS, assert_same, draw
from helpers.synthetic_run import write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory, emoji_pipe):
    return draw(tmp_path_factory.mktemp("run") / "run", emoji_pipe)


@pytest.fixture(scope="module")
def analysis(emoji_pipe):
    """The same images, drawn by `analyze`."""
    same = {k: SETTINGS[k] for k in ("seeds", "steps", "guidance", "height", "width")}
    return ds.analyze(PROMPTS, emoji_pipe, **same)


def test_every_image_is_stored_once_and_equals_that_of_analyze(run, analysis):
    images = run.images()
    assert images["image"].tolist() == list(range(N_IMAGES))
    assert images["prompt"].tolist() == [p for p in PROMPTS for _ in range(3)]
    assert images["seed"].tolist() == [0, 1, 2] * 2
    assert set(images["status"]) == {"drawn"}
    for (number, image), reference in zip(run.pil_images(), analysis.images, strict=True):
        assert image.size == (96, 64)
        difference = np.asarray(image, int) - np.asarray(reference, int)
        assert np.abs(difference).max() <= 1, number  # the batch size can change the last bits


def test_stored_maps_are_16_bit_means_over_areas_of_the_recording(run, analysis):
    for maps, recorded in zip(run.maps(), analysis.maps, strict=True):
        assert (maps.grid, recorded.grid) == ((4, 6), (8, 12))
        blocks = recorded.data.values.reshape(len(recorded.subwords), 4, 2, 6, 2)
        np.testing.assert_allclose(maps.data, blocks.mean(axis=(2, 4)), rtol=1e-3, atol=1e-6)
        assert maps.subwords == recorded.subwords
        assert maps.sentence == recorded.sentence
        assert maps.image_size == (64, 96)
        assert maps.provenance["map_grid"] == [4, 6]
        assert maps.provenance["generator_seed"] == recorded.provenance["generator_seed"]


def test_tables_are_measured_on_the_stored_maps(run):
    pairs, words = run.pairs(), run.words()
    expected = measure_pairs(list(run.maps()))
    pd.testing.assert_frame_equal(pairs, expected, check_dtype=False)
    assert list(pairs.columns) == list(PAIR_COLUMNS)
    assert list(words.columns) == list(WORD_COLUMNS)
    assert words.groupby("image").size().tolist() == [len(m) for m in run.maps()]


def test_maps_of_chosen_images(run):
    chosen = list(run.maps(where=lambda row: row["seed"] == 2))
    assert [m.provenance["seed"] for m in chosen] == [2, 2]
    assert [m.prompt for m in chosen] == PROMPTS


def test_the_streamed_summary_equals_that_of_the_whole_table(run):
    by = ["relation", "head_pos"]
    expected = summarize(run.pairs(), by)
    pd.testing.assert_frame_equal(run.summarize(by), expected, check_dtype=False)
    assert expected["n_pairs"].sum() > N_IMAGES * 10
    with pytest.raises(ValueError, match="Expected columns of this pair table"):
        run.summarize("color")


def test_other_programs_read_the_files(run):
    pairs = duckdb.sql(f"select count(*), avg(iou) from '{run.path}/pairs/*.parquet'").fetchall()[0]
    assert pairs == (len(run.pairs()), pytest.approx(run.pairs()["iou"].mean()))
    maps = pd.read_parquet(run.path / "maps")
    assert maps["values"].iloc[0].dtype == np.float16
    first = next(run.maps())
    np.testing.assert_array_equal(maps["values"].iloc[1].reshape(4, 6), first.data[1])
    assert maps["subword"].iloc[1] == first.subwords[1].text
    sums = f"select sum(list_sum(values)) from '{run.path}/maps/*.parquet'"
    total = sum(float(m.data.sum()) for m in run.maps())
    assert duckdb.sql(sums).fetchall()[0][0] == pytest.approx(total, rel=1e-5)
    images = pd.read_parquet(run.path / "images")
    assert Image.open(io.BytesIO(images["picture"][5]["bytes"])).size == (96, 64)


@pytest.mark.parametrize("table", ["pairs", "words", "maps", "images"])
def test_pandas_duckdb_and_datasets_read_each_table_directly(run, tmp_path, table):
    files = [str(path) for path in sorted((run.path / table).glob("*.parquet"))]
    frame = pd.read_parquet(run.path / table)
    assert len(frame) > 0
    rows = datasets.Dataset.from_parquet(files, cache_dir=str(tmp_path))
    assert rows.column_names == list(frame.columns)
    assert rows["image"][:] == frame["image"].tolist()
    found = duckdb.sql(f"select * from '{run.path}/{table}/*.parquet'")
    assert found.columns == list(frame.columns)
    assert [row[found.columns.index("image")] for row in found.fetchall()] == rows["image"][:]


def test_hugging_face_datasets_decode_images(run, tmp_path):
    files = [str(path) for path in sorted((run.path / "images").glob("*.parquet"))]
    images = datasets.Dataset.from_parquet(files, cache_dir=str(tmp_path))
    assert images[0]["picture"].size == (96, 64)
    assert images["prompt"][3] == PROMPTS[1]


def test_statistics_do_not_read_maps_or_images(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run.path, copy)
    for table in ("maps", "images"):
        shutil.rmtree(copy / table)
    pd.testing.assert_frame_equal(runs.open_run(copy).summarize(), run.summarize())
    with pytest.raises(FileError, match=r"images/part-00000\.parquet"):
        next(runs.open_run(copy).maps())


def test_measure_takes_the_folder_of_a_run_that_was_drawn(run, tmp_path):
    copy = shutil.copytree(run.path, tmp_path / "run")
    rule = "absolute:0.05"
    done = run_here("measure", copy, "--threshold", rule, "--no-overviews", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    written = pd.read_csv(copy / "pairs.csv")
    expected = measure_pairs(list(run.maps()), threshold=rule)
    assert expected["iou"].nunique() > 10
    for name in ("image", "head_index", "dependent_index", "threshold", "iou", "phi", "soft_iou"):
        pd.testing.assert_series_equal(written[name], expected[name], check_dtype=False)
    assert len(list((copy / "images").glob("*.png"))) == N_IMAGES


def test_the_same_call_again_draws_nothing(run, emoji_pipe, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in run.path.glob("*/part-*")}
    monkeypatch.setattr(type(emoji_pipe), "__call__", None)
    again = draw(run.path, emoji_pipe)
    assert len(before) == 6 * N_SHARDS
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert_same(again, run)
    assert again.sessions[-1]["images"] == 0


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"steps": 3}, "drawing.steps: 2 before, 3 now"),
        ({"prompts": [PROMPTS[0], "a dog"]}, "prompt removed: 'a snowman.*prompt added: 'a dog'"),
        ({"prompts": PROMPTS[::-1]}, "the order of the prompts"),
        ({"seeds": 4}, "n_seeds: 3 before, 4 now"),
        ({"threshold": "absolute:0.1"}, r"thresholds: \['relative:0.4'\] before"),
        ({"map_size": None}, "map_size: 6 before, None now"),
        ({"batch_size": 1}, "batch_size: 2 before, 1 now"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_another_run_in_the_folder_is_refused_with_the_difference(
    run, emoji_pipe, changes, difference
):
    with pytest.raises(FileError, match=difference):
        draw(run.path, emoji_pipe, **changes)


def test_another_model_is_refused(run, emoji_pipe):
    scheduler = emoji_pipe.scheduler
    emoji_pipe.scheduler = type(scheduler).from_config(scheduler.config, steps_offset=2)
    try:
        with pytest.raises(FileError, match=r"model\.fingerprint: '\w+' before"):
            draw(run.path, emoji_pipe)
    finally:
        emoji_pipe.scheduler = scheduler


@pytest.mark.parametrize("name", ["notes.txt", "manifest.json"])
def test_files_of_another_origin_are_left_alone(tmp_path, emoji_pipe, name):
    (tmp_path / "maps").mkdir()
    for path in (tmp_path / "maps" / "map.txt", tmp_path / name):
        path.write_text("mine")
    with pytest.raises(FileError, match=r"daam-syntax did not write, for instance .*map\.txt"):
        draw(tmp_path, emoji_pipe)
    assert (tmp_path / name).read_text() == "mine"


def test_a_run_whose_two_manifests_are_damaged_is_restored_by_its_command(
    run, tmp_path, emoji_pipe
):
    copy = shutil.copytree(run.path, tmp_path / "run")
    for name in ("manifest.json", "manifest.backup.json"):
        (copy / name).write_text("{")
    with pytest.raises(FileError, match="run the same command again to restore it"):
        runs.open_run(copy)
    restored = draw(copy, emoji_pipe)
    assert_same(restored, run)
    assert restored.sessions[-1]["images"] == 0
    assert restored.problems()["problem"].tolist() == ["manifest restored"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": FORMAT + 1}, f"format {FORMAT + 1}, not"),
        ({"kind": "something"}, "'something'"),
        ({"command": "rm"}, "keys"),
        ({"plan": {"n_prompts": 1}}, "lacks"),
        ({"plan": {"n_prompts": 10**12, "n_seeds": 1, "batch_size": 1, "shard_size": 1}}, "10000"),
        ({"run": "../x"}, "'run' is '../x'"),
        ({"sessions": [3]}, "sessions"),
        ({"settings": {"steps": 2}}, "settings"),
    ],
)
def test_unknown_manifests_are_refused(run, tmp_path, change, message):
    manifest = json.loads((run.path / "manifest.json").read_text())
    del manifest["checksum"]
    (tmp_path / "manifest.json").write_text(sealed(manifest | change))
    with pytest.raises(FileError, match=message):
        runs.open_run(tmp_path)
    with pytest.raises(FileError, match="there is no"):
        runs.open_run(tmp_path / "nothing")


def test_a_table_in_place_of_another_is_refused(run):
    from daam_syntax.runs.store.tables.schemas import read_table

    with pytest.raises(FileError, match="'table': 'words'"):
        read_table(run.path / "words" / "part-00000.parquet", "pairs")
    (run.path / "report.parquet").write_bytes(b"PAR1")
    with pytest.raises(FileError, match=r"report\.parquet"):
        read_table(run.path / "report.parquet", "pairs")


def test_the_report_needs_no_model_and_escapes_untrusted_text(run):
    code = (
        f"from daam_syntax.runs import report; report({str(run.path)!r}, by=['relation', 'head'])"
    )
    assert loaded_by(code, MODEL_LIBRARIES) == "[]"
    page = (run.path / "report" / "index.html").read_text()
    assert "6 of 6 images" in page
    assert "<svg" in page
    assert "<b>x" not in page
    summary = pd.read_csv(run.path / "report" / "summary.csv")
    assert "'=" in "".join(summary["head"])
    assert not summary["head"].str.startswith(("=", "+", "-", "@")).any()
    numbers = summary.drop(columns="head").select_dtypes("number")
    np.testing.assert_allclose(numbers["iou"], run.summarize(["relation", "head"])["iou"])


def test_a_run_stores_the_metadata_of_its_prompts(tmp_path, emoji_pipe):
    rows = [{"prompt": "a cat", "category": "pets", "id": "x"}, {"prompt": "a red bus"}]
    prompts = ds.PromptSet.from_records(rows)
    run = draw(tmp_path, emoji_pipe, prompts=prompts, seeds=1)
    assert run.prompts == prompts
    assert run.images()["prompt_id"].tolist() == run.prompts.to_frame()["id"].tolist()
    pairs = run.pairs()
    assert set(zip(pairs["prompt_id"], pairs["category"], strict=True)) == {
        ("x", "pets"),
        (prompt_id("a red bus"), ""),
    }
    assert [maps.provenance["prompt_id"] for maps in run.maps()] == ["x", prompt_id("a red bus")]
    assert run.words()["category"].iloc[0] == "pets"
    other = ds.PromptSet.from_records([rows[0] | {"category": "cats"}, rows[1]])
    with pytest.raises(FileError, match="category of 'a cat': 'pets' before, 'cats' now"):
        draw(tmp_path, emoji_pipe, prompts=other, seeds=1)
    path = tmp_path / "prompts.parquet"
    for damage in (other.to_file, lambda path: path.write_bytes(b"PAR1"), Path.unlink):
        damage(path)
        with pytest.raises(FileError, match=r"prompts\.parquet.*same `daam-syntax run` command"):
            runs.open_run(tmp_path).prompts  # noqa: B018
    assert draw(tmp_path, emoji_pipe, prompts=prompts, seeds=1).prompts == prompts


def test_a_damaged_table_of_problems_is_itself_a_problem(tmp_path):
    run = write_run(tmp_path, ["a"])
    (tmp_path / "problems" / "session-00000.parquet").write_bytes(b"PAR1")
    (problem,) = run.problems().to_dict("records")
    assert problem["problem"] == "damaged file"
    assert "session-00000.parquet" in problem["message"]
    assert (runs.report(run) / "index.html").exists()


def test_bad_input_is_refused_before_anything_is_drawn(tmp_path, emoji_pipe):
    with pytest.raises(ThresholdError):
        draw(tmp_path / "run", emoji_pipe, threshold="median")
    with pytest.raises(PromptError, match="number of images per prompt"):
        draw(tmp_path / "run", emoji_pipe, seeds=0)
    with pytest.raises(ValueError, match="schemes"):
        draw(tmp_path / "run", emoji_pipe, schemes="mine")
