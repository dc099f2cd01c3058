"""Command-line options of a study, made from the signature and the docstring of its `run` function."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import NoneType, SimpleNamespace, UnionType
from typing import Annotated, Any, Final, NamedTuple, Union, get_args, get_origin, get_type_hints

import typer

_SEQUENCES: Final = (list, tuple, Sequence)
_STEPS: Final = (
    "a step (3), several (0,2,4), a range (0:10), or a range of fractions of all steps (0:0.8)"
)


class _Kind(NamedTuple):
    """How a parameter is written on the command line: its type for typer, and a parser with the format it reads."""

    type: Any
    parser: Callable[[str], Any] | None = None
    format: str = ""


def own_options(run: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return the parameters of a study's `run`, except its setup, as typer options.

    The default of each option is None, which leaves the parameter to the default of `run`. Sequences become options
    that may be repeated. The help text is the description of the parameter in the docstring.

    Raises
    ------
    TypeError
        If a parameter has a type that cannot be written on the command line.
    """
    _, *parameters = inspect.signature(run).parameters.values()
    described = parameter_descriptions(inspect.getdoc(run) or "")
    # The annotation of the setup cannot be evaluated: its type is imported only for type checking.
    annotated = SimpleNamespace(__annotations__={each.name: each.annotation for each in parameters})
    hints = get_type_hints(annotated, run.__globals__)
    return [
        _option(parameter, _kind(hints[parameter.name]), described[parameter.name])
        for parameter in parameters
    ]


def parameter_descriptions(docstring: str) -> dict[str, str]:
    """Return the description of each parameter in a numpydoc docstring, as one line."""
    section = re.search(
        r"^Parameters\n-+\n(.*?)(?=^\w+\n-+\n|\Z)", docstring, re.MULTILINE | re.DOTALL
    )
    found = re.findall(r"^(\w.*)\n((?:[ ]+.*\n?)+)", section[1] if section else "", re.MULTILINE)
    return {name: " ".join(text.split()) for names, text in found for name in names.split(", ")}


def parse_steps(text: str) -> int | slice | list[int]:
    """Read a selection of denoising steps: ``"3"``, ``"0,2,4"``, ``"0:10"`` or, as fractions, ``"0:0.8"``."""
    try:
        if ":" in text:
            return slice(*(_number(bound) if bound.strip() else None for bound in text.split(":")))
        numbers = [int(number) for number in text.split(",")]
    except (TypeError, ValueError):
        raise typer.BadParameter(f"expected {_STEPS}, but got {text!r}.") from None
    return numbers if "," in text else numbers[0]


def _option(parameter: inspect.Parameter, kind: _Kind, description: str) -> inspect.Parameter:
    notes = f"; written as {kind.format}" if kind.format else ""
    if get_origin(kind.type) is list:
        notes += "; may be given several times"
    if parameter.default not in (None, ()):
        notes += f" [default: {_written(parameter.default)}]"
    option = typer.Option(
        help=f"{description.removesuffix('.')}{notes}.", show_default=False, parser=kind.parser
    )
    return parameter.replace(default=None, annotation=Annotated[kind.type | None, option])


def _kind(hint: Any) -> _Kind:
    """Return how a value of a type is written, using the first alternative of a union that can be written."""
    alternatives = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if slice in alternatives:
        return _Kind(str, parse_steps, _STEPS)
    for each in alternatives:
        if get_origin(each) in _SEQUENCES and (item := _item(get_args(each)[0])) is not None:
            return _Kind(list[item.type], item.parser, item.format)  # type: ignore[name-defined]
    item = _item(Union[tuple(a for a in alternatives if a is not NoneType)])  # noqa: UP007
    if item is None:
        raise TypeError(f"Expected a type that can be written as text, but got {hint}.")
    return item


def _item(hint: Any) -> _Kind | None:
    """Return how a single value is written; None if it cannot be written."""
    alternatives = set(get_args(hint)) if get_origin(hint) in (Union, UnionType) else {hint}
    if alternatives == {str, int}:
        return _Kind(str, lambda text: int(text) if text.isdecimal() else text)
    for known in (str, Path, bool, int, float):
        if known in alternatives:
            return _Kind(known)
    for each in alternatives:
        if is_dataclass(each) and all(field.type in ("int", "float") for field in fields(each)):
            return _Kind(str, _numbers_of(each), _field_names(each))
    return None


def _numbers_of(cls: Any) -> Callable[[str], Any]:
    """Return a parser for a dataclass of numbers, written with commas between its fields."""

    def parse(text: str) -> Any:
        try:
            return cls(*map(_number, text.split(",")))
        except (TypeError, ValueError):
            raise typer.BadParameter(f"expected {_field_names(cls)}, but got {text!r}.") from None

    return parse


def _field_names(cls: Any) -> str:
    return "numbers " + ",".join(field.name.upper() for field in fields(cls))


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)


def _written(value: Any) -> str:
    """Format a default value as on the command line."""
    if isinstance(value, slice):
        return f"{value.start}:{value.stop}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
