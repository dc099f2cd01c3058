"""Check on one's own device and model that tracing changes no image, and that its maps are exact."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from daam_syntax.attention.device_costs import peaks, times, waits_by_line
from daam_syntax.attention.observation import ObservedAttention, observe
from daam_syntax.attention.pipeline_call.call import PipelineCall
from daam_syntax.attention.tracing import Trace, trace
from daam_syntax.pipelines import execution_device
from daam_syntax.util.progress import show_progress
from daam_syntax.util.wording import human_size

PROMPT: Final = "a red cat on a small blue chair"
TOLERANCE: Final = 1e-6


@dataclass(frozen=True, kw_only=True)
class TraceCheck:
    """What `check_trace` found.

    Attributes
    ----------
    device, pipeline, dtype, versions
        What was checked.
    is_deterministic
        Whether two untraced images of the same seed are identical.
    is_identical
        Whether a traced image is identical to an untraced one.
    largest_error
        The largest difference of a recorded mean probability from a softmax in float64.
    worst_layer
        The layer with the largest difference.
    n_layers
        The number of recorded layers.
    denominators
        Where the denominators of joint attention came from, see `PipelineCall`; empty for cross-attention.
    log_sum_exp
        By attention kernel, the largest relative difference of its log-sum-exp from that of the logits.
    seconds
        Median time of an untraced pipeline call.
    time_ratio
        Median ratio of the times of a traced and an untraced call.
    peak_bytes
        Peak of the device's memory, "untraced" and "traced"; empty for devices other than CUDA.
    waits
        By line of this package, how often the host waited for the device in one pipeline call; empty for devices
        other than CUDA.
    steps
        Steps of the pipeline call.
    """

    device: str
    pipeline: str
    dtype: str
    versions: dict[str, str]
    is_deterministic: bool
    is_identical: bool
    largest_error: float
    worst_layer: str
    n_layers: int
    denominators: tuple[str, ...]
    log_sum_exp: dict[str, float]
    seconds: float
    time_ratio: float
    peak_bytes: dict[str, int]
    waits: dict[str, int]
    steps: int

    @property
    def is_right(self) -> bool:
        """Whether images are identical (if the model is deterministic at all) and maps exact to 1e-6."""
        is_same = self.is_identical or not self.is_deterministic
        return is_same and self.largest_error <= TOLERANCE

    def to_dict(self) -> dict[str, Any]:
        """Return the results as values that JSON can hold."""
        differences = {
            kernel: found if math.isfinite(found) else None
            for kernel, found in self.log_sum_exp.items()
        }
        return asdict(self) | {"log_sum_exp": differences, "is_right": self.is_right}

    def __str__(self) -> str:
        return "\n".join(f"{name + ':':14}{text}" for name, text in self._lines())

    def _lines(self) -> Iterable[tuple[str, str]]:
        yield "Device", self.device
        yield "Versions", ", ".join(f"{name} {number}" for name, number in self.versions.items())
        yield "Pipeline", f"{self.pipeline}, {self.dtype}, {self.n_layers} layers"
        if not self.is_deterministic:
            yield "Images", "this model draws another image each time, so they cannot be compared"
        else:
            same = "identical" if self.is_identical else "DIFFERENT"
            yield "Images", f"{same} with and without a trace"
        verdict = "exact" if self.largest_error <= TOLERANCE else "NOT EXACT"
        yield (
            "Maps",
            f"{verdict}: at most {self.largest_error:.1e} from a softmax in float64 ({self.worst_layer})",
        )
        if self.denominators:
            kernels = "; ".join(
                f"{name} {found:.0e} off" for name, found in self.log_sum_exp.items()
            )
            yield "Denominators", f"{' and '.join(self.denominators)} ({kernels})"
        yield "Time", f"{self.time_ratio:.2f} times that without a trace ({self.seconds:.2f} s)"
        if self.peak_bytes:
            extra = self.peak_bytes["traced"] - self.peak_bytes["untraced"]
            yield (
                "Memory",
                f"{human_size(max(0, extra))} more at the peak of {human_size(self.peak_bytes['untraced'])}",
            )
            total = sum(self.waits.values())
            lines = "; ".join(f"{line} {n}" for line, n in self.waits.items())
            yield (
                "Waits",
                f"{total} for the device in {self.steps} steps" + (f" ({lines})" if lines else ""),
            )


def check_trace(
    pipe: Any,
    prompt: str = PROMPT,
    *,
    steps: int = 4,
    rounds: int = 3,
    n_queries: int = 32,
    progress: bool = False,
    **options: Any,
) -> TraceCheck:
    """Compare traced with untraced images of a pipeline, and recorded maps with a softmax in float64.

    Maps are compared layer by layer, as means over attention heads and steps, for some pixels spread over the image
    and all tokens.

    Parameters
    ----------
    pipe
        A pipeline of a known family, on the device to check.
    prompt
        The prompt.
    steps
        Denoising steps.
    rounds
        How often a traced and an untraced call are timed in turn.
    n_queries
        Number of pixels that are compared in each layer.
    progress
        Whether to show a progress bar.
    **options
        Further arguments of the pipeline call, such as ``height``.

    Returns
    -------
    TraceCheck
        The results; print it.

    Raises
    ------
    TraceError
        If the pipeline cannot be traced.
    """

    def draw() -> Any:
        return pipe(
            prompt=prompt,
            num_inference_steps=steps,
            generator=torch.Generator("cpu").manual_seed(0),
            output_type="np",
            **options,
        ).images

    def draw_traced() -> tuple[Any, Trace]:
        with trace(pipe) as recording:
            images = draw()
        return images, recording

    device = execution_device(pipe)
    reference = _Reference(n_queries)
    with _without_bars(pipe), show_progress(progress, 4, label="Comparing", unit="parts") as bar:
        first, second = draw(), draw()
        images, recording = draw_traced()
        bar.advance()
        with observe(pipe, reference.add):
            draw()
        (call,) = recording._recorder.finished
        worst_layer, largest_error = reference.largest_error(call)
        bar.advance()
        seconds, time_ratio = times(draw, draw_traced, rounds, device)
        bar.advance()
        peak_bytes, waits = peaks(draw, draw_traced, device), waits_by_line(draw_traced, device)
        bar.advance()
    return TraceCheck(
        device=_device_name(device),
        pipeline=type(pipe).__name__,
        dtype=str(recording._recorder.denoiser.dtype).removeprefix("torch."),
        versions={"torch": torch.__version__, "diffusers": version("diffusers")},
        is_deterministic=np.array_equal(first, second, equal_nan=True),
        is_identical=np.array_equal(first, images, equal_nan=True),
        largest_error=largest_error,
        worst_layer=worst_layer,
        n_layers=len(reference.sums),
        denominators=tuple(sorted(call.denominators)),
        log_sum_exp=recording._recorder.log_sum_exp_differences,
        seconds=seconds,
        time_ratio=time_ratio,
        peak_bytes=peak_bytes,
        waits=waits,
        steps=steps,
    )


@contextmanager
def _without_bars(pipe: Any) -> Iterator[None]:
    before = dict(getattr(pipe, "_progress_bar_config", {}))
    pipe.set_progress_bar_config(**{**before, "disable": True})
    try:
        yield
    finally:
        pipe.set_progress_bar_config(**before)


class _Reference:
    """Sums of attention probabilities in float64, for some pixels."""

    def __init__(self, n_queries: int) -> None:
        self.sums: dict[str, list[Tensor]] = {}  # by layer and image: (query, text key)
        self._n_queries = n_queries
        self._n_calls: Counter[str] = Counter()

    def add(self, observed: ObservedAttention) -> None:
        """Add an attention call, computed anew from its queries and keys."""
        sums = [self._probabilities(observed, image) for image in range(observed.n_images)]
        before = self.sums.get(observed.path)
        self.sums[observed.path] = (
            sums if before is None else [a + b for a, b in zip(before, sums, strict=True)]
        )
        self._n_calls[observed.path] += 1

    def _probabilities(self, observed: ObservedAttention, image: int) -> Tensor:
        call, row = observed._call, observed.rows[image]
        device = torch.device("cpu") if call.query.device.type == "mps" else call.query.device
        start, stop = observed.pixels[image].start, observed.pixels[image].stop
        pixels = slice(start, stop, self._every(stop - start))
        query = call.query[row][:, pixels].to(device).double()
        key = call.key[row].to(device).double()
        key = key.repeat_interleave(query.shape[0] // key.shape[0], dim=0)
        scale = query.shape[-1] ** -0.5 if call.scale is None else call.scale
        logits = query @ key.transpose(-1, -2) * scale
        if call.mask is not None:
            shape = (call.query.shape[0], 1, call.query.shape[2], call.key.shape[2])
            mask = torch.broadcast_to(call.mask, torch.broadcast_shapes(call.mask.shape, shape))
            mask = mask[row][:, pixels].to(device)
            added = torch.where(mask, 0.0, -torch.inf) if mask.dtype == torch.bool else mask
            logits = logits + added
        share = torch.softmax(logits, dim=-1)[..., observed.text[image]].mean(dim=0)
        return torch.nan_to_num(share).cpu()  # a query without keys attends to nothing

    def _every(self, n_pixels: int) -> int:
        return max(1, n_pixels // self._n_queries)

    def largest_error(self, call: PipelineCall) -> tuple[str, float]:
        """Return the layer whose recorded means differ most, and the difference."""
        errors = {}
        for layer, sums in self.sums.items():
            recorded = call.sums.mean_of_layer(layer)
            step = self._every(recorded.shape[1])
            differences = []
            for image, summed in enumerate(sums):
                found = recorded[image, ::step].double()
                places = [p for p, key in enumerate(call.positions) if key < summed.shape[1]]
                keys = [key for key in call.positions if key < summed.shape[1]]
                expected = torch.zeros_like(found)
                expected[:, places] = summed[:, keys] / self._n_calls[layer]
                largest = torch.nan_to_num((found - expected).abs(), nan=torch.inf).max()
                differences.append(float(largest))
            errors[layer] = max(differences)
        return max(errors.items(), key=lambda each: each[1])


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)
