"""Small runs of the embedded model, and comparisons between runs."""

import multiprocessing
import os
import signal

import numpy as np
import pandas as pd

from daam_syntax import runs

PROMPTS = ["a red cat and a red car", "a snowman; =1+1 <b>x</b>"]
SETTINGS = {
    "seeds": 3,
    "steps": 2,
    "guidance": 1.0,  # none
    "height": 64,
    "width": 96,
    "map_size": 6,
    "batch_size": 2,  # the second batch holds both prompts
    "shard_size": 2,
}
N_IMAGES, N_SHARDS = 6, 3


def draw(out, pipe, prompts=PROMPTS, **changes):
    return runs.run(prompts, out, pipe, **SETTINGS | changes)


def assert_same(run, other):
    """Assert that two runs have bit-identical tables, maps and images, each row once and in order."""
    for table in ("pairs", "words", "images"):
        pd.testing.assert_frame_equal(getattr(run, table)(), getattr(other, table)())
    recorded, expected = list(run.maps()), list(other.maps())
    assert len(recorded) == len(expected)
    for maps, reference in zip(recorded, expected, strict=True):
        np.testing.assert_array_equal(maps.data, reference.data)
        assert maps.subwords == reference.subwords
        assert maps.sentence == reference.sentence
        assert maps.provenance == reference.provenance
    for (number, image), (n, reference) in zip(run.pil_images(), other.pil_images(), strict=True):
        assert number == n
        np.testing.assert_array_equal(image, reference)
    drawn = [number for number, _ in run.numbered_maps()]
    assert drawn == sorted(set(drawn))


def in_child(function):
    """Run a function in a forked process, which shares the loaded model, and return its exit code."""
    child = multiprocessing.get_context("fork").Process(target=function)
    child.start()
    child.join()
    return child.exitcode


def die_at(owner, name, count):
    """Kill this process just before call number `count` of a function, from 0."""
    original = getattr(owner, name)
    calls = iter(range(count + 1))

    def counted(*args, **kwargs):
        if next(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **kwargs)

    setattr(owner, name, counted)
