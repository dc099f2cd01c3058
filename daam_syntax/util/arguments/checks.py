"""Check the arguments of public functions against their annotations, and numbers against their ranges."""

from __future__ import annotations

import functools
import inspect
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar, overload

import numpy as np

from daam_syntax.errors import ArgumentTypeError, ArgumentValueError
from daam_syntax.util.arguments.annotations import Expected, expected_of, is_number, shown

Function = TypeVar("Function", bound=Callable[..., Any])
_MOST: Final = 2**63 - 1
"""The largest number that libraries take."""

_HOW: Final = {
    "DataFrame": "such as that of `measure_pairs`",
    "Edit": "such as `Edit('cat')`",
    "HeatMap": "the map of a word, such as `maps['cat']`",
    "HeatMaps": "such as `trace.heat_maps()[0]`",
    "Sentence": "such as `parse('a red cat')`",
    "VideoMaps": "such as `trace.video_maps()[0]`",
    "WordAttention": "such as `trace_text(pipe, 'a red cat')[0]`",
    "PromptSet": "such as `PromptSet.from_file(path)`",
    "Axes": "such as `plt.subplots()[1]`",
}
"""How to get values of some classes."""


@dataclass(frozen=True)
class Range:
    """The numbers that a parameter takes.

    Attributes
    ----------
    words
        The range in words, after "to be".
    holds
        Whether a number is in the range.
    """

    words: str
    holds: Callable[[Any], bool]


OWN: Final = Range("checked by the function itself", lambda value: True)
"""Marks a parameter whose every value the function checks by itself."""

ANY_TEXT: Final = Range("a string", lambda value: True)
"""Marks a parameter that takes text with invalid characters, too, such as that of a damaged file."""


def _is_held(value: Any) -> bool:
    """Whether a floating-point number can hold a number, also infinity and NaN."""
    try:
        float(value)
    except OverflowError:
        return False
    return True


NUMBER: Final = Range("a number that is not too large for floating point", _is_held)
"""Marks a parameter that may be infinite, or whose range the function checks by itself."""

POSITIVE: Final = Range(
    "a finite number above 0", lambda value: _is_held(value) and 0 < value < math.inf
)
FRACTION: Final = Range("a number between 0 and 1", lambda value: 0 < value < 1)

_ANY: Final = Range(f"a finite number below {_MOST:.2g}", lambda value: abs(value) <= _MOST)


def within(least: float, most: float) -> Range:
    """Return a range of numbers, with both ends."""
    return Range(f"a number from {least:,} to {most:,}", lambda value: least <= value <= most)


def whole(least: int, most: int = _MOST) -> Range:
    """Return a range of whole numbers, with both ends."""
    upper = "" if most == _MOST else f" and at most {most:,}"
    return Range(
        f"a whole number of at least {least:,}{upper}", lambda value: least <= value <= most
    )


@overload
def checked(function: Function, /, **ranges: Range) -> Function: ...


@overload
def checked(**ranges: Range) -> Callable[[Function], Function]: ...


def checked(function: Any = None, /, **ranges: Range) -> Any:
    """Make a function refuse arguments that its annotations do not allow, before anything else happens.

    A truth value is not a number, a string is not a list of strings, NaN and infinity are not numbers that a parameter
    takes, and a dict or a set is not a list where the order matters. Numbers of NumPy are numbers, and arrays and
    columns of tables are lists. Items of iterators are checked when they are used.

    Parameters
    ----------
    function
        A function or method with annotations, or a class, whose constructor is checked.
    **ranges
        The ranges of parameters that are numbers, or lists of them; `OWN` for one that is not checked here.

    Returns
    -------
    callable
        The function; it raises `ArgumentTypeError`, also a `TypeError`, for a value of another type, and
        `ArgumentValueError`, also a `ValueError`, for a number out of range.
    """
    if function is None:
        return functools.partial(checked, **ranges)
    if inspect.isclass(function):
        function.__init__ = checked(function.__init__, **ranges)  # type: ignore[method-assign]
        return function
    parameters = _Parameters(function, ranges)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = parameters.checked(args, kwargs)
        return function(*args, **kwargs)

    return call


class _Parameters:
    """The parameters of a function; annotations are evaluated at the first call."""

    def __init__(self, function: Callable[..., Any], ranges: Mapping[str, Range]) -> None:
        self.function = function
        self.ranges = ranges

    @functools.cached_property
    def called(self) -> str:
        """What a user calls; that of a method ``__init__`` is its class."""
        *outer, name = self.function.__qualname__.split(".")
        return outer[-1] if name == "__init__" else name

    @functools.cached_property
    def names(self) -> list[str]:
        """Names of the parameters that may be given by position."""
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        given = inspect.signature(self.function).parameters.values()
        return [each.name for each in given if each.kind in kinds]

    @functools.cached_property
    def expected(self) -> dict[str, Expected]:
        """What each checked parameter takes."""
        namespace = self.function.__globals__
        return {
            name: expected_of(annotation, namespace)
            for name, annotation in self.function.__annotations__.items()
            if name in inspect.signature(self.function).parameters
            and self.ranges.get(name) is not OWN
        }

    def checked(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments as plain Python values; raise an error for the first that is not allowed."""
        more = args[len(self.names) :]
        named = zip(self.names, args, strict=False)
        taken = tuple(self._checked(name, value) for name, value in named)
        return (*taken, *more), {name: self._checked(name, kwargs[name]) for name in kwargs}

    def _checked(self, name: str, value: Any) -> Any:
        if isinstance(value, np.ndarray) and value.ndim == 0:
            value = value.item()  # one number, which cannot be iterated
        expected = self.expected.get(name)
        if expected is None:
            return value
        if not expected.fits(value):
            how = next((f", {_HOW[each]}," for each in expected.one.split() if each in _HOW), "")
            raise ArgumentTypeError(self._message(f"{expected.one}{how}", name, value))
        allowed = self.ranges.get(name, _ANY)
        if isinstance(value, str):
            if "a path" in expected.one and not _is_name(value):
                raise ArgumentValueError(self._message("a name that a file can have", name, value))
            if "a path" not in expected.one and allowed is _ANY and not _is_unicode(value):
                raise ArgumentValueError(self._message("a string of valid characters", name, value))
        taken = expected.take(value)
        if "array" not in expected.one:  # arrays may hold NaN
            for number in taken if isinstance(taken, list | tuple | range) else [taken]:
                if is_number(number) and not allowed.holds(number):
                    raise ArgumentValueError(self._message(allowed.words, name, value))
        return taken

    def _message(self, wanted: str, name: str, value: object) -> str:
        return f"Expected {wanted} as {name} of {self.called}, but got {shown(value)}."


def _is_unicode(text: str) -> bool:
    """Whether text can be written to a file."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_name(text: str) -> bool:
    """Whether a file can have this name."""
    try:
        return bool(text.strip()) and b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False
