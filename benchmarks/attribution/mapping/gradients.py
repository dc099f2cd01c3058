"""Gradient times attention: which attention to a word lowers the denoising loss, to first order.

Let L be the mean squared error of what the denoiser predicts for the noised image, and p the attention of a pixel to
the subwords of a word in one attention head. The map is ``max(0, -sum p dL/dp)`` over the subwords, averaged over
heads, layers, and timesteps (after Chefer et al. 2021, who take the positive part of gradient times attention). The sum
is the derivative of L by a factor on the attention of this pixel to the word, so `intervene` with a scale near 1
measures the same by finite differences, which a test does.

An attention call's output is ``p @ v``, so ``dL/dp`` is the gradient of L by the output, times the values: no model
has to keep its attention weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.attribution.cases import Case, Maps, by_case, pairs
from daam_syntax.attention.families import family_of
from daam_syntax.attention.given_images.reading import GivenBatch, Prediction
from daam_syntax.attention.observers.controller import AttentionController, CallSite
from daam_syntax.attention.observers.observer_context import ObserverContext
from daam_syntax.attention.pipeline_call.call import PipelineCall
from daam_syntax.attention.pipeline_call.word_keys import columns_of, keys_of_words
from daam_syntax.attention.softmax.edited_weights import attention_weights
from daam_syntax.attention.softmax.probabilities import AttentionCall
from daam_syntax.maps.resizing import bicubic


@dataclass(frozen=True, eq=False)
class _Call:
    """An attention call to the text in the denoiser call that is running."""

    site: CallSite
    call: AttentionCall
    value: Tensor
    output: Tensor


@dataclass(eq=False)
class _Gradients:
    """Follows denoiser calls, and sums the maps of each layer."""

    cases: Sequence[Case]
    sums: dict[str, np.ndarray] = field(default_factory=dict)
    n_steps: int = 0
    _calls: list[_Call] = field(default_factory=list)
    _keys: list[list[int]] = field(default_factory=list)

    def start(self, pipeline_call: PipelineCall) -> None:
        """Find the text keys of the words."""
        self._keys = [
            keys_of_words(pipeline_call, number, self.cases[number].sentence, [word])
            for number, word in pairs(self.cases)
        ]

    def end(self, pipeline_call: PipelineCall) -> None:
        """Keep nothing of the call."""
        self._calls.clear()

    def keep(self, site: CallSite, call: AttentionCall, value: Tensor, output: Tensor) -> Tensor:
        """Keep an attention call to the text until the loss is known."""
        if site.grid is not None:
            output = output if output.requires_grad else output.requires_grad_()
            self._calls.append(_Call(site, call, value.detach(), output))
        return output

    def predicted(self, prediction: Prediction) -> None:
        """Add gradient times attention of one denoiser call."""
        output = prediction.output
        loss = (output - prediction.target).square().flatten(1).mean(1).sum()
        found = torch.autograd.grad(loss, [each.output for each in self._calls])
        torch.set_grad_enabled(False)
        for each, gradient in zip(self._calls, found, strict=True):
            maps = self._maps(each, gradient)
            path = each.site.path
            self.sums[path] = self.sums.get(path, 0.0) + maps
        self._calls.clear()
        self.n_steps += 1

    def _maps(self, each: _Call, gradient: Tensor) -> np.ndarray:
        """Return the positive part for each word, averaged over heads, *shape* ``(word, y, x)``."""
        site, value = each.site, each.value.float()
        assert site.grid is not None, "only calls with a grid are kept"
        heads = each.call.query.shape[1]
        if value.shape[1] != heads:
            value = value.repeat_interleave(heads // value.shape[1], dim=1)
        maps = []
        for (number, _), keys in zip(pairs(self.cases), self._keys, strict=True):
            row, layout = site.rows.start + number, site.layouts[number]
            columns = columns_of(keys, layout.text)
            weights = attention_weights(each.call, row, layout.pixels)[..., columns]
            slopes = gradient[row, :, layout.pixels].float() @ value[row][:, columns].mT
            lowers = (-(weights * slopes).sum(-1)).clamp(min=0).mean(0)
            maps.append(lowers.reshape(site.grid).cpu().numpy())
        return np.stack(maps)


def gradient_maps(
    pipe: Any, cases: Sequence[Case], timesteps: Sequence[int], seed: int = 0
) -> list[Maps]:
    """Return gradient times attention of the words of some images of one size.

    Parameters
    ----------
    pipe
        A pipeline of a known family.
    cases
        The images, their captions, and the words.
    timesteps
        Training timesteps at which the images are read.
    seed
        Seed of the noise.
    """
    layers = list(layer_gradients(pipe, cases, timesteps, seed).values())
    grid = max((maps.shape[-2:] for maps in layers), key=lambda shape: shape[0] * shape[1])
    return by_case(cases, list(np.mean([bicubic(maps, grid) for maps in layers], axis=0)))


def layer_gradients(
    pipe: Any, cases: Sequence[Case], timesteps: Sequence[int], seed: int = 0
) -> dict[str, np.ndarray]:
    """Return the maps of each layer: the positive part, averaged over attention heads and timesteps.

    Parameters are those of `gradient_maps`. *Shape:* ``(word, y, x)``, in the order of `pairs`, by module path.
    """
    batch = GivenBatch.prepare(
        pipe,
        [case.image for case in cases],
        [case.sentence.text for case in cases],
        timesteps=timesteps,
    )
    gradients = _Gradients(cases)
    controller = AttentionController(
        pipe, override=gradients.keep, on_start=gradients.start, on_end=gradients.end
    )
    with torch.no_grad(), _with_gradients(pipe), ObserverContext(controller):
        batch.read(range(len(cases)), seed, on_prediction=gradients.predicted)
    return {path: maps / gradients.n_steps for path, maps in gradients.sums.items()}


@contextmanager
def _with_gradients(pipe: Any) -> Iterator[None]:
    """Record the graph from each call of the denoiser on, until `_Gradients.predicted` stops it."""
    denoiser: Any = family_of(pipe).denoiser_of(pipe)
    hook = denoiser.register_forward_pre_hook(lambda *_: torch.set_grad_enabled(True) and None)
    try:
        yield
    finally:
        hook.remove()
