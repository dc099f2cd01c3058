"""Following a pipeline to intervene on it: whose attention a call is, when, and over which keys."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

from torch import Tensor, nn

from daam_syntax.attention.drawings import Drawing, Recorder
from daam_syntax.attention.families import Split, family_of
from daam_syntax.attention.families.layouts import CallSizes
from daam_syntax.attention.methods import WrappedMethods
from daam_syntax.attention.probabilities import AttentionCall
from daam_syntax.attention.request import Request
from daam_syntax.attention.tap import Tap
from daam_syntax.errors import TraceError

_CHANGED: WeakSet[nn.Module] = WeakSet()
"""The denoisers whose attention is changed at this moment."""


@dataclass(frozen=True)
class Site:
    """Where and when an attention call is made.

    Attributes
    ----------
    path
        The module's path in the denoiser.
    grid
        Rows and columns (y, x) of its pixels; None for attention that is not to the text.
    drawing
        What is being drawn.
    step
        Number of the step, from 0: a step is a call of the denoiser with the prompts.
    progress
        Share of the drawing's steps that are over; NaN if it is not known how many there will be.
    timestep
        The timestep.
    rows
        The rows of the batch that are drawn from the prompts, one per image.
    splits
        For each image, which queries are pixels and which keys are text; empty for attention that
        is not to the text.
    """

    path: str
    grid: tuple[int, int] | None
    drawing: Drawing
    step: int
    progress: float
    timestep: float
    rows: slice
    splits: tuple[Split, ...]

    def prompt_of(self, image: int) -> int:
        """Return the number of the prompt that an image is drawn from."""
        return image // self.drawing.images_per_prompt


Response = Callable[[Site, AttentionCall, Tensor, Tensor], Tensor]
"""A function of the site, the call, its values and its output, which returns what to use instead."""


class Follower(Recorder):
    """Follows a pipeline inside a ``with`` block and answers its attention calls.

    Parameters
    ----------
    pipe
        A pipeline of a known family.
    respond
        Asked at every attention call of the rows that are drawn from the prompts.
    begun, ended
        Told of each drawing, before its first step and after its last.
    self_attention
        Whether attention that is not to the text is answered, too.
    changes
        Whether `respond` may change anything: only one such follower may be at work on a model.
    """

    def __init__(
        self,
        pipe: Any,
        *,
        respond: Response,
        begun: Callable[[Drawing], None],
        ended: Callable[[Drawing], None],
        self_attention: bool = False,
        changes: bool = True,
    ) -> None:
        family = family_of(pipe)
        denoiser = family.denoiser_of(pipe)
        attentions = {
            path: module
            for path, module in denoiser.named_modules()
            if family.is_text_attention(path, module)
        }
        if not attentions:
            raise TraceError(
                f"Expected text attentions in the {family.denoiser} of {type(pipe).__name__}, but "
                "it has none: a model without text has no words to intervene on."
            )
        super().__init__(pipe, family, attentions, Request(layers=[]))  # records none
        others = {
            path: module
            for path, module in denoiser.named_modules()
            if self_attention and hasattr(module, "get_processor") and path not in attentions
        }
        self.denoiser = denoiser
        self._respond = respond
        self._begun = begun
        self._ended = ended
        self._changes = changes
        self._step = -1
        self._tap = Tap(denoiser, attentions | others, self, self._answer)
        self._methods = WrappedMethods(pipe)
        self._sizes = WrappedMethods(getattr(pipe, "image_processor", None))
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        if self._changes and self.denoiser in _CHANGED:
            raise TraceError(
                "Expected a model whose attention is not being changed, but an intervention on it is "
                "open already: end that one first, or pass all edits in one list."
            )
        with ExitStack() as undo:
            undo.callback(self.give_up)
            undo.callback(self._tap.detach)
            undo.callback(self._methods.restore)
            undo.callback(self._sizes.restore)
            if self._changes:
                undo.callback(_CHANGED.discard, self.denoiser)
                _CHANGED.add(self.denoiser)
            self._tap.attach()
            self._methods.wrap("check_inputs", self.starting)
            self._sizes.wrap("classify_height_width_bin", self.choosing_size)
            self._methods.wrap("encode_prompt", self.encoding)
            self._methods.wrap("prepare_latents", self.preparing)
            self._methods.wrap("prepare_intermediate_images", self.preparing)
            self._methods.wrap("maybe_free_model_hooks", self.finishing)
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._undo.close()

    def denoiser_called(self, inputs: Mapping[str, Any]) -> None:
        """Count the steps."""
        drawing = self._drawing()
        if not drawing.timesteps:
            self._step = -1
            self._begun(drawing)
        super().denoiser_called(inputs)
        if self._rows is not None:
            self._step += 1

    def attention_ran(self, path: str, module: nn.Module, calls: Any) -> None:
        """Check that text attentions made a call with the text."""
        if path in self._attentions:
            super().attention_ran(path, module, calls)

    def finishing(self, call: Callable[[], Any], arguments: Mapping[str, Any]) -> Any:
        """Close the drawing when the pipeline has come to its end."""
        result = call()
        drawing, self.current = self.current, None
        if drawing is not None:
            if not drawing.heard:
                raise TraceError(
                    f"{type(self._pipe).__name__} drew, but its {self._family.denoiser} was not "
                    "heard: it was replaced or compiled. Intervene before torch.compile, or inside "
                    'torch.compiler.set_stance("force_eager").'
                )
            self._ended(drawing)
        return result

    def _answer(self, path: str, call: AttentionCall, value: Tensor, output: Tensor) -> Tensor:
        if self._rows is None:
            return output
        drawing = self._drawing()
        if call.query.shape[0] != self._n_rows:
            self._refuse_rows(drawing, call.query.shape[0])
        grid: tuple[int, int] | None = None
        splits: tuple[Split, ...] = ()
        if path in self._attentions:
            sizes = CallSizes(call.query.shape[-2], call.key.shape[-2], drawing.text_length)
            split = self._family.layout(sizes, self._inputs)
            if split is None:
                return output  # to the image of an IP-Adapter; or it is refused afterwards
            splits = tuple(
                split[self._rows] if isinstance(split, list) else [split] * drawing.n_images
            )
            grid = self._grid(path, splits[0].pixels.stop - splits[0].pixels.start)
        site = Site(
            path, grid, drawing, self._step, self._progress(), self._timestep, self._rows, splits
        )
        return self._respond(site, call, value, output)

    def _progress(self) -> float:
        expected = self._drawing().expected
        return self._step / len(expected) if expected else math.nan
