"""The folder of a run: resuming and refusing."""

import shutil

import pandas as pd
import pytest

import daam_syntax as ds
from daam_syntax import runs
from daam_syntax.errors import FileError, PromptError
from daam_syntax.runs.store.run_folder import RunFolder, Wanted
from daam_syntax.runs.store.shards import ShardPlan
from helpers.synthetic_run import write_run


def test_many_changed_prompts_are_compared_quickly(tmp_path):
    """Comparing all pairs of prompts would take minutes."""
    folder, plan = RunFolder(tmp_path), ShardPlan.of(3000, 1, 1, 1)
    before, now = ([f"{which} {n}" for n in range(3000)] for which in "ab")
    folder.start(Wanted({}, plan, ds.PromptSet.from_records(before), "0" * 64))
    (tmp_path / "committed" / "part-00000.json").touch()
    with pytest.raises(FileError, match="'a 1'; and 2,998 more; prompt added: 'b 0'"):
        folder.start(Wanted({}, plan, ds.PromptSet.from_records(now), "0" * 64))


def test_files_of_an_abandoned_plan_are_moved_away(tmp_path):
    """A run was killed while it moved the tables of its first shard; the next run has fewer shards."""
    write_run(tmp_path, ["a", "b", "c"], shard_size=2)
    for path in [*tmp_path.glob("committed/*"), *tmp_path.glob("problems/part-*")]:
        path.unlink()
    kept = {path.name for path in (tmp_path / "pairs").iterdir()}
    run = write_run(tmp_path, ["a"], shard_size=2)
    assert [path.name for path in (tmp_path / "pairs").iterdir()] == ["part-00000.parquet"]
    assert run.is_complete
    (place,) = tmp_path.glob("set-aside-*")
    assert {path.name for path in (place / "pairs").iterdir()} == kept
    assert str(place) in run.problems()["consequence"].iloc[0]


def files_of(folder):
    names = ("pairs", "words", "maps", "images", "problems", "committed")
    return {path: path.read_bytes() for name in names for path in (folder / name).glob("part-*")}


@pytest.mark.parametrize("lost", ["committed", "committed/part-00001.json", "manifest"])
def test_records_and_manifests_that_are_lost_are_made_again(tmp_path, lost):
    prompts = ["a", "b", "c", "d", "e"]
    before = write_run(tmp_path, prompts, shard_size=2)
    written, tables = files_of(tmp_path), before.pairs()
    for path in list(tmp_path.glob(f"{lost}*")):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    run = write_run(tmp_path, prompts, shard_size=2)
    assert files_of(tmp_path) == written  # nothing was drawn again
    assert run.sessions[-1]["images"] == 0
    pd.testing.assert_frame_equal(run.pairs(), tables)
    n_lost = {"committed": 3, "manifest": 1}.get(lost, 1)
    name = "manifest restored" if lost == "manifest" else "record restored"
    assert run.problems()["problem"].tolist() == [name] * n_lost
    assert not list(tmp_path.glob("set-aside-*"))


@pytest.mark.parametrize("lost", ["committed", "manifest*"])
def test_what_lost_its_record_is_not_removed_for_another_run(tmp_path, lost):
    write_run(tmp_path, ["a", "b", "c"], shard_size=2)
    for path in list(tmp_path.glob(lost)):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    left = files_of(tmp_path)
    with pytest.raises(FileError, match=r"prompt removed: 'a'|did not write"):
        write_run(tmp_path, ["x"], shard_size=2)
    assert files_of(tmp_path) == left


@pytest.mark.parametrize("place", range(0, 2000, 97))
def test_any_byte_of_the_manifest_can_be_lost(tmp_path, place):
    before = write_run(tmp_path, ["a", "b"])
    path = tmp_path / "manifest.json"
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 0x15
    path.write_bytes(content)
    pd.testing.assert_frame_equal(runs.open_run(tmp_path).pairs(), before.pairs())
    again = write_run(tmp_path, ["a", "b"])
    assert again.sessions[-1]["images"] == 0
    assert len(again.sessions) == 2
    assert again.problems()["problem"].tolist() == ["manifest restored"]


