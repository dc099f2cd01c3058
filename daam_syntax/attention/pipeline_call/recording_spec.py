"""What a trace records."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Sized
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, get_args

import torch

from daam_syntax.attention.pipeline_call.call import PipelineCall
from daam_syntax.attention.pipeline_call.memory import Layer
from daam_syntax.errors import TraceError
from daam_syntax.language import check_prompt
from daam_syntax.maps.kept_maps import Axis, check_axes
from daam_syntax.maps.selection import (
    Grid,
    LayerSelection,
    StepSelection,
    layer_selector,
    needs_all_steps,
    step_selector,
)


def coming_timesteps(pipe: Any, in_pipeline: bool) -> tuple[float, ...] | None:
    """Return the timesteps of the denoiser calls that a pipeline is about to make.

    The scheduler holds the timesteps once it is set, and the pipeline the number of them that it will use. A
    user's own loop need not follow the scheduler, so its timesteps are unknown.

    Parameters
    ----------
    pipe
        The pipeline.
    in_pipeline
        Whether the pipeline's own loop is running.

    Returns
    -------
    tuple of float or None
        None if the timesteps are unknown.
    """
    timesteps = getattr(getattr(pipe, "scheduler", None), "timesteps", None)
    if timesteps is None or not in_pipeline:
        return None
    values = torch.as_tensor(timesteps).tolist()  # one copy from the accelerator
    return tuple(map(float, values))[: getattr(pipe, "_num_timesteps", None)]


Relation = Literal["image-text", "text-image", "text-text", "image-image", "refiner", "encoder"]
"""What attends to what in a denoiser; "refiner" for the text among itself in blocks of the denoiser that read text
alone, or "encoder" for that in the text encoders."""

RELATIONS: Final[tuple[Relation, ...]] = get_args(Relation)


def check_relations(given: Iterable[str] | str) -> tuple[Relation, ...]:
    """Return relations in the order of `RELATIONS`, each once, with "image-text".

    Raises
    ------
    ValueError
        If a relation is unknown.
    """
    wanted = {"image-text", *as_texts(given)}
    if unknown := wanted.difference(RELATIONS):
        raise ValueError(
            f"Expected relations of attention among {RELATIONS}, but got {sorted(unknown)}."
        )
    return tuple(each for each in RELATIONS if each in wanted)


@dataclass(frozen=True, kw_only=True)
class RecordingSpec:
    """What a trace records; `daam_syntax.trace` explains each parameter at length.

    Attributes
    ----------
    layers
        Which text attentions to record, see `daam_syntax.maps.selection.LayerSelection`; None for all.
    steps
        Which steps to record, see `daam_syntax.maps.selection.StepSelection`; None for all.
    keep
        The axes to keep, any of "step", "layer" and "head". Attention is averaged over the others while it is
        recorded.
    max_bytes
        The largest size of the recording in memory; None for half of the available memory.
    also
        Texts outside the prompts to record, too.
    refine
        Whether to record self-attention, for refined maps.
    padding
        Whether to record padding tokens.
    negative
        Whether to record the negative prompts in the unconditional rows.
    references
        Whether to record the pixels of reference images, too.
    prompts
        The prompts, where the pipeline receives ``prompt_embeds`` instead of text.
    outputs
        Whether to record the similarity of attention outputs, too.
    relations
        Relations of attention to record, among `RELATIONS`; "image-text" is always recorded.
    relation_axes
        The axes to keep of the other relations, if they are not those of `keep`; None if they are.

    Raises
    ------
    ValueError
        If an axis, a relation, or a selection of steps is not valid.
    PromptError
        If a text has no words.
    """

    layers: LayerSelection = None
    steps: StepSelection = None
    keep: tuple[Axis, ...] = ()
    max_bytes: int | None = None
    also: tuple[str, ...] = ()
    refine: bool = False
    padding: bool = False
    negative: bool = False
    references: bool = False
    prompts: tuple[str, ...] = ()
    outputs: bool = False
    relations: tuple[Relation, ...] = ("image-text",)
    relation_axes: tuple[Axis, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "keep", check_axes(self.keep))
        if self.relation_axes is not None:
            object.__setattr__(self, "relation_axes", check_axes(self.relation_axes))
        prompts, also = (
            tuple(check_prompt(text) for text in as_texts(given))
            for given in (self.prompts, self.also)
        )
        object.__setattr__(self, "prompts", prompts)
        object.__setattr__(self, "also", tuple(dict.fromkeys(also)))
        object.__setattr__(self, "relations", check_relations(self.relations))
        step_selector(self.steps)  # raises a ValueError if it is not a selection

    @property
    def axes_of_relations(self) -> tuple[Axis, ...]:
        """The axes that are kept of relations other than "image-text"."""
        return self.keep if self.relation_axes is None else self.relation_axes

    @property
    def _all_axes(self) -> set[Axis]:
        other = self.axes_of_relations if len(self.relations) > 1 else ()
        return {*self.keep, *other}

    @cached_property
    def records_layer(self) -> Callable[[str, Grid], bool]:
        """A function of a layer's module path and grid that returns whether to record it."""
        return layer_selector(self.layers)

    @cached_property
    def _selects_step(self) -> Callable[[int, float, float], bool]:
        return step_selector(self.steps)

    def records_step(self, pipeline_call: PipelineCall) -> bool:
        """Return whether to record the current step."""
        if self.steps is None:
            return True
        number = len(pipeline_call.steps) - 1
        return self._selects(number, pipeline_call.steps[number], self._n_steps(pipeline_call))

    def n_recorded(self, timesteps: Iterable[float]) -> int:
        """Return how many of the steps of a pipeline call are recorded, given the timesteps of all."""
        if self.steps is None and isinstance(timesteps, Sized):
            return len(timesteps)
        timesteps = list(timesteps)
        return sum(
            self._selects(number, timestep, len(timesteps))
            for number, timestep in enumerate(timesteps)
        )

    def add_layer(self, pipeline_call: PipelineCall, path: str, layer: Layer) -> None:
        """Add a layer to the recorded ones; to keep heads, all layers must have equally many."""
        if path in pipeline_call.layers:
            return
        for other, known in pipeline_call.layers.items():
            if "head" in self._all_axes and known.n_heads != layer.n_heads:
                raise TraceError(
                    "Expected layers with the same number of attention heads, to keep the heads, but "
                    f"{other} has {known.n_heads} and {path} has {layer.n_heads}: choose layers with "
                    "layers=, or trace without 'head'."
                )
        pipeline_call.layers[path] = layer

    def check_steps(self, pipeline_call: PipelineCall) -> None:
        """Refuse a call without any selected step, and warn if it had more or fewer steps than announced."""
        if not pipeline_call.recorded:
            timesteps = ", ".join(f"{timestep:g}" for timestep in pipeline_call.steps)
            raise TraceError(
                f"Expected steps= to select a step, but {self.steps!r} matches none of 0 to "
                f"{len(pipeline_call.steps) - 1} (timesteps {timesteps})."
            )
        expected, made = pipeline_call.expected, pipeline_call.steps
        if needs_all_steps(self.steps) and expected and len(expected) != len(made):
            warnings.warn(
                f"{len(expected)} steps were announced, but {len(made)} were made: the recorded steps are "
                f"{self.steps} of {len(expected)}.",
                stacklevel=2,
            )

    def _selects(self, number: int, timestep: float, n_steps: int | None) -> bool:
        return self._selects_step(
            number, math.nan if n_steps is None else number / n_steps, timestep
        )

    def _n_steps(self, pipeline_call: PipelineCall) -> int | None:
        if pipeline_call.expected is not None:
            return len(pipeline_call.expected)
        if needs_all_steps(self.steps):
            raise TraceError(
                f"Expected a known number of steps, to record {self.steps} of them, but this loop is not the "
                "pipeline's own: pass the timesteps to trace.describe_call(seeds=..., timesteps=...), or choose "
                "steps by number."
            )
        return None


def as_texts(given: Iterable[str] | str) -> tuple[str, ...]:
    """Return one text or several as a tuple."""
    return (given,) if isinstance(given, str) else tuple(given)
