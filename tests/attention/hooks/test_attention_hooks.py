"""Hooks that observe attention calls and change nothing."""

import threading
import warnings

import pytest
import torch
from diffusers.models.attention_processor import Attention
from torch import nn
from torch.overrides import _get_current_function_mode_stack

from daam_syntax.attention.hooks.attention_hooks import AttentionHooks


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Attention(query_dim=8, cross_attention_dim=4, heads=2, dim_head=4)
        self.outer = Attention(query_dim=8, cross_attention_dim=4, heads=2, dim_head=4)

    def forward(self, pixels, text, *, noise=0.0):
        return self.outer(self.inner(pixels + noise, encoder_hidden_states=text), text)


class Events:
    """Callbacks that list what they receive."""

    def __init__(self):
        self.seen = []

    def denoiser_called(self, inputs):
        self.seen.append(("called", sorted(set(inputs) - {"self"})))

    def attention_ran(self, path, module, calls):
        self.seen.append((path, [tuple(call.key.shape) for call in calls]))

    def denoiser_returned(self):
        self.seen.append("returned")


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Model().eval()


@pytest.fixture
def events():
    return Events()


@pytest.fixture
def hooks(model, events):
    hooks = AttentionHooks(model, {"inner": model.inner, "outer": model.outer}, events)
    hooks.attach()
    yield hooks
    hooks.detach()


@pytest.fixture
def inputs():
    torch.manual_seed(1)
    return torch.randn(3, 10, 8), torch.randn(3, 5, 4)


ALL = [
    ("called", ["noise", "pixels", "text"]),
    ("inner", [(3, 2, 5, 4)]),
    ("outer", [(3, 2, 5, 4)]),
    "returned",
]


def count_hooks(model):
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_always_called")
    return sum(len(getattr(module, kind)) for module in model.modules() for kind in kinds)


def test_observes_everything_and_changes_nothing(model, events, inputs):
    expected = model(*inputs, noise=0.5)
    hooks = AttentionHooks(model, {"inner": model.inner, "outer": model.outer}, events)
    hooks.attach()
    assert count_hooks(model) > 0
    assert torch.equal(model(inputs[0], text=inputs[1], noise=0.5), expected)
    assert events.seen == ALL
    hooks.detach()
    assert count_hooks(model) == 0
    assert torch.equal(model(*inputs, noise=0.5), expected)
    assert events.seen == ALL


@pytest.mark.usefixtures("hooks")
def test_the_function_mode_is_active_only_inside_attention(model, inputs):
    depths = []
    model.inner.register_forward_pre_hook(lambda *_: depths.append("in"))
    for module in (model, model.inner.to_q, model.outer.to_q):
        module.register_forward_pre_hook(
            lambda *_: depths.append(len(_get_current_function_mode_stack()))
        )
    model(*inputs)
    assert depths == [0, "in", 1, 1]
    assert not _get_current_function_mode_stack()


@pytest.mark.usefixtures("hooks")
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_ends_observation(model, events, inputs, error):
    def fail(*_):
        raise error("in the middle")

    handle = model.outer.to_v.register_forward_pre_hook(fail)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(error, match="in the middle"):
            model(*inputs)
    handle.remove()
    if error is ValueError:  # after an interrupt, torch calls no hooks; the next call cleans up
        assert not _get_current_function_mode_stack()
    assert [each[0] for each in events.seen] == ["called", "inner"]
    events.seen.clear()
    model(*inputs, noise=0.0)
    assert events.seen == ALL
    assert not _get_current_function_mode_stack()


def test_detaching_ends_observation_after_an_interrupt(model, hooks, inputs):
    def interrupt(*_):
        raise KeyboardInterrupt

    handle = model.inner.to_q.register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        model(*inputs)
    handle.remove()
    hooks.detach()
    assert not _get_current_function_mode_stack()
    assert count_hooks(model) == 0


@pytest.mark.usefixtures("hooks")
def test_an_error_of_a_callback_reaches_the_caller_and_ends_observation(model, inputs, events):
    def refuse(path, module, calls):
        raise RuntimeError("not this one")

    events.attention_ran = refuse
    with pytest.raises(RuntimeError, match="not this one"):
        model(*inputs)
    assert not _get_current_function_mode_stack()


@pytest.mark.usefixtures("hooks")
def test_other_threads_are_not_observed(model, events, inputs):
    thread = threading.Thread(target=model, args=inputs)
    thread.start()
    thread.join()
    assert events.seen == []
