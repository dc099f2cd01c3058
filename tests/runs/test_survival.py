"""Runs resume after their process is killed or their files are damaged."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from daam_syntax import runs
from daam_syntax.errors import FileError
from daam_syntax.runs import views
from daam_syntax.runs.store.run_folder import RunFolder
from daam_syntax.workflow import analyze
from helpers import commands
from helpers.small_runs import N_SHARDS, assert_same, die_at, draw, in_child

pytestmark = pytest.mark.slow  # kills processes


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, emoji_pipe):
    return draw(tmp_path_factory.mktemp("uninterrupted"), emoji_pipe)


@pytest.mark.parametrize(
    ("owner", "name", "count", "finished"),
    [
        (os, "replace", 0, 0),  # before the manifest
        (os, "replace", 1, 0),  # before its second copy
        (os, "replace", 2, 0),  # before the rows of the prompts
        (os, "replace", 5, 0),  # before the problems of the prompts
        (pq.ParquetWriter, "write_table", 9, 1),  # in the middle of the second shard
        (os, "replace", 8, 0),  # between two files of the first shard
        (os, "replace", 17, 1),  # before the record of the second shard, which is then taken up
        (os, "replace", 24, 3),  # before the final manifest
    ],
)
def test_a_run_that_is_killed_at_any_moment_resumes(
    uninterrupted, tmp_path, emoji_pipe, owner, name, count, finished
):
    def dying():
        die_at(owner, name, count)
        draw(tmp_path, emoji_pipe)

    assert in_child(dying) == -signal.SIGKILL
    committed = list(tmp_path.glob("committed/*.json"))
    assert len(committed) == finished
    kept = {path: path.stat().st_mtime_ns for path in committed}
    resumed = draw(tmp_path, emoji_pipe)
    assert resumed.is_complete
    assert_same(resumed, uninterrupted)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    taken_up = resumed.problems()["problem"].eq("record restored").sum()
    assert taken_up == (count == 17)
    assert resumed.sessions[-1]["images"] == 2 * (N_SHARDS - finished - taken_up)
    assert not list(tmp_path.glob("**/*.partial"))
    assert not list(tmp_path.glob(".work/*"))


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def read_all(folder):
    run = runs.open_run(folder)
    return run.pairs(), list(run.maps())


@pytest.mark.parametrize("damage", [truncate, flip_a_byte, Path.unlink])
@pytest.mark.parametrize("table", ["pairs", "maps", "committed"])
def test_a_damaged_shard_is_named_and_drawn_again(
    uninterrupted, tmp_path_factory, emoji_pipe, damage, table
):
    copy = tmp_path_factory.mktemp("damaged") / "run"
    shutil.copytree(uninterrupted.path, copy)
    file = next((copy / table).glob("part-00001.*"))
    damage(file)
    is_gone = table == "committed" and damage is Path.unlink
    if not is_gone:
        with pytest.raises(FileError, match=rf"{table}/part-00001"):
            read_all(copy)
    repaired = draw(copy, emoji_pipe)
    assert_same(repaired, uninterrupted)
    # The record of a shard is in its table of problems, too.
    assert repaired.sessions[-1]["images"] == (0 if table == "committed" else 2)
    problems = repaired.problems()
    name = "record restored" if table == "committed" else "damaged file"
    assert problems["problem"].tolist() == [name]
    assert problems["message"].str.contains(f"{table}/part-00001", regex=False).all()
    assert (problems["shard"] == 1).all()


def empty(path):
    path.write_bytes(b"")


def replace_by_another(path):
    path.write_bytes(b"PAR1 something else PAR1")


DAMAGES = (truncate, flip_a_byte, empty, Path.unlink, replace_by_another)


def test_each_file_of_an_analysis_may_be_damaged(tmp_path, emoji_pipe):
    """The same call restores every file of its folder, with the same tables."""
    options = {"steps": 1, "height": 64, "width": 64, "seeds": 2, "overviews": False}
    folder = tmp_path / "run"

    def analyze_again():
        return analyze("a red cat", emoji_pipe, out=folder, **options)

    before = analyze_again()
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    assert len(files) >= 13
    for number, path in enumerate(files):
        content = path.read_bytes()
        DAMAGES[number % len(DAMAGES)](path)
        after = analyze_again()
        for table in ("pairs", "words", "summary"):
            pd.testing.assert_frame_equal(getattr(after, table), getattr(before, table))
        if path.suffix not in (".json", ".parquet"):  # views, which are made anew
            assert path.read_bytes() == content, path
        assert path.stat().st_size > 30, path


def test_a_second_process_cannot_write_to_the_folder_of_a_run(uninterrupted, emoji_pipe):
    with RunFolder(uninterrupted.path).locked():

        def second():
            with pytest.raises(FileError, match="another process is writing there"):
                draw(uninterrupted.path, emoji_pipe)

        assert in_child(second) == 0
    draw(uninterrupted.path, emoji_pipe)


@contextlib.contextmanager
def stopped_while_drawing(arguments, folder):
    """Start a command in a new process, stop it once a shard is finished, and kill it at the end."""
    options = {"cwd": folder.parent, "env": {**commands.ENVIRONMENT, "OMP_NUM_THREADS": "1"}}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(commands.command(*arguments), **quiet, **options)
    try:
        while not list(folder.glob("committed/*.json")):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGSTOP)
        yield
    finally:
        process.kill()
        process.wait()


def test_an_analysis_that_is_killed_resumes_and_has_one_writer(tmp_path):
    """The tables are those of an analysis that was not killed, byte for byte."""
    colors = ("red", "blue", "green", "yellow", "black", "white", "small", "big")
    rows = [f"{n},a {color} cat on a bed\n" for n, color in enumerate(colors)]
    (tmp_path / "prompts.csv").write_text("id,prompt\n" + "".join(rows))
    options = "--prompts prompts.csv --steps 2 --height 64 --width 64 --no-overviews"
    arguments = ["analyze", *options.split(), "--out"]
    run = tmp_path / "run"
    with stopped_while_drawing([*arguments, "run"], run):
        second = commands.run_here(*arguments, "run", "--model", "none", cwd=tmp_path)
        assert second.returncode == 1  # at once: no model of that name is looked for
        assert "another process is writing there; wait for it" in second.stderr
    finished = len(runs.open_run(run).records)
    assert 0 < finished < len(colors)
    assert not (run / "pairs.csv").exists()
    resumed = commands.run_here(*arguments, "run", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert runs.open_run(run).sessions[1]["images"] == len(colors) - finished
    commands.run_here(*arguments, "whole", cwd=tmp_path)
    for table in ("pairs", "words", "summary"):
        whole = (tmp_path / "whole" / f"{table}.csv").read_bytes()
        assert (run / f"{table}.csv").read_bytes() == whole
    images = sorted(path.name for path in (tmp_path / "whole" / "images").iterdir())
    assert sorted(path.name for path in (run / "images").iterdir()) == images


@pytest.mark.parametrize("count", [0, 2, 4])
def test_an_analysis_that_is_killed_while_its_views_are_written_resumes(
    tmp_path, emoji_pipe, count
):
    options = {"steps": 1, "height": 64, "width": 64, "overviews": False, "out": tmp_path / "run"}

    def dying():
        die_at(views, "_write", count)
        analyze("a red cat", emoji_pipe, **options)

    assert in_child(dying) == -signal.SIGKILL
    assert not (tmp_path / "run" / "index.html").exists()
    analyze("a red cat", emoji_pipe, **options)
    again = analyze("a red cat", emoji_pipe, **options | {"out": tmp_path / "whole"})
    assert len(again.images) == 1
    for path in (tmp_path / "whole").glob("*.csv"):
        assert (tmp_path / "run" / path.name).read_bytes() == path.read_bytes()
    assert (tmp_path / "run" / "index.html").exists()
    assert not list(tmp_path.glob("run/**/*.partial"))


def test_a_command_that_is_killed_resumes_when_given_again(tmp_path):
    """The command runs in a new process, as a user starts it, and is killed while it draws."""
    (tmp_path / "prompts.csv").write_text("id,prompt\n7,a red cat\n8,a red cat on a bed\n9,\n")
    options = "--seeds 8 --steps 2 --batch-size 1 --shard-size 1"
    arguments = ["run", "prompts.csv", *options.split(), "--out", "run"]
    run = tmp_path / "run"
    with stopped_while_drawing(arguments, run):
        pass
    before = runs.open_run(run)
    assert 0 < len(before.records) < 16
    assert len(before.pairs()) > 0  # finished shards can be read at once
    done = commands.run(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "16 of 16 images" in done.stdout
    assert "unreadable row" in done.stdout
    assert "images/s" in done.stderr
    after = runs.open_run(run)
    assert after.sessions[1]["images"] == 16 - len(before.records)
    pairs = after.pairs()
    assert not pairs.duplicated(["image", "head_index", "dependent_index"]).any()
    assert pairs["image"].unique().tolist() == list(range(16))
    pd.testing.assert_frame_equal(pairs.head(len(before.pairs())), before.pairs())
