"""`analyze` given twice, around a fault, leaves what it leaves without one; `benchmarks.survival` has many trials."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

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


@pytest.fixture(scope="module")
def fresh():
    """A process that has only imported: torch does not survive a fork after its thread pool was set."""
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=load_libraries) as executor:
        yield executor


def counts_of(kind, place):
    command, _ = commands(place)
    return dict(KINDS[kind](command, place))


@pytest.mark.parametrize("kind", KINDS)
def test_an_analysis_survives(fresh, tmp_path, kind):
    counts = fresh.submit(counts_of, kind, tmp_path).result()
    assert counts
    for fault, count in counts.items():
        assert count.trials >= 1, fault
        assert (count.survived, count.clean) == (count.trials, count.trials), (fault, count.lost)
