"""Checks of values against the annotations of parameters, such as ``str | Sequence[str]``."""

from __future__ import annotations

import builtins
import inspect
import io
import numbers
import os
import types
from collections import abc
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, ForwardRef, Literal, TypeGuard, TypeVar, Union, get_args, get_origin

import numpy as np
from numpy.typing import ArrayLike

from daam_syntax.errors import ArgumentTypeError

_ARRAY_LIKE: Final = get_args(ArrayLike)
Test = Callable[[object], bool]


@dataclass(frozen=True)
class Expected:
    """What a parameter takes.

    Attributes
    ----------
    one, several
        What to call one of them, and several: "a string", "strings".
    fits
        Whether a value is one.
    take
        Return a value that fits as plain Python: numbers of NumPy as numbers, strings of subclasses as strings,
        one-dimensional arrays and columns of tables as lists. Items of an iterator are checked one by one, when they
        are used.
    """

    one: str
    several: str
    fits: Test
    take: Callable[[Any], Any] = lambda value: value


def expected_of(annotation: object, namespace: Mapping[str, Any]) -> Expected:
    """Return what a parameter with an annotation takes.

    Parameters
    ----------
    annotation
        The annotation, as a string or evaluated. A name that is imported for type checkers only stands for the class of
        that name, whatever module it is from, so that no module must be imported for a check.
    namespace
        The global names of the module.
    """
    if isinstance(annotation, str):
        annotation = eval(annotation, {}, _Names(namespace))  # the package's own source code
    return _expected(annotation, namespace)


def shown(value: object) -> str:
    """Return a value as a message shows it: itself if it is a short text or number, and its type.

    Types of the package may say more in an attribute ``described``.
    """
    kind = str(getattr(value, "described", type(value).__name__))
    if value is None or isinstance(value, type):
        return repr(value)
    if np.ma.is_masked(value):
        return f"an array with masked values of shape {value.shape}"  # type: ignore[attr-defined]
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} of shape {value.shape}"
    if isinstance(value, list | tuple) and not all(isinstance(v, str | int | float) for v in value):
        return f"{kind} of {', '.join(dict.fromkeys(map(shown, value[:3])))}"
    if isinstance(value, str | bytes | int | float | list | tuple | dict | np.generic):
        text = repr(value)
        return f"{text if len(text) <= 60 else text[:57] + '...'} ({kind})"
    return kind


