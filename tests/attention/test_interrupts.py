"""A pipeline is restored whatever moment an interrupt comes at: while it is entered, used, or left."""

import contextlib
import os
import signal
import sys

import pytest
import torch
from torch.overrides import _get_current_function_mode_stack

from daam_syntax.attention import Edit, StateEdit, intervene, observe, record_attention, trace
from daam_syntax.attention.hooks.method_wrapping import WrappedMethods
from daam_syntax.attention.pipeline_call.state_editing import STATE_CHANGERS
from daam_syntax.errors import TraceError
from helpers.tiny_pipelines import make_sd
from helpers.tracing import CAT, draw

WATCHED = ("daam_syntax/attention", "torch/nn/modules/module.py", "torch/overrides.py")


@pytest.fixture(scope="module")
def pipe():
    """A pipeline with three attentions to text, in which every line can be interrupted."""
    pipe = make_sd(
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )
    draw(pipe, CAT, steps=1)  # sets what pipelines set in their first call
    return pipe


def state(pipe):
    """Return everything that an observer might leave behind."""
    kinds = (
        "_forward_hooks",
        "_forward_pre_hooks",
        "_forward_hooks_with_kwargs",
        "_forward_hooks_always_called",
        "_forward_pre_hooks_with_kwargs",
    )
    modules = [*pipe.unet.modules(), *pipe.text_encoder.modules()]
    hooks = [len(getattr(module, kind)) for module in modules for kind in kinds]
    return (
        hooks,
        len(STATE_CHANGERS),
        {name for name in vars(pipe) if not name.startswith("_")},
        set(vars(pipe.image_processor)),
        type(pipe.tokenizer),
        list(_get_current_function_mode_stack()),
        signal.getsignal(signal.SIGINT),
    )


class InterruptAt:
    """Raise `KeyboardInterrupt` before the `number`-th line that runs in the watched files; count the lines."""

    def __init__(self, number):
        self.number, self.n_lines = number, 0

    def __enter__(self):
        sys.settrace(self._called)
        return self

    def __exit__(self, *_):
        sys.settrace(None)

    def _called(self, frame, event, argument):
        watched = any(part in frame.f_code.co_filename for part in WATCHED)
        return self._line if watched and frame.f_code.co_filename != __file__ else None

    def _line(self, frame, event, argument):
        if event == "line":
            if self.n_lines == self.number:
                raise KeyboardInterrupt
            self.n_lines += 1
        return self._line


OBSERVERS = {
    "trace": trace,
    "observe": lambda pipe: observe(pipe, print),
    "intervene": lambda pipe: intervene(pipe, Edit("cat")),
    "intervene on states": lambda pipe: intervene(pipe, StateEdit("cat", by="red", layer=1)),
    "record": record_attention,
}


def interrupted(use, number=-1):
    """Interrupt a function, and return the number of lines that ran in the watched files."""
    expected = pytest.raises(KeyboardInterrupt) if number >= 0 else contextlib.nullcontext()
    with InterruptAt(number) as lines, expected:
        use()
    return lines.n_lines


@pytest.mark.parametrize("name", OBSERVERS)
def test_entering_and_leaving(pipe, name):
    observer, before = OBSERVERS[name](pipe), state(pipe)

    def use():
        with observer:
            pass

    for number in range(interrupted(use)):
        interrupted(use, number)
        assert state(pipe) == before, number
    untraced = draw(pipe, CAT, steps=1)
    with observer:
        image = draw(pipe, CAT, steps=1)
    assert torch.equal(image, untraced) == ("intervene" not in name)
    assert state(pipe) == before


def test_one_inside_another(pipe):
    """Only the inner one is restored by an interrupt that does not end the outer one."""
    before = state(pipe)
    with observe(pipe, lambda observed: None):
        outer, recording = state(pipe), trace(pipe)

        def use():
            with recording:
                pass

        for number in range(0, interrupted(use), 3):
            interrupted(use, number)
            assert state(pipe) == outer, number
        with recording:
            draw(pipe, CAT, steps=1)
    assert len(recording.heat_maps()) == 1
    assert state(pipe) == before


def test_a_second_trace_that_is_refused_leaves_the_first_one(pipe):
    with trace(pipe) as recording:
        inner = state(pipe)
        for other in (recording, trace(pipe)):

            def use(other=other):
                with pytest.raises(TraceError, match="open already"), other:
                    pass

            for number in range(0, interrupted(use), 2):
                interrupted(use, number)
                assert state(pipe) == inner, number
        draw(pipe, CAT, steps=1)
    assert len(recording.heat_maps()) == 1


def test_encoding_with_edits_of_states(pipe):
    """While sources are encoded, hooks are on the text encoder, and its tokenizer is recorded."""
    edits = [StateEdit("cat", by="red", layer=1), StateEdit("red", alone=True)]
    before, intervention = state(pipe), intervene(pipe, edits)

    def use():
        with intervention, torch.no_grad():
            pipe.encode_prompt(CAT, "cpu", 1, False)

    n_lines = interrupted(use)
    for number in range(0, n_lines, max(1, n_lines // 25)):
        interrupted(use, number)
        assert state(pipe) == before, number


def test_pipeline_calls(pipe):
    """Also in methods of the pipeline, while tokenizers are recorded, and in the attention itself."""
    before, recording = state(pipe), trace(pipe)

    def use():
        with recording:
            draw(pipe, CAT, steps=1, size=(16, 16))

    n_lines = interrupted(use)
    step = max(1, n_lines // 40)
    for number in range(0, n_lines, step):
        interrupted(use, number)
        assert state(pipe) == before, number
    before_maps = len(recording.heat_maps())
    use()
    assert len(recording.heat_maps()) == before_maps + 1


def test_signals_while_restoring_are_deferred(pipe):
    """A real Ctrl-C that comes while hooks are removed is raised once they are gone."""
    before, recording = state(pipe), trace(pipe)
    detach = recording._observer._restore

    finished = []

    def interrupt():
        recording._observer._restore = detach
        os.kill(os.getpid(), signal.SIGINT)
        detach()
        finished.append(state(pipe)[:-1])  # all but the handler of the signal

    recording._observer._restore = interrupt
    # A process in which tests run in parallel may ignore the signal.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), recording:
            pass
    finally:
        signal.signal(signal.SIGINT, handler)
    assert finished == [before[:-1]]
    assert state(pipe) == before


def test_an_exit_stack(pipe):
    before = state(pipe)
    with contextlib.ExitStack() as stack:
        recording = stack.enter_context(trace(pipe))
        draw(pipe, CAT, steps=1)
    assert state(pipe) == before
    assert len(recording.heat_maps()) == 1


class Owner:
    def method(self):
        return "original"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_wrapped_methods_are_restored_in_any_order(order):
    owner = Owner()
    wrapped = [WrappedMethods(owner) for _ in range(2)]
    for number, each in enumerate(wrapped):
        each.wrap("method", lambda call, arguments, number=number: f"{number} {call()}")
    assert owner.method() == "1 0 original"
    wrapped[order[0]].restore()
    assert owner.method() == f"{order[1]} original"
    wrapped[order[1]].restore()
    assert owner.method() == "original"
    assert not vars(owner)
