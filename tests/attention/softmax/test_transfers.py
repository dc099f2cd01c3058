"""Copies between a device and main memory: right values, few waits, nothing read twice."""

import pytest
import torch

from daam_syntax.attention.softmax.layer_sums import LayerSums
from daam_syntax.attention.softmax.transfers import HostCopies, ReadOnce, indices
from helpers.emulated_device import emulated_device


def test_copies_arrive_with_one_wait_for_each_device():
    with emulated_device() as accelerator:
        sources = [torch.arange(3.0, device=f"cuda:{n % 2}") + n for n in range(6)]
        copies = HostCopies()
        arrived = [copies.copy(source) for source in sources]
        assert not accelerator.waits
        copies.wait()
        assert sum(accelerator.waits.values()) == 2
        copies.wait()
        assert sum(accelerator.waits.values()) == 2
    for n, copy in enumerate(arrived):
        assert copy.tolist() == [n, n + 1, n + 2]


@pytest.mark.parametrize("kind", ["cpu", "mps"])
def test_other_devices_copy_at_once(kind):
    with emulated_device("mps", n_devices=1):
        copy = HostCopies().copy(torch.ones(2, device=kind))
        assert copy.tolist() == [1, 1]
        assert copy.device.type == "cpu"


def test_kept_sums_of_a_device_are_those_of_the_host():
    generator = torch.Generator().manual_seed(0)
    added = [torch.rand(1, 2, 6, 3, generator=generator) for _ in range(4)]
    expected, found = LayerSums(("head",)), LayerSums(("head",))
    with emulated_device() as accelerator:
        for number, values in enumerate(added):
            layer, values_there = "ab"[number % 2], values.to("cuda")
            expected.add(layer, (2, 3), values)
            found.add(layer, (2, 3), values_there)
            values_there.zero_()  # the model writes over its tensors
            if number % 2:
                size_before = found.n_bytes
                accelerator.waits.clear()
                expected.settle()
                found.settle()
                assert sum(accelerator.waits.values()) == 1
                assert found.n_bytes <= size_before
        assert found.n_bytes == expected.n_bytes
        assert found.device == torch.device("cpu")
    one, other = (each.kept_maps(0, [0, 2], []) for each in (found, expected))
    assert one.mean.tolist() == other.mean.tolist()


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_positions_select_as_a_list_does_without_a_wait(device):
    values = torch.arange(12.0).reshape(3, 4)
    with emulated_device() as accelerator:
        there = values.to(device)
        accelerator.waits.clear()
        selected = there[:, indices([3, 0], there.device)]
        none = there[:, indices([], there.device)]
        assert not accelerator.waits
        assert selected.tolist() == values[:, [3, 0]].tolist()
        assert none.shape == (3, 0)


def test_a_tensor_is_read_once_until_it_is_changed():
    read = ReadOnce(lambda tensor: tensor.sum().item())
    with emulated_device() as accelerator:
        tensor = torch.ones(3, device="cuda")
        assert [read(tensor) for _ in range(3)] == [3, 3, 3]
        assert sum(accelerator.waits.values()) == 1
        tensor.mul_(2)
        assert [read(tensor), read(tensor.clone())] == [6, 6]
        assert sum(accelerator.waits.values()) == 3
        alive = len(accelerator.live)
        del tensor
        assert len(accelerator.live) < alive