class _ByName(type):
    """Class of the stand-ins for classes that are imported for type checkers only."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _ByName(name, (), {})

    def __getitem__(cls, item: object) -> Any:
        return cls


class _Names(dict[str, Any]):
    def __init__(self, namespace: Mapping[str, Any]) -> None:
        super().__init__(namespace)

    def __missing__(self, name: str) -> Any:
        return getattr(builtins, name, None) or _ByName(name, (), {})


def _expected(kind: Any, namespace: Mapping[str, Any]) -> Expected:
    if isinstance(kind, ForwardRef):
        return expected_of(kind.__forward_arg__, namespace)
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return _literal(arguments)
    base = origin or kind
    if base is abc.Callable:
        return Expected("a function", "functions", callable)
    if base is np.ndarray:
        return _instance(base)
    if base in (Union, types.UnionType) and set(_ARRAY_LIKE) <= set(arguments):
        arguments = (ArrayLike, *(each for each in arguments if each not in _ARRAY_LIKE))
    items = [_expected(each, namespace) for each in arguments if each is not Ellipsis]
    if base in (Union, types.UnionType):
        return _union(items)
    if base is tuple and items and Ellipsis not in arguments:
        return _tuple(items)
    if base in _CONTAINERS:
        return _container(base, items)
    if isinstance(base, TypeVar) or not inspect.isclass(base):
        return _SIMPLE[Any]
    return _instance(base)


def _instance(kind: type) -> Expected:
    name = kind.__name__
    if name == "ArrayLike":
        return _SIMPLE[ArrayLike]
    if kind is np.ndarray:
        return Expected(
            "an array of numbers",
            "arrays of numbers",
            lambda v: isinstance(v, kind) and is_numeric(v),
        )
    if isinstance(kind, _ByName):
        return Expected(name, name, lambda value: name in {c.__name__ for c in type(value).__mro__})
    if getattr(kind, "_is_protocol", False):
        return _SIMPLE[Any]
    return Expected(name, name, lambda value: isinstance(value, kind))


def _union(parts: Sequence[Expected]) -> Expected:
    tests = [part.fits for part in parts]
    return Expected(
        " or ".join(dict.fromkeys(part.one for part in parts)),
        " or ".join(dict.fromkeys(part.several for part in parts)),
        lambda value: any(fits(value) for fits in tests),
        lambda value: next(part.take(value) for part in parts if part.fits(value)),
    )


def _literal(choices: Sequence[object]) -> Expected:
    named = " or ".join(map(repr, choices))
    kinds = {type(choice) for choice in choices}
    return Expected(named, named, lambda value: type(value) in kinds or _is_text(value), _as_plain)


def _tuple(items: Sequence[Expected]) -> Expected:
    inner = items[0].several if len({each.one for each in items}) == 1 else "values"
    return Expected(
        f"a tuple of {len(items)} {inner}",
        f"tuples of {len(items)} {inner}",
        lambda value: (
            isinstance(value, tuple | list)
            and len(value) == len(items)
            and all(each.fits(item) for each, item in zip(items, value, strict=True))
        ),
        lambda value: tuple(each.take(item) for each, item in zip(items, value, strict=True)),
    )


def _container(kind: Any, arguments: Sequence[Expected]) -> Expected:
    one, several, is_kind = _CONTAINERS[kind]
    if kind in (abc.Mapping, dict):
        keys, items = arguments or (_SIMPLE[Any], _SIMPLE[Any])

        def fits(value: object) -> bool:
            return isinstance(value, Mapping) and all(
                keys.fits(key) and items.fits(item) for key, item in value.items()
            )

        return Expected(one, several, fits)
    item = arguments[0] if arguments else _SIMPLE[Any]
    of = "" if item is _SIMPLE[Any] else f" of {item.several}"

    def all_fit(value: Any) -> bool:
        # Items of an iterator are not known before they are used.
        return is_kind(value) and (isinstance(value, Iterator) or all(map(item.fits, value)))

    def take(value: Any) -> Any:
        if isinstance(value, Iterator):
            return _each_checked(value, item)
        if isinstance(value, list | tuple):
            kept = tuple if kind is tuple else type(value)
            if any(isinstance(each, str) and type(each) is not str for each in value):
                value = [item.take(each) for each in value]
            return value if type(value) is kept else kept(value)
        return [item.take(each) for each in value] if hasattr(value, "__array__") else value

    return Expected(one + of, several + of, all_fit, take)


def _each_checked(items: Iterator[Any], expected: Expected) -> Iterator[Any]:
    for item in items:
        if not expected.fits(item):
            raise ArgumentTypeError(
                f"Expected {expected.several}, but got {shown(item)} among them."
            )
        yield expected.take(item)


def is_numeric(value: Any) -> bool:
    """Whether a value is a number or truth value, or an array, a list, or a column of them, of which none is masked."""
    if np.ma.is_masked(value):
        return False
    try:
        return np.asarray(value).dtype.kind in "biuf"
    except (TypeError, ValueError):  # lists of several lengths, tensors on another device
        return False


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_whole(value: object) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a number of any library, and not a truth value."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _as_number(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, int | float) else float(value)  # such as a fraction


def _as_plain(value: Any) -> Any:
    """Return text of a subclass, such as `numpy.str_` or a member of an enumeration, as a plain string."""
    return str.__str__(value) if isinstance(value, str) else value


def _is_flag(value: object) -> bool:
    return isinstance(value, bool) or type(value).__name__ in ("bool_", "bool")  # also NumPy's


def _is_iterable(value: object) -> bool:
    """Whether a value has items that are values, not characters, lines of a file, or names of columns."""
    no_items = isinstance(value, str | bytes | bytearray | type | io.IOBase)
    has_axes = getattr(value, "ndim", 1) != 1  # also of a table, whose items are names of columns
    return isinstance(value, Iterable) and not no_items and not has_axes


def _is_sequence(value: object) -> bool:
    has_order = isinstance(value, Sequence) or hasattr(value, "__array__")  # no set, no dict
    return _is_iterable(value) and has_order


def _is_collection(value: object) -> bool:
    return _is_iterable(value) and isinstance(value, Collection)


_SIMPLE: Final[dict[Any, Expected]] = {
    Any: Expected("any value", "values", lambda value: True),
    object: Expected("any value", "values", lambda value: True),
    None: Expected("None", "None", lambda value: value is None),
    types.NoneType: Expected("None", "None", lambda value: value is None),
    bool: Expected("True or False", "truth values", _is_flag, bool),
    int: Expected("a whole number", "whole numbers", _is_whole, int),
    float: Expected("a number", "numbers", is_number, _as_number),
    str: Expected("a string", "strings", _is_text, _as_plain),
    ArrayLike: Expected("an array of numbers", "arrays of numbers", is_numeric),
    Path: Expected("a path", "paths", lambda value: isinstance(value, os.PathLike)),
}
_CONTAINERS: Final[dict[Any, tuple[str, str, Test]]] = {
    abc.Sequence: ("a list", "lists", _is_sequence),
    list: ("a list", "lists", _is_sequence),
    tuple: ("a tuple", "tuples", _is_sequence),
    abc.Iterable: ("a list", "lists", _is_iterable),
    abc.Collection: ("a list", "lists", _is_collection),
    set: ("a set", "sets", _is_collection),
    frozenset: ("a set", "sets", _is_collection),
    abc.Mapping: ("a dict", "dicts", lambda value: isinstance(value, Mapping)),
    dict: ("a dict", "dicts", lambda value: isinstance(value, Mapping)),
}
