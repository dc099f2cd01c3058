"""Failures are recorded, and the rest of a run continues."""

import errno
import functools
import resource
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from daam_syntax import runs
from daam_syntax.drawing.seeds import generator_seed
from daam_syntax.errors import FileError, ModelError, PromptError
from daam_syntax.language import PromptSet
from daam_syntax.runs import measuring
from daam_syntax.runs.drawing.shard_drawer import is_fatal, is_out_of_memory
from daam_syntax.runs.store.shard_store import ShardStore, is_disk_full
from daam_syntax.util.whole_files import whole_file
from helpers.small_runs import N_IMAGES, PROMPTS, assert_same, draw, in_child
from helpers.synthetic_run import made_up, sentence_of


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, emoji_pipe):
    return draw(tmp_path_factory.mktemp("uninterrupted"), emoji_pipe)


def with_nan_latents(pipe, monkeypatch, seeds):
    """Set the initial latents of the images with these generator seeds to NaN."""
    original = type(pipe).prepare_latents

    @functools.wraps(original)  # the pipeline inspects its parameters
    def prepare(self, *arguments, **named):
        latents = original(self, *arguments, **named)
        generators = next(a for a in (*arguments, *named.values()) if isinstance(a, list))
        for row, generator in enumerate(generators):
            if generator.initial_seed() in seeds:
                latents[row] = float("nan")
        return latents

    monkeypatch.setattr(type(pipe), "prepare_latents", prepare)


def test_a_nan_image_is_a_row_with_a_reason_and_its_neighbours_are_drawn(
    uninterrupted, tmp_path, emoji_pipe, monkeypatch
):
    with monkeypatch.context() as overflowing:
        with_nan_latents(emoji_pipe, overflowing, {generator_seed(PROMPTS[0], 2)})
        run = draw(tmp_path, emoji_pipe)
    assert run.is_complete
    images = run.images()
    assert images["status"].tolist() == ["drawn", "drawn", "failed", "drawn", "drawn", "drawn"]
    assert "NaN" in images["reason"][2]
    problem = run.problems().iloc[0]
    assert (problem["problem"], problem["image"], problem["seed"]) == ("no drawing", 2, 2)
    assert problem["prompt"] == PROMPTS[0]
    assert run.pairs()["image"].unique().tolist() == [0, 1, 3, 4, 5]
    # Image 3 was drawn alone, which can change the last bits.
    for number, maps in run.numbered_maps():
        reference = dict(uninterrupted.numbered_maps())[number]
        np.testing.assert_allclose(maps.data, reference.data, atol=2e-3)
    assert "1 of them failed" in repr(run)
    page = (runs.report(run) / "index.html").read_text()
    assert "1 of them failed" in page
    assert "no drawing" in page
    assert draw(tmp_path, emoji_pipe).sessions[-1]["images"] == 0
    assert_same(draw(tmp_path, emoji_pipe, retry_failed=True), uninterrupted)


def test_nan_pixels_are_a_failed_image(tmp_path, emoji_pipe, monkeypatch):
    decode, calls = emoji_pipe.vae.decode, iter(range(100))

    def overflowing(latents, *arguments, **named):
        decoded = decode(latents, *arguments, **named)
        if next(calls) == 0:  # later calls succeed, so the model is not the cause
            decoded[0][0, 0, 0, 0] = float("nan")
        return decoded

    monkeypatch.setattr(emoji_pipe.vae, "decode", overflowing)
    run = draw(tmp_path, emoji_pipe, prompts=["a cat"], seeds=1)
    assert run.images()["status"].tolist() == ["failed"]
    assert run.problems()["message"].str.contains("produced NaN").all()
    assert len(run.pairs()) == len(run.words()) == 0
    assert run.summarize().empty


def test_a_run_stops_if_a_plain_prompt_fails_too(tmp_path, emoji_pipe):
    prompts = ["a cat", "a dog"]
    with pytest.raises(ModelError, match=r"'a cat' failed.*so did the plain 'a photo'.*refused to"):
        draw(tmp_path, emoji_pipe, prompts=prompts, steps=2000)
    assert not list(tmp_path.glob("committed/*"))
    assert draw(tmp_path, emoji_pipe, prompts=prompts).is_complete  # no shard was finished


