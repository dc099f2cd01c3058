"""Hooks that listen and change nothing."""

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


class AttentionCallbacks:
    def __init__(self):
        self.heard = []

    def denoiser_called(self, inputs):
        self.heard.append(("called", sorted(set(inputs) - {"self"})))

    def attention_ran(self, path, module, calls):
        self.heard.append((path, [tuple(call.key.shape) for call in calls]))

    def denoiser_returned(self):
        self.heard.append("returned")


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Model().eval()


@pytest.fixture
def listener():
    return AttentionCallbacks()


@pytest.fixture
def tap(model, listener):
    tap = AttentionHooks(model, {"inner": model.inner, "outer": model.outer}, listener)
    tap.attach()
    yield tap
    tap.detach()


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


def hooks(model):
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_always_called")
    return sum(len(getattr(module, kind)) for module in model.modules() for kind in kinds)


def test_hears_everything_and_changes_nothing(model, listener, inputs):
    untapped = model(*inputs, noise=0.5)
    tap = AttentionHooks(model, {"inner": model.inner, "outer": model.outer}, listener)
    tap.attach()
    assert hooks(model) > 0
    assert torch.equal(model(inputs[0], text=inputs[1], noise=0.5), untapped)
    assert listener.heard == ALL
    tap.detach()
    assert hooks(model) == 0
    assert torch.equal(model(*inputs, noise=0.5), untapped)
    assert listener.heard == ALL


def test_listens_inside_attention_only(model, tap, inputs):
    depths = []
    model.inner.register_forward_pre_hook(lambda *_: depths.append("in"))
    for module in (model, model.inner.to_q, model.outer.to_q):
        module.register_forward_pre_hook(
            lambda *_: depths.append(len(_get_current_function_mode_stack()))
        )
    model(*inputs)
    assert depths == [0, "in", 1, 1]
    assert not _get_current_function_mode_stack()


@pytest.mark.usefixtures("tap")
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_ends_listening(model, listener, inputs, error):
    def fail(*_):
        raise error("in the middle")

    handle = model.outer.to_v.register_forward_pre_hook(fail)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(error, match="in the middle"):
            model(*inputs)
    handle.remove()
    if error is ValueError:  # after an interrupt, torch calls no hook: the next call clears up
        assert not _get_current_function_mode_stack()
    assert [each[0] for each in listener.heard] == ["called", "inner"]
    listener.heard.clear()
    model(*inputs, noise=0.0)
    assert listener.heard == ALL
    assert not _get_current_function_mode_stack()


def test_detaching_ends_listening_after_an_interrupt(model, tap, inputs):
    def interrupt(*_):
        raise KeyboardInterrupt

    handle = model.inner.to_q.register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        model(*inputs)
    handle.remove()
    tap.detach()
    assert not _get_current_function_mode_stack()
    assert hooks(model) == 0


def test_a_listener_s_error_reaches_the_caller_and_ends_listening(model, tap, inputs, listener):
    def refuse(path, module, calls):
        raise RuntimeError("not this one")

    listener.attention_ran = refuse
    with pytest.raises(RuntimeError, match="not this one"):
        model(*inputs)
    assert not _get_current_function_mode_stack()


@pytest.mark.usefixtures("tap")
def test_other_threads_are_not_heard(model, listener, inputs):
    thread = threading.Thread(target=model, args=inputs)
    thread.start()
    thread.join()
    assert listener.heard == []
