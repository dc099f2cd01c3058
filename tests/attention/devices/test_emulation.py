"""The emulated accelerator behaves as a real one where the tests rely on it, and leaves nothing behind."""

import operator
from collections import Counter

import pytest
import torch
from torch.overrides import _get_current_function_mode_stack
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from daam_syntax.attention import trace
from daam_syntax.attention.softmax.transfers import HostCopies
from daam_syntax.errors import TraceError
from helpers.emulated_device import EmulatedTensor, emulated_device
from helpers.tiny_pipelines import make_sd
from helpers.tracing import CAT, draw


@pytest.fixture
def accelerator():
    with emulated_device() as found:
        yield found


def on(device, *shape):
    return torch.ones(shape or (3,), device=device)


MIXED = {
    "addition": lambda: on("cuda") + on("cpu"),
    "second device": lambda: on("cuda:0") * on("cuda:1"),
    "product": lambda: on("cuda", 2, 3) @ on("cpu", 3, 2),
    "linear layer": lambda: torch.nn.Linear(3, 3).to("cuda")(on("cpu")),
    "in a list": lambda: torch.stack([on("cuda")[0], torch.tensor(1.0)]),
    "into the host": lambda: on("cpu").add_(on("cuda")),
    "as index": lambda: on("cpu")[torch.tensor([0], device="cuda")],
    "attention": lambda: torch.nn.functional.scaled_dot_product_attention(
        on("cuda", 1, 1, 2, 4), on("cuda", 1, 1, 2, 4), on("cpu", 1, 1, 2, 4)
    ),
}


@pytest.mark.parametrize("mix", MIXED)
def test_tensors_of_two_devices_do_not_mix(accelerator, mix):
    with pytest.raises(RuntimeError, match=r"same device"):
        MIXED[mix]()


def test_single_numbers_and_indices_of_the_host_mix(accelerator):
    assert (on("cuda") + torch.tensor(1.0)).tolist() == [2, 2, 2]
    assert on("cuda")[torch.tensor([0, 1])].device == torch.device("cuda:0")


def test_random_numbers_need_a_generator_of_the_device(accelerator):
    with pytest.raises(RuntimeError, match="device type for generator"):
        torch.randn(2, device="cuda", generator=torch.Generator())
    own = torch.Generator("cuda").manual_seed(3)
    assert own.device.type == "cuda"
    found = torch.randn(2, device="cuda", generator=own)
    assert found.tolist() == torch.randn(2, generator=torch.Generator().manual_seed(3)).tolist()


WAITS = {
    "item": (lambda x: x[0].item(), {"item": 1}),
    "float": (lambda x: float(x.sum()), {"item": 1}),
    "condition": (lambda x: bool((x > 0).all()), {"item": 1}),
    "tolist": (lambda x: x.tolist(), {"copy to the host": 1}),
    "cpu": (lambda x: x.cpu(), {"copy to the host": 1}),
    "to": (lambda x: x.to("cpu", torch.float64), {"copy to the host": 1}),
    "into the host": (lambda x: torch.empty(3).copy_(x), {"copy to the host": 1}),
    "equal": (lambda x: torch.equal(x, x), {"equal": 1}),
    "nonzero": (lambda x: x.nonzero(), {"nonzero": 1}),
    "boolean index": (lambda x: x[x > 0], {"boolean index": 1}),
    "list as index": (lambda x: x[[0, 2]], {"index from the host": 1}),
    "from the host": (lambda x: torch.ones(3).to(x.device), {"copy to the device": 1}),
    "new numbers": (lambda x: torch.tensor([1.0], device=x.device), {"copy to the device": 1}),
    "its own numbers": (lambda x: torch.tensor([x[0]]), {"item": 1}),
}
NO_WAITS = {
    "arithmetic": lambda x: (x * 2 + 1).softmax(0).mean(),
    "ranges": lambda x: torch.arange(3, device=x.device) + torch.zeros_like(x),
    "slices": lambda x: x[1:][None, ..., 0],
    "indices of the device": lambda x: x[torch.arange(2, device=x.device)],
    "condition of the device": lambda x: torch.where(x > 0, x, 0.0),
    "filling": lambda x: operator.setitem(x, x > 0, 1.0),
    "another device": lambda x: x.to("cuda:1"),
    "not waited for": lambda x: x.to("cpu", non_blocking=True),
    "nor from the host": lambda x: torch.ones(3).to(x.device, non_blocking=True),
    "number format": lambda x: x.double().to(torch.float16),
}


@pytest.mark.parametrize("name", WAITS)
def test_waits_of_the_host_are_counted_by_line(accelerator, name):
    operation, expected = WAITS[name]
    x = on("cuda")
    operation(x)
    found = Counter()
    for wait, n in accelerator.waits.items():
        assert (wait.library, wait.line) == (
            "other",
            f"test_emulation.py:{operation.__code__.co_firstlineno}",
        )
        found[wait.kind] += n
    assert found == expected


