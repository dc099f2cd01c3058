"""What a trace is asked to record, and whether it can."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from daam_syntax.attention.pipeline_call.memory import (
    Layer,
    default_max_bytes,
    predicted_bytes,
    refuse_size,
)
from daam_syntax.errors import TraceError
from daam_syntax.language import check_prompt
from daam_syntax.maps.kept_maps import check_axes
from daam_syntax.maps.selection import (
    Grid,
    LayerSelection,
    StepSelection,
    layer_selector,
    needs_all_steps,
    step_selector,
)

if TYPE_CHECKING:
    from daam_syntax.attention.pipeline_call.call import PipelineCall


def coming_timesteps(pipe: Any, in_pipeline: bool) -> tuple[float, ...] | None:
    """Return the timesteps of the calls of the denoiser that a pipeline is about to make.

    The scheduler knows them, once it was set; the pipeline knows how many of them it will take. A loop
    of one's own may do otherwise, so that it is not believed to follow the scheduler.

    Parameters
    ----------
    pipe
        The pipeline.
    in_pipeline
        Whether its own loop is running.

    Returns
    -------
    tuple of float or None
        None if they are not known.
    """
    timesteps = getattr(getattr(pipe, "scheduler", None), "timesteps", None)
    if timesteps is None or not in_pipeline:
        return None
    return tuple(float(timestep) for timestep in timesteps)[: getattr(pipe, "_num_timesteps", None)]


class RecordingSpec:
    """What a trace is asked to record.

    Parameters
    ----------
    keep, layers, steps, max_bytes, also, refine, padding, negative, prompts
        As for `trace`.

    Raises
    ------
    ValueError
        If there is no such axis, or no such selection of steps.
    PromptError
        If a text has no words.
    """

    def __init__(
        self,
        *,
        keep: Iterable[str] | str = (),
        layers: LayerSelection = None,
        steps: StepSelection = None,
        max_bytes: int | None = None,
        also: Iterable[str] | str = (),
        refine: bool = False,
        padding: bool = False,
        negative: bool = False,
        prompts: Iterable[str] | str = (),
    ) -> None:
        self.keep = check_axes(keep)
        self.refine = refine
        self.padding = padding
        self.negative = negative
        self.prompts = _texts(prompts)
        self.also = tuple(dict.fromkeys(_texts(also)))
        self._steps = steps
        self._max_bytes = max_bytes
        self._limit = math.inf
        self._selects_step = step_selector(steps)
        self.records_layer: Callable[[str, Grid], bool] = layer_selector(layers)
        self.predicted_bytes: int | None = None

    def records_step(self, drawing: PipelineCall) -> bool:
        """Whether the step that is being drawn is to be recorded."""
        number = len(drawing.steps) - 1
        return self._selects(number, drawing.steps[number], self._n_steps(drawing))

    def add_layer(self, drawing: PipelineCall, path: str, layer: Layer) -> None:
        """Note a layer of a drawing; heads can only be kept if all layers have as many."""
        if path in drawing.layers:
            return
        for other, known in drawing.layers.items():
            if "head" in self.keep and known.n_heads != layer.n_heads:
                raise TraceError(
                    "Expected layers with equally many heads, to keep the heads apart, but "
                    f"{other} has {known.n_heads} and {path} has {layer.n_heads}: choose layers with "
                    "layers=, or trace without 'head'."
                )
        drawing.layers[path] = layer

    def check_memory(self, drawing: PipelineCall, n_bytes_before: int) -> None:
        """Refuse a drawing that takes too much memory, as soon as its first step is over.

        Where the number of steps is not known, the steps so far are counted, after each of them.

        Parameters
        ----------
        drawing
            The drawing.
        n_bytes_before
            What earlier drawings of the trace take.
        """
        if not drawing.layers:
            return
        is_first = len(drawing.steps) == 1
        if is_first:
            available = default_max_bytes() + n_bytes_before
            self._limit = available if self._max_bytes is None else self._max_bytes
        elif drawing.expected is not None:
            return
        timesteps = drawing.steps if drawing.expected is None else drawing.expected
        sizes: dict[str, Any] = {
            "n_images": drawing.n_images,
            "n_tokens": drawing.n_tokens,
            "n_steps": sum(
                self._selects(number, timestep, len(timesteps))
                for number, timestep in enumerate(timesteps)
            ),
            "refine": self.refine,
        }
        self.predicted_bytes = predicted_bytes(drawing.layers.values(), keep=self.keep, **sizes)
        if n_bytes_before + self.predicted_bytes > self._limit:
            raise refuse_size(
                self.predicted_bytes,
                int(self._limit) - n_bytes_before,
                drawing.layers,
                keep=self.keep,
                **sizes,
            )

    def check_steps(self, drawing: PipelineCall) -> None:
        """Refuse a drawing without a chosen step, and warn if there were more or fewer than known."""
        if not drawing.recorded:
            timesteps = ", ".join(f"{timestep:g}" for timestep in drawing.steps)
            raise TraceError(
                f"Expected steps= to select a step, but {self._steps!r} fits none of 0 to "
                f"{len(drawing.steps) - 1} (timesteps {timesteps})."
            )
        expected = drawing.expected
        if needs_all_steps(self._steps) and expected and len(expected) != len(drawing.steps):
            warnings.warn(
                f"{len(expected)} steps were announced, but {len(drawing.steps)} were drawn: the "
                f"steps recorded are {self._steps} of {len(expected)}.",
                stacklevel=2,
            )

    def _selects(self, number: int, timestep: float, n_steps: int | None) -> bool:
        return self._selects_step(
            number, math.nan if n_steps is None else number / n_steps, timestep
        )

    def _n_steps(self, drawing: PipelineCall) -> int | None:
        if drawing.expected is not None:
            return len(drawing.expected)
        if needs_all_steps(self._steps):
            raise TraceError(
                f"Expected to know how many steps there will be, to record {self._steps} of them, "
                "but this loop is not the pipeline's own: tell the timesteps with "
                "trace.describe_drawing(seeds=..., timesteps=...), or choose steps by number."
            )
        return None


def _texts(given: Iterable[str] | str) -> tuple[str, ...]:
    return tuple(check_prompt(text) for text in ([given] if isinstance(given, str) else given))