def test_a_manifest_of_another_run_is_replaced_by_the_second_copy(tmp_path):
    expected = write_run(tmp_path / "run", ["a", "b"]).pairs()
    other = write_run(tmp_path / "other", ["x", "y"]).path
    shutil.copy(other / "manifest.json", tmp_path / "run")
    with pytest.raises(FileError, match=r"part-00000\.parquet is marked as"):
        runs.open_run(tmp_path / "run").pairs()
    run = write_run(tmp_path / "run", ["a", "b"])
    pd.testing.assert_frame_equal(run.pairs(), expected)
    assert run.sessions[-1]["images"] == 0
    assert run.problems()["problem"].tolist() == ["manifest restored"]
    # Another run, whose manifest and second copy agree, is not taken for this one.
    for name in ("manifest.json", "manifest.backup.json"):
        shutil.copy(other / name, tmp_path / "run")
    with pytest.raises(FileError, match="they differ: the prompts"):
        write_run(tmp_path / "run", ["a", "b"])


def test_a_shard_of_another_run_is_set_aside_and_drawn_again(tmp_path):
    """All files of a shard were copied from a run of other prompts, with their record."""
    expected = write_run(tmp_path / "run", ["a", "b", "c"], shard_size=2).pairs()
    write_run(tmp_path / "other", ["x", "y", "z"], shard_size=2)
    for path in (tmp_path / "other").glob("*/part-00001.*"):
        shutil.copy(path, tmp_path / "run" / path.parent.name)
    with pytest.raises(FileError, match=r"part-00001\.parquet is marked as"):
        runs.open_run(tmp_path / "run").pairs()
    run = write_run(tmp_path / "run", ["a", "b", "c"], shard_size=2)
    pd.testing.assert_frame_equal(run.pairs(), expected)
    assert run.problems()["problem"].tolist() == ["damaged file", "set aside"]
    (place,) = (tmp_path / "run").glob("set-aside-*/pairs/part-00001.parquet")
    assert place.read_bytes() == (tmp_path / "other/pairs/part-00001.parquet").read_bytes()


def test_a_second_process_is_refused_before_it_reads_the_prompts(tmp_path, emoji_pipe):
    def unread():
        raise AssertionError("the prompts were read")
        yield

    with (
        RunFolder(tmp_path).locked(),
        pytest.raises(FileError, match="another process is writing there"),
    ):
        runs.run(unread(), tmp_path, emoji_pipe)


def test_a_folder_is_not_left_behind_by_a_refused_run(tmp_path, emoji_pipe):
    with pytest.raises(PromptError):
        runs.run([], tmp_path / "new", emoji_pipe)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_vanishes_does_not_replace_the_error(tmp_path):
    def vanish():
        with RunFolder(tmp_path / "new").locked():
            shutil.rmtree(tmp_path / "new")
            raise FileError("first")

    with pytest.raises(FileError, match="first"):
        vanish()


def test_a_name_that_is_not_utf_8_is_refused_before_anything_is_drawn(tmp_path, emoji_pipe):
    """Linux takes any bytes as a name."""
    path = f"{tmp_path}/caf\udce9"
    for use in (
        lambda: runs.run(["a cat"], path, emoji_pipe),
        lambda: ds.analyze("a cat", emoji_pipe, out=path),
        lambda: runs.open_run(path),
    ):
        with pytest.raises(FileError, match=r"in UTF-8, but got '.*caf\\udce9'"):
            use()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["images", ".lock"])
def test_links_out_of_the_folder_are_refused(tmp_path, name):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).symlink_to(outside / "file" if name == ".lock" else outside)
    with pytest.raises(FileError, match=name):
        write_run(tmp_path / "run", ["a"])
    assert (outside / "file").read_bytes() == b"mine"
    assert len(list(outside.iterdir())) == 1
