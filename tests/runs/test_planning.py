"""Estimates of the cost of a run."""

import pytest

from daam_syntax import runs
from helpers.synthetic_run import write_run


def test_the_cost_is_proportional_to_that_of_a_small_run(tmp_path):
    run = write_run(tmp_path, ["a red cat", "one", "a red house"], seeds=3)
    small = sum(file.n_bytes for record in run.records for file in record.files.values())
    cost = runs.plan(3000, 3, run, workers=2)
    assert cost.n_images == 9000
    assert sum(cost.n_bytes.values()) == pytest.approx(1000 * small, rel=1e-6)
    seconds = sum(record.seconds for record in run.records)
    assert cost.seconds == pytest.approx(1000 * seconds / 2)
    assert runs.plan(3000, 3, run, rate=0.5).seconds == 18_000
    assert "time    05:00:00" in str(runs.plan(3000, 3, run, rate=0.5))
    assert cost.peak_memory == max(s["peak_memory"] for s in run.sessions)
