"""Recording the self-attention of text encoders while prompts are encoded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from daam_syntax.attention.hooks.encoder_hooks import EncoderHooks, RowWeights
from daam_syntax.attention.hooks.interrupts import restore_completely
from daam_syntax.attention.softmax.pair_sums import pooled
from daam_syntax.attention.text_encoders.components import EncoderParts
from daam_syntax.attention.text_encoders.prompt_rows import find_rows
from daam_syntax.attention.texts.token_spans import Reading, read_prompt, record_readings
from daam_syntax.errors import TraceError
from daam_syntax.maps.word_attention.token_groups import TokenGroup, group_tokens


@dataclass
class RecordedText:
    """The recorded attention of one encoder to one prompt.

    Attributes
    ----------
    groups
        The tokens.
    truncated_at
        Offset of the first character that the encoder did not read; None if it read the whole prompt.
    layers
        Paths of the attention modules, in the order in which they ran.
    looks_forward
        Whether any token attends to a later one, padding aside.
    """

    groups: tuple[TokenGroup, ...]
    truncated_at: int | None
    layers: list[str] = field(default_factory=list)
    looks_forward: bool = False
    _parts: list[NDArray[Any]] = field(default_factory=list)
    _group_of: Tensor = field(default_factory=lambda: torch.zeros(0))

    @property
    def _is_read(self) -> Tensor:
        padding = [n for n, group in enumerate(self.groups) if group.kind == "padding"]
        return ~torch.isin(self._group_of, torch.tensor(padding))

    def add(self, path: str, weights: Iterable[Tensor], keep: Sequence[str]) -> None:
        """Add one layer's weights, some heads at a time, *shape* ``(head, query, key)``."""
        number = self.layers.count(path) + sum(
            each.startswith(f"{path} (call ") for each in self.layers
        )
        self.layers.append(f"{path} (call {number + 1})" if number else path)
        by_head = []
        for part in weights:
            read = self._is_read.to(part.device)
            self.looks_forward |= bool(part[:, read][..., read].triu(1).any())
            by_head.append(pooled_weights(part, self._group_of, len(self.groups)).cpu().numpy())
        values = np.concatenate(by_head)
        if np.isnan(values).any():
            raise TraceError(
                f"Expected finite attention, but {path} has NaN: the text encoder overflowed its number format. Use "
                "another one, e.g. pipe.to(torch.float32) or torch.bfloat16."
            )
        values = values if "head" in keep else values.mean(axis=0)
        if "layer" in keep or not self._parts:
            self._parts.append(values.astype(np.float32 if "layer" in keep else np.float64))
        else:
            self._parts[0] += values

    def values(self, keep: Sequence[str]) -> NDArray[Any]:
        """Return the attention, *shape* ``([layer], [head], query, key)``."""
        return np.stack(self._parts) if "layer" in keep else self._parts[0] / len(self.layers)

    @property
    def values_per_pair(self) -> int:
        """How many numbers are kept for each pair of groups."""
        return sum(part.size for part in self._parts) // len(self.groups) ** 2


def pooled_weights(weights: Tensor, group_of: Tensor, n_groups: int) -> Tensor:
    """Sum attention weights over the keys of each group, and average them over its queries.

    Parameters
    ----------
    weights
        *Shape:* ``(head, query, key)``
    group_of
        Number of the group of each position. *Shape:* ``(position,)``
    n_groups
        Number of groups, each with at least one position.

    Returns
    -------
    Tensor
        *Shape:* ``(head, group, group)``
    """
    summed = pooled(pooled(weights, group_of, n_groups, -1), group_of, n_groups, -2)
    return summed / torch.bincount(group_of, minlength=n_groups).to(summed.device)[:, None]


class EncoderRecorder:
    """Records the attention of one text encoder to some prompts, in the first of its calls that reads each of them.

    Parameters
    ----------
    parts
        The encoder and its tokenizer.
    prompts
        The prompts.
    keep
        The axes to keep, any of "layer" and "head"; attention is averaged over the others.
    layers
        Returns whether to record a layer, given its path and the grid ``(0, 0)``.

    Attributes
    ----------
    recorded
        The recording of each prompt, by its text.
    length
        Number of tokens in each row of the last call.
    """

    def __init__(
        self,
        parts: EncoderParts,
        prompts: Sequence[str],
        keep: Sequence[str] = (),
        layers: Callable[[str, tuple[int, int]], bool] = lambda path, grid: True,
    ) -> None:
        self.parts = parts
        self.recorded: dict[str, RecordedText] = {}
        self._prompts = tuple(dict.fromkeys(prompts))
        self._keep = tuple(keep)
        self._layers = layers
        self._readings: Sequence[Reading] = ()
        self._rows: dict[int, RecordedText] = {}  # of the current call of the encoder
        self.length = 0
        self._seen: set[str] = set()

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record what the encoder does inside the block; its hooks are removed afterwards, also after an error."""
        hooks = EncoderHooks(self.parts.model, self._called, self._attended)
        with record_readings([self.parts.tokenizer]) as (readings,):
            self._readings = readings
            try:
                hooks.attach()
                yield
            finally:
                restore_completely(hooks.detach)
                self._readings = ()

    def check(self) -> None:
        """Raise a `TraceError` if the attention to a prompt was not observed."""
        name, model = self.parts.name, type(self.parts.model).__name__
        for prompt in self._prompts:
            if prompt not in self.recorded:
                raise TraceError(
                    f"Expected {name} ({model}) to be given the tokens of {prompt!r} that its tokenizer made, but no "
                    "row of its input has them: what it reads is unknown. Trace another encoder, encoders=[...]."
                )
            if not self.recorded[prompt].layers and self._seen:
                raise TraceError(
                    f"Expected layers= to select a layer of {name}, but its layers are: "
                    f"{', '.join(sorted(self._seen))}."
                )
            if not self.recorded[prompt].layers:
                raise TraceError(
                    f"Expected {name} ({model}) to compute attention with scaled_dot_product_attention or a softmax, "
                    "but neither was called in its attention modules: it is compiled, or computes attention in another "
                    'way. Load it with attn_implementation="sdpa" or "eager", and trace before torch.compile.'
                )

    def _called(self, inputs: Mapping[str, Any]) -> bool:
        """Find the rows of the prompts that are not recorded yet."""
        self._rows.clear()
        ids = inputs.get("input_ids")
        if ids is None or ids.ndim != 2:
            return False
        rows = ids.tolist()
        self.length = len(rows[0])
        found = find_rows(self.parts, self._prompts, self._readings, rows) or ()
        for prompt, place in zip(self._prompts, found, strict=False):
            if prompt in self.recorded:
                continue
            tokens = read_prompt(
                self.parts.tokenizer,
                place.reading,
                prompt,
                place.kept,
                padding=True,
                has_template=self.parts.has_template,
            )
            groups = group_tokens(tokens.subwords)
            group_of = torch.zeros(self.length, dtype=torch.long)
            for index, group in enumerate(groups):
                group_of[list(group.positions)] = index
            self.recorded[prompt] = self._rows[place.row] = RecordedText(
                groups, tokens.truncated_at, _group_of=group_of
            )
        return bool(self._rows)

    def _attended(self, path: str, n_queries: int, weights: RowWeights) -> None:
        self._seen.add(path)
        if n_queries != self.length or not self._layers(path, (0, 0)):
            return
        for number, text in self._rows.items():
            text.add(path, weights(number), self._keep)