def test_a_run_continues_after_bad_prompts_at_its_start(tmp_path, emoji_pipe, monkeypatch):
    prompts = ["a cat", "a bed", "a dog", "a cow", "a pig"]
    settings = {"prompts": prompts, "seeds": 1, "steps": 1, "batch_size": 1, "shard_size": 1}
    bad = {generator_seed(prompt, 0) for prompt in prompts[:4]}
    with monkeypatch.context() as overflowing:
        with_nan_latents(emoji_pipe, overflowing, bad)
        run = draw(tmp_path, emoji_pipe, **settings)
        assert run.is_complete
        assert run.images()["status"].tolist() == ["failed"] * 4 + ["drawn"]
        retried = draw(tmp_path, emoji_pipe, retry_failed=True, **settings)
        assert retried.sessions[-1]["images"] == 4
        assert_same(retried, run)
    whole = draw(tmp_path, emoji_pipe, retry_failed=True, **settings)
    assert whole.images()["status"].eq("drawn").all()


def test_a_resumed_run_stops_if_its_model_no_longer_draws(tmp_path, emoji_pipe, monkeypatch):
    settings = {"prompts": ["a cat", "a bed"], "seeds": 1, "batch_size": 1, "shard_size": 1}
    draw(tmp_path, emoji_pipe, **settings)
    for folder in ("committed", "problems"):
        next((tmp_path / folder).glob("part-00001.*")).unlink()
    seeds = {generator_seed(prompt, 0) for prompt in ("a bed", "a photo")}
    with_nan_latents(emoji_pipe, monkeypatch, seeds)
    with pytest.raises(ModelError, match="'a bed' failed"):
        draw(tmp_path, emoji_pipe, **settings)
    assert len(runs.open_run(tmp_path).records) == 1


def test_out_of_memory_reduces_the_batches_and_is_recorded(tmp_path, emoji_pipe, monkeypatch):
    forward, batches = emoji_pipe.unet.forward, []

    def limited(sample, *arguments, **named):
        batches.append(len(sample))
        if len(sample) > 2:
            raise torch.OutOfMemoryError("Tried to allocate 2 GiB.")
        return forward(sample, *arguments, **named)

    monkeypatch.setattr(emoji_pipe.unet, "forward", limited)
    run = draw(tmp_path, emoji_pipe, batch_size=6, shard_size=6)
    assert batches == [6, 3, 2, 2, 1, 1, 2, 2, 1, 1]  # two steps each
    problems = run.problems()
    assert problems["problem"].tolist() == ["out of memory"] * 2
    assert problems["consequence"].str.contains("3 are drawn together")[0]
    assert len(list(run.maps())) == N_IMAGES
    assert {m.provenance["batch_size"] for m in run.maps()} == {1, 2}


def test_a_prompt_with_too_many_words_is_left_out(tmp_path, emoji_pipe):
    rows = [{"prompt": "cat " * 2000, "pair": "p"}, {"prompt": "a cat", "pair": "p"}]
    prompts = PromptSet.from_records(rows)
    run = draw(tmp_path, emoji_pipe, prompts=prompts, seeds=1, steps=1)
    assert list(run.prompts) == ["a cat"]
    (problem,) = run.problems().to_dict("records")
    assert problem["problem"] == "too many words"
    assert "at most 512 words, but got 2,000" in problem["message"]
    with pytest.raises(PromptError, match="none: Expected at most 512"):
        draw(tmp_path / "other", emoji_pipe, prompts=["cat " * 2000])


