"""The settings that determine the results of a run, as recorded in its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from daam_syntax.errors import FileError
from daam_syntax.pipelines.settings import DrawingSettings


@dataclass(frozen=True)
class RunSettings:
    """Settings of a run; a run can be resumed only with the same settings.

    Attributes
    ----------
    drawing
        Settings of the pipeline calls.
    model
        Identity of the model, see `daam_syntax.pipelines.identity.identify_on_device`.
    parser
        Name and version of the dependency parser.
    thresholds
        Threshold rules of the tables.
    schemes
        Dependency schemes whose edges are measured.
    map_size
        Longest side of the stored maps; None keeps the grid of the recording.
    keep_images
        Whether images are stored.
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
            If a setting is missing, or unknown to this version.
        """
        try:
            sequences = {name: tuple(values[name]) for name in ("thresholds", "schemes")}
            drawing = DrawingSettings(**values["drawing"])
            return cls(**{**values, **sequences, "drawing": drawing})
        except (KeyError, TypeError) as error:
            raise FileError(
                f"Expected the settings of a run that this version knows, but {error}."
            ) from error
