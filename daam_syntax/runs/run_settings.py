"""The settings that determine the results of a run, as recorded in its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from daam_syntax.errors import FileError
from daam_syntax.language import check_schemes
from daam_syntax.maps import parse_threshold
from daam_syntax.pipelines.settings import DrawingSettings
from daam_syntax.runs.arguments import STORED_AXES, STORED_RELATIONS
from daam_syntax.runs.field_types import (
    check_fields,
    each,
    flag,
    mapping,
    missing_or,
    number,
    text,
    whole,
)
from daam_syntax.util.wording import one_line

_SIDE: Final = missing_or(whole(1, 2**16))


def _plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


_DRAWING: Final = {
    "steps": missing_or(whole(1)),
    "guidance": missing_or(number),
    "height": _SIDE,
    "width": _SIDE,
}
_MODEL: Final = {"model": text}
_OF_MODEL: Final = {"revision": missing_or(text)}
_FIELDS: Final = {
    "drawing": mapping,
    "model": mapping,
    "parser": text,
    "thresholds": each(text),
    "schemes": each(text),
    "map_size": missing_or(whole(1)),
    "keep_images": flag,
    "map_dtype": lambda value: value in ("float16", "float32"),
}
_OPTIONAL: Final = {
    "relations": each(lambda value: value in STORED_RELATIONS),
    "relation_axes": each(lambda value: value in STORED_AXES),
}


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
    map_dtype
        Number format of the stored maps, "float16" or "float32".
    relations
        Relations of attention between words that are stored, see `STORED_RELATIONS`.
    relation_axes
        Axes that they keep, see `STORED_AXES`.
    """

    drawing: DrawingSettings
    model: Mapping[str, Any]
    parser: str
    thresholds: tuple[str, ...]
    schemes: tuple[str, ...]
    map_size: int | None
    keep_images: bool
    map_dtype: str = "float16"
    relations: tuple[str, ...] = ()
    relation_axes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, ready for JSON."""
        values = {
            **{f.name: getattr(self, f.name) for f in fields(self)},
            "drawing": self.drawing.as_dict(),
            "model": dict(self.model),
            "thresholds": list(self.thresholds),
            "schemes": list(self.schemes),
            **{name: list(getattr(self, name)) for name in _OPTIONAL},
        }
        return {name: value for name, value in values.items() if name not in _OPTIONAL or value}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunSettings:
        """Return the settings that `as_dict` wrote.

        Raises
        ------
        FileError
            If a setting is missing, or unknown to this version.
        """
        try:
            found = check_fields(values, _FIELDS, _OPTIONAL)
            drawing = DrawingSettings(**check_fields(found["drawing"], _DRAWING))
            check_fields(found["model"], _MODEL, dict.fromkeys(found["model"], _plain) | _OF_MODEL)
            if not found["thresholds"]:
                raise ValueError("it has no threshold")
            rules = tuple(str(parse_threshold(rule)) for rule in found["thresholds"])
            schemes = check_schemes(found["schemes"])
        except ValueError as error:
            raise FileError(
                f"Expected the settings of a run that this version knows, but not these: {one_line(error)}"
            ) from error
        checked = {"thresholds": rules, "schemes": schemes, "drawing": drawing}
        optional = {name: tuple(found.get(name, ())) for name in _OPTIONAL}
        return cls(**{**found, **checked, **optional})
