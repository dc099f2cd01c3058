"""Settings of a pipeline call: steps, guidance, image size, batch size."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Final

from daam_syntax.emoji import model as embedded
from daam_syntax.errors import ModelError
from daam_syntax.util.arguments.checks import OWN, checked

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

CPU_BATCH_SIZE: Final = 4
"""Images to draw together on a CPU; more save no time, and need more memory (docs/benchmarks.md)."""


_LONGEST: Final = 16_384
"""Pixels of a side that no model draws more of."""


@checked(steps=OWN, guidance=OWN, height=OWN, width=OWN)  # see `check`
@dataclass(frozen=True)
class DrawingSettings:
    """Settings for drawing an image; None leaves a setting to the pipeline.

    Attributes
    ----------
    steps
        Number of denoising steps.
    guidance
        Classifier-free guidance scale; 1 or less draws without guidance.
    height, width
        Image size, pixels.
    """

    steps: int | None = None
    guidance: float | None = None
    height: int | None = None
    width: int | None = None

    def check(self) -> None:
        """Check the numbers, as far as that is possible without a pipeline.

        Raises
        ------
        ModelError
            If one is not a number, or out of range; the message has its name.
        """
        if self.steps is not None and not _is_whole(self.steps):
            raise ModelError(
                f"Expected a whole number of denoising steps, at least 1, but got {self.steps!r}."
            )
        for name, side in (("height", self.height), ("width", self.width)):
            if side is not None and not (_is_whole(side) and side <= _LONGEST):
                raise ModelError(
                    f"Expected a {name} in pixels, a whole number of at least 1 and at most {_LONGEST:,}, but got "
                    f"{side!r}."
                )
        is_number = isinstance(self.guidance, Real) and not isinstance(self.guidance, bool)
        if self.guidance is not None and not (is_number and math.isfinite(self.guidance)):
            raise ModelError(f"Expected a finite number as guidance, but got {self.guidance!r}.")

    def for_pipeline(
        self, pipe: DiffusionPipeline, *, embedded_steps: int = embedded.STEPS
    ) -> DrawingSettings:
        """Check the settings, and fill in those that suit the embedded model.

        The embedded model needs its own defaults because its pipeline class has defaults for larger models.

        Parameters
        ----------
        pipe
            The pipeline that will draw.
        embedded_steps
            Number of steps of the embedded model where `steps` is None.

        Raises
        ------
        ModelError
            If a number is out of range, the pipeline cannot draw this image size, or only one side is given.
        """
        self.check()
        factor = getattr(pipe, "vae_scale_factor", 1)
        for name, side in (("height", self.height), ("width", self.width)):
            if side is not None and side % factor:
                # Some pipelines round the size without a warning.
                raise ModelError(
                    f"Expected a {name} that is a multiple of {factor} pixels, but got {side}; "
                    f"{max(factor, round(side / factor) * factor)} would do."
                )
        if (self.height is None) != (self.width is None):
            given, other = ("height", "width") if self.width is None else ("width", "height")
            # Pipelines such as that of Stable Diffusion ignore one of them without the other.
            raise ModelError(
                f"Expected {given} and {other}, but got {given}={getattr(self, given)} alone: pass {other}, too."
            )
        if not embedded.is_emoji(pipe):
            return self
        return replace(
            self,
            steps=embedded_steps if self.steps is None else self.steps,
            guidance=embedded.GUIDANCE if self.guidance is None else self.guidance,
        )

    def as_arguments(self) -> dict[str, Any]:
        """Return keyword arguments for a call of a diffusers pipeline, without the settings that are None."""
        arguments = {
            "num_inference_steps": self.steps,
            "guidance_scale": self.guidance,
            "height": self.height,
            "width": self.width,
        }
        return {name: value for name, value in arguments.items() if value is not None}

    def as_dict(self) -> dict[str, Any]:
        """Return the settings by name."""
        return asdict(self)


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1
