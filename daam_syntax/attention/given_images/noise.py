"""Make a pipeline read noised latents of a given image instead of generating an image."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from daam_syntax.attention.families import Family
from daam_syntax.attention.hooks.interrupts import restore_completely
from daam_syntax.errors import TraceError
from daam_syntax.util.arguments.annotations import is_number, shown


class Noising:
    """The forward process with which a pipeline's model was trained.

    Diffusion: ``sqrt(a_t) x + sqrt(1 - a_t) noise`` (Ho, Jain & Abbeel 2020, eq. 4). Schedulers that use sigmas scale
    their input to the same mixture. Flow matching: ``(1 - s) x + s noise``, where ``s`` is the timestep divided by the
    number of training timesteps (Lipman et al. 2023; Esser et al. 2024).
    """

    def __init__(self, scheduler: Any, timesteps: Sequence[int]) -> None:
        name, config = type(scheduler).__name__, scheduler.config
        self._n_train: int = config.num_train_timesteps
        self._predicts = config.get("prediction_type", "epsilon")
        self._is_flow = name.startswith("FlowMatch") or bool(config.get("use_flow_sigmas"))
        self._alphas: Tensor | None = getattr(scheduler, "alphas_cumprod", None)
        if not self._is_flow and self._alphas is None:
            raise TraceError(
                f"Expected a scheduler with alphas_cumprod or for flow matching, but got {name}: set pipe.scheduler "
                "to one with the model's training settings, such as a DDIMScheduler."
            )
        given = list(timesteps) if isinstance(timesteps, Iterable) else []
        if not given or not all(
            is_number(t) and t == int(t) and 0 <= t < self._n_train for t in given
        ):
            raise TraceError(
                "Expected at least one training timestep, and whole numbers from 0 to "
                f"{self._n_train - 1}, but got {shown(timesteps)}."
            )
        whole = torch.tensor([int(timestep) for timestep in given], device="cpu")
        self.timesteps = whole.float() if self._is_flow else whole

    def __call__(self, latents: Tensor, generator: torch.Generator) -> list[Tensor]:
        """Noise the latents to each timestep; every row gets the same noise. *Shape:* ``(row, ...)``."""
        # Every image has the same noise, as it would have alone.
        return [
            self.mix(
                latents.float(),
                torch.randn(latents.shape[1:], generator=generator, device="cpu"),
                index,
            )
            for index in range(len(self.timesteps))
        ]

    def mix(self, latents: Tensor, noise: Tensor, index: int) -> Tensor:
        """Noise latents to the timestep with this index."""
        noise = noise.to(latents)
        if self._is_flow:
            share = float(self.timesteps[index]) / self._n_train
            return (1 - share) * latents + share * noise
        assert self._alphas is not None
        alpha = self._alphas[self.timesteps[index]].to(latents)
        return alpha.sqrt() * latents + (1 - alpha).sqrt() * noise

    def target(self, latents: Tensor, noised: Tensor, index: int) -> Tensor:
        """Return what the model was trained to predict for noised latents: noise, velocity, or the latents.

        The velocity is ``sqrt(a_t) noise - sqrt(1 - a_t) x`` in diffusion (Salimans & Ho 2022), and ``noise - x`` in
        flow matching.
        """
        latents = latents.to(noised)
        if self._is_flow:
            share = float(self.timesteps[index]) / self._n_train
            if share == 0:
                raise TraceError(
                    "Expected timesteps above 0, to know the noise, but got 0: leave it out."
                )
            return (noised - latents) / share
        assert self._alphas is not None
        alpha = self._alphas[self.timesteps[index]].to(noised)
        noise = (noised - alpha.sqrt() * latents) / (1 - alpha).sqrt()
        if self._predicts == "sample":
            return latents
        if self._predicts == "v_prediction":
            return alpha.sqrt() * noise - (1 - alpha).sqrt() * latents
        return noise


class _Step(NamedTuple):
    """The attributes of a scheduler's step that pipelines read."""

    prev_sample: Tensor
    denoised: Tensor


class NoisedSchedule:
    """A stand-in for a scheduler that ignores the denoiser's output and returns the next noised latents."""

    order = 1
    init_noise_sigma = 1.0

    def __init__(
        self,
        scheduler: Any,
        timesteps: Tensor,
        noised: Sequence[Tensor],
        on_output: Callable[[int, Tensor], None],
    ) -> None:
        self._scheduler = scheduler
        self._noised = noised
        self._on_output = on_output
        self._index = 0
        self.timesteps = timesteps

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scheduler, name)

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: Any = None,
        sigmas: Any = None,
        timesteps: Any = None,
        **others: Any,
    ) -> None:
        """Move the timesteps to a device; their number stays."""
        self.timesteps = self.timesteps.to(device)

    def set_begin_index(self, begin_index: int = 0) -> None:
        """Do nothing: the first timestep is the first."""

    def scale_model_input(self, sample: Tensor, timestep: Any = None) -> Tensor:
        """Return the sample, which has the scale that the denoiser expects."""
        return sample

    def step(self, model_output: Tensor, timestep: Any, sample: Tensor, **others: Any) -> _Step:
        """Return the latents noised to the next timestep."""
        self._on_output(self._index, model_output)
        self._index += 1
        following = self._noised[min(self._index, len(self._noised) - 1)].to(sample)
        return _Step(following, following)


@contextmanager
def replaced_scheduler(pipe: Any, schedule: NoisedSchedule) -> Iterator[None]:
    """Temporarily replace the pipeline's scheduler, and hide its progress bar."""
    scheduler, bar = pipe.scheduler, dict(getattr(pipe, "_progress_bar_config", {}))

    def restore() -> None:
        object.__setattr__(pipe, "scheduler", scheduler)
        pipe.set_progress_bar_config(**bar)

    try:
        # Bypasses the pipeline's own setter, which would write the stand-in into its configuration.
        object.__setattr__(pipe, "scheduler", schedule)
        pipe.set_progress_bar_config(**{**bar, "disable": True})
        yield
    finally:
        restore_completely(restore)


def plain_options(pipe: Any, family: Family, height: int, width: int) -> dict[str, Any]:
    """Return arguments of a pipeline call for exactly this size, without guidance."""
    known = inspect.signature(pipe.__call__).parameters
    options: dict[str, Any] = {"height": height, "width": width}
    # A guidance scale that is an input of a distilled model adds no unconditional rows.
    is_input = getattr(family.denoiser_of(pipe).config, "guidance_embeds", False) and not hasattr(
        type(pipe), "do_classifier_free_guidance"
    )
    if not is_input:
        options["guidance_scale"] = family.no_guidance
    # Nor may the pipeline change the size or the text.
    options |= {"true_cfg_scale": 1.0, "use_resolution_binning": False, "clean_caption": False}
    return {name: value for name, value in options.items() if name in known}
