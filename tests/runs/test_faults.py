"""`analyze` given twice, around a fault, leaves what it leaves without one; `benchmarks.survival` has many trials."""

import pytest

from benchmarks.survival.commands import commands, load_libraries
from benchmarks.survival.damage import damage_trials
from benchmarks.survival.signals import signal_trials
from benchmarks.survival.writers import writer_trials

pytestmark = pytest.mark.slow  # kills processes

KINDS = {
    "signals": lambda command, place: signal_trials(command, place, trials=1),
    "damage": lambda command, place: damage_trials(command, place, every=25),
    "writers": lambda command, place: writer_trials(command, place, trials=1),
}


@pytest.fixture(scope="module", autouse=True)
def libraries():
    load_libraries()


@pytest.mark.parametrize("kind", KINDS)
def test_an_analysis_survives(tmp_path, kind):
    command, _ = commands(tmp_path)
    counts = dict(KINDS[kind](command, tmp_path))
    assert counts
    for fault, count in counts.items():
        assert count.trials >= 1, fault
        assert (count.survived, count.clean) == (count.trials, count.trials), (fault, count.lost)
