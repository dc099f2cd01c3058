"""Timesteps are numbers, wherever they come from, and are fetched from a device together."""

import pytest
import torch

from daam_syntax.attention.pipeline_call.timesteps import Timesteps
from helpers.emulated_device import emulated_device


def filled(*timesteps):
    found = Timesteps()
    for timestep in timesteps:
        found.append(timestep)
    return found


@pytest.mark.parametrize(
    "timestep", [981, 981.0, torch.tensor(981), torch.tensor([981.0, 981.0])], ids=str
)
def test_every_form_is_a_number(timestep):
    (found,) = filled(timestep)
    assert type(found) is float
    assert found == 981


def test_a_device_is_waited_for_once():
    with emulated_device() as accelerator:
        there = torch.tensor([980, 500, 20], device="cuda")
        accelerator.waits.clear()
        found = filled(*there, there[:1])
        there.zero_()  # schedulers write over their timesteps
        assert len(found) == 4
        assert not accelerator.waits
        assert list(found) == [980, 500, 20, 980]
        assert found[1] == 500
        assert found[1:] == [500, 20, 980]
        assert found.distinct() == [980, 500, 20]
        assert sum(accelerator.waits.values()) == 1
        alive = len(accelerator.live)
        found.append(torch.tensor(3, device="cuda"))
        found.fetch()
        assert len(accelerator.live) == alive
        assert list(found) == [980, 500, 20, 980, 3]


def test_order_is_kept_between_devices_and_number_formats():
    with emulated_device():
        found = filled(
            7,
            torch.tensor(6, device="cuda:0"),
            torch.tensor(5.5, device="cuda:1"),
            torch.tensor(4),
            torch.tensor(3.5, dtype=torch.float16, device="cuda:1"),
        )
        assert list(found) == [7, 6, 5.5, 4, 3.5]