@pytest.mark.parametrize("name", NO_WAITS)
def test_what_is_queued_is_not_waited_for(accelerator, name):
    NO_WAITS[name](on("cuda"))
    assert not accelerator.waits


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
@pytest.mark.parametrize("way", ["to", "copy_"])
def test_a_copy_that_is_read_too_early_has_no_right_number(accelerator, way, dtype):
    x = torch.arange(4, device="cuda").to(dtype)
    ways = {
        "to": lambda: x.to("cpu", non_blocking=True),
        "copy_": lambda: torch.empty(4, dtype=dtype).copy_(x, non_blocking=True),
    }
    copy = ways[way]()
    x.zero_()  # the device works in order: the copy was before
    expected = torch.arange(4).to(dtype)
    assert not (copy == expected).any()
    torch.cuda.current_stream("cuda:1").synchronize()
    assert not (copy == expected).any()
    torch.cuda.current_stream(x.device).synchronize()
    assert torch.equal(copy, expected)
    assert {wait.kind for wait in accelerator.waits} == {"synchronize"}


def test_a_trace_that_does_not_wait_for_its_copies_is_caught(accelerator, monkeypatch):
    pipe = make_sd().to("cuda")
    monkeypatch.setattr(HostCopies, "wait", lambda self: None)
    with trace(pipe, keep=("step",)) as recording:
        draw(pipe, CAT, steps=1)
    with pytest.raises(TraceError, match="Expected finite attention"):
        recording.heat_maps()


def test_memory_is_counted_by_device(accelerator):
    x = torch.zeros(2**20, device="cuda:1")
    view = x.detach()[10:]
    assert torch.cuda.memory_allocated("cuda:1") == 4 * 2**20
    assert torch.cuda.memory_allocated() == 0
    free, total = torch.cuda.mem_get_info("cuda:1")
    assert total - free == 4 * 2**20
    assert any(each is x for each in accelerator.live)
    del x
    assert torch.cuda.memory_allocated("cuda:1") == 4 * 2**20
    del view
    assert torch.cuda.memory_allocated("cuda:1") == 0 == len(accelerator.live)
    assert torch.cuda.max_memory_allocated("cuda:1") == 4 * 2**20
    torch.cuda.reset_peak_memory_stats("cuda:1")
    assert torch.cuda.max_memory_allocated("cuda:1") == 0


def test_modules_move_there_and_back(accelerator):
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)).eval()
    inputs = torch.randn(4, 3)
    expected = module(inputs)
    module.to("cuda").half().float()
    assert {each.device for each in module.state_dict().values()} == {torch.device("cuda:0")}
    assert all(isinstance(each, torch.nn.Parameter) for each in module.parameters())
    assert module(inputs.to("cuda")).cpu().sub(expected).abs().max() < 1e-3
    module.to("cpu")
    assert not any(isinstance(each, EmulatedTensor) for each in module.state_dict().values())


def test_default_device(accelerator):
    torch.set_default_device("cuda")
    try:
        made = torch.zeros(2), torch.tensor([1.0]), torch.as_tensor([1.0]), torch.arange(2)
        assert {each.device for each in made} == {torch.device("cuda:0")}
        assert torch.zeros(2, device="cpu").device.type == "cpu"
    finally:
        torch.set_default_device(None)


def test_mps_has_no_float64_and_no_kernels_that_write_over_their_input():
    with emulated_device("mps", n_devices=1):
        x = torch.ones(3, device="mps")
        assert x.device == torch.device("mps:0")
        with pytest.raises(TypeError, match="float64"):
            x.double()
        with pytest.raises(TypeError, match="float64"):
            torch.zeros(3, dtype=torch.float64).to("mps")
        torch.softmax(x, 0, out=torch.empty_like(x))
        with pytest.raises(RuntimeError, match="output"):
            torch.softmax(x, 0, out=x)


def state():
    modes = [*_get_current_function_mode_stack(), *_get_current_dispatch_mode_stack()]
    places = (torch, torch.cuda, torch.mps, torch.backends.mps, torch.Tensor)
    return [modes, *(dict(vars(place)) for place in places)]


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_everything_is_restored_also_after_an_error(kind):
    before, made = state(), []

    def fail():
        with emulated_device(kind):
            made.append(torch.ones(2, device=kind))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert state() == before
    assert torch.ones(2).to("cpu").device.type == "cpu"
    with pytest.raises((AssertionError, RuntimeError)):
        torch.ones(2, device=kind)
    with pytest.raises(RuntimeError, match="outlived the emulation"):
        made[0] + made[0]