def test_few_pairs_are_in_memory_at_once(monkeypatch):
    """Images with many words are measured one at a time, others together; the rows are the same."""
    maps = [d.maps for d in made_up([(sentence_of("x " * n + "y"), 0) for n in (2, 3, 9, 2)], 0, 0)]
    tables = {}
    for limit in (10**9, 12):
        monkeypatch.setattr(measuring, "_PAIRS_AT_ONCE", limit)
        tables[limit] = list(
            measuring.measure_images(
                maps, [5, 6, 7, 8], thresholds=["relative:0.4"], schemes=["ud"]
            )
        )
    assert [name for name, _ in tables[12]] == ["pairs", "words"] * 3  # images 5 and 6, 7, 8
    for table in ("pairs", "words"):
        whole, parts = (
            pd.concat([frame for name, frame in made if name == table], ignore_index=True)
            for made in tables.values()
        )
        pd.testing.assert_frame_equal(whole, parts)


def test_errors_that_mean_out_of_memory():
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: 1 bytes"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(ValueError("out of memory"))
    assert is_fatal(torch.AcceleratorError("device-side assert", 710))
    assert not is_fatal(RuntimeError("device-side assert"))


def test_a_full_disk(uninterrupted, tmp_path, emoji_pipe):
    """Simulate a full disk with a limit on the size of files."""
    draw(tmp_path, emoji_pipe)
    for path in tmp_path.glob("*/part-0000[12].*"):
        path.unlink()

    def with_small_files_only():
        resource.setrlimit(resource.RLIMIT_FSIZE, (8000, resource.RLIM_INFINITY))
        with pytest.raises(FileError, match=r"2 consecutive shards .*disk full.*Make room"):
            draw(tmp_path, emoji_pipe)

    assert in_child(with_small_files_only) == 0
    kept = runs.open_run(tmp_path)
    assert [record.shard for record in kept.records] == [0]
    assert kept.problems()["problem"].tolist() == ["disk full", "disk full"]
    assert not list(tmp_path.glob(".work/*"))
    run = draw(tmp_path, emoji_pipe)
    assert_same(run, uninterrupted)
    assert run.problems()["shard"].tolist() == [1, 2]  # earlier problems are kept


def test_a_disk_that_is_full_temporarily(uninterrupted, tmp_path, emoji_pipe, monkeypatch):
    """One shard cannot be moved to its final place (a simulated error); the others are kept."""
    commit = ShardStore.commit

    def commit_all_but_the_first(self, record, work, planned):
        if record.shard == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        commit(self, record, work, planned)

    with monkeypatch.context() as full:
        full.setattr(ShardStore, "commit", commit_all_but_the_first)
        run = draw(tmp_path, emoji_pipe)
    assert not run.is_complete
    assert [record.shard for record in run.records] == [1, 2]
    assert run.images()["image"].tolist() == [2, 3, 4, 5]
    assert_same(draw(tmp_path, emoji_pipe), uninterrupted)


@pytest.mark.parametrize("is_wrapped", [False, True])
def test_an_image_that_meets_a_lack_of_files_is_not_a_failed_one(
    uninterrupted, tmp_path, emoji_pipe, monkeypatch, is_wrapped
):
    """The decoder opens a file in the second shard (a simulated error); its images have no fault."""
    decode, calls = emoji_pipe.vae.decode, iter(range(100))

    def without_handles(latents, *arguments, **named):
        if next(calls) != 1:
            return decode(latents, *arguments, **named)
        error = OSError(errno.EMFILE, "Too many open files")
        if not is_wrapped:
            raise error
        raise RuntimeError("no file") from error

    with monkeypatch.context() as limited:
        limited.setattr(emoji_pipe.vae, "decode", without_handles)
        run = draw(tmp_path, emoji_pipe)
    assert [record.shard for record in run.records] == [0, 2]
    assert not run.is_complete
    assert (run.images()["status"] == "drawn").all()
    assert_same(draw(tmp_path, emoji_pipe), uninterrupted)


def test_errors_that_mean_a_full_disk():
    assert is_disk_full(OSError(errno.ENOSPC, "No space left on device"))
    assert not is_disk_full(OSError(errno.EACCES, "Permission denied"))


def test_a_read_only_disk(tmp_path, monkeypatch):
    def refuse(path, missing_ok=False):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", refuse)
    with (
        pytest.raises(FileError, match="No such file"),
        whole_file(tmp_path / "no" / "x") as partial,
    ):
        partial.write_text("x")
