"""The folder of a run: resuming and refusing."""

import pytest

import daam_syntax as ds
from daam_syntax.errors import FileError
from daam_syntax.runs.store.run_folder import RunFolder
from daam_syntax.runs.store.shards import ShardPlan
from helpers.synthetic_run import sentence_of, write_run


def test_many_changed_prompts_are_compared_quickly(tmp_path):
    """Comparing all pairs of prompts would take minutes."""
    folder, plan = RunFolder(tmp_path), ShardPlan.of(3000, 1, 1, 1)
    before, now = ([f"{which} {n}" for n in range(3000)] for which in "ab")
    folder.start({}, plan, ds.PromptSet.from_records(before), [*map(sentence_of, before)])
    (tmp_path / "committed" / "part-00000.json").touch()
    with pytest.raises(FileError, match="'a 1'; and 2,998 more; prompt added: 'b 0'"):
        folder.start({}, plan, ds.PromptSet.from_records(now), [*map(sentence_of, now)])


def test_shards_of_an_abandoned_plan_are_deleted(tmp_path):
    """A run was killed after it had moved tables of a shard to their places; the next run has fewer shards."""
    write_run(tmp_path, ["a", "b", "c"], shard_size=2)
    for record in tmp_path.glob("committed/*"):
        record.unlink()
    run = write_run(tmp_path, ["a"], shard_size=2)
    assert [path.name for path in (tmp_path / "pairs").iterdir()] == ["part-00000.parquet"]
    assert run.is_complete
