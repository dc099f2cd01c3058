"""What the results of a run depend on, as it stands in the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from daam_syntax.drawing.traced_images import DrawingSettings, identify
from daam_syntax.errors import FileError

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline


def describe_model(pipe: DiffusionPipeline, revision: str | None = None) -> dict[str, Any]:
    """Say which model this is, see `identify`, and how it computes: both change the pictures."""
    return {
        **identify(pipe),
        "revision": revision,
        "device": pipe.device.type,
        "dtype": str(pipe.dtype).removeprefix("torch."),
    }


@dataclass(frozen=True)
class RunSettings:
    """Settings of a run; none may change while it is taken up.

    Attributes
    ----------
    drawing
        How pictures are drawn.
    model
        What `describe_model` says about the pipeline.
    parser
        Name and version of the dependency parser.
    thresholds
        Rules that make masks.
    schemes
        Whose edges are measured.
    map_size
        Longest side of the stored maps; None keeps the recording's grid.
    keep_images
        Whether pictures are stored.
    """

    drawing: DrawingSettings
    model: Mapping[str, Any]
    parser: str
    thresholds: tuple[str, ...]
    schemes: tuple[str, ...]
    map_size: int | None
    keep_images: bool

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, ready for JSON."""
        return {
            **{f.name: getattr(self, f.name) for f in fields(self)},
            "drawing": self.drawing.as_dict(),
            "model": dict(self.model),
            "thresholds": list(self.thresholds),
            "schemes": list(self.schemes),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunSettings:
        """Return the settings that `as_dict` wrote.

        Raises
        ------
        FileError
            If a setting is missing, or not known to this version.
        """
        try:
            sequences = {name: tuple(values[name]) for name in ("thresholds", "schemes")}
            drawing = DrawingSettings(**values["drawing"])
            return cls(**{**values, **sequences, "drawing": drawing})
        except (KeyError, TypeError) as error:
            raise FileError(
                f"Expected the settings of a corpus run that this version knows, but {error}."
            ) from error
