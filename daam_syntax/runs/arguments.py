"""Check arguments that the command line checks by itself, so that Python refuses the same values."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from numbers import Integral
from typing import TYPE_CHECKING, Final

from daam_syntax.errors import PromptError

if TYPE_CHECKING:
    from typing_extensions import TypeIs

_MOST_SEEDS: Final = 10**6
LARGEST_SEED: Final = 2**31 - 1
STORED_RELATIONS: Final = ("encoder", "refiner", "text-text")
"""Relations of attention from words to words, which a run can store; see `daam_syntax.trace`."""
STORED_AXES: Final = ("layer", "head")
"""Axes that stored relations can keep."""


def is_whole(value: object) -> TypeIs[Integral]:
    """Whether a value is a whole number of any library, and not a truth value."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_optional(name: str, value: object) -> int | None:
    """Return a whole number of at least 1, or None; see `check_whole`."""
    return None if value is None else check_whole(name, value)


def check_whole(name: str, value: object) -> int:
    """Return a whole number of at least 1.

    Raises
    ------
    ValueError
        If it is anything else; the message has the name of the argument.
    """
    if not is_whole(value) or int(value) < 1:
        raise ValueError(
            f"Expected {name} to be a whole number of at least 1, but got {str(value)[:200]!r}."
        )
    return int(value)


def check_stored_relations(relations: Iterable[str] | str) -> tuple[str, ...]:
    """Return relations of attention that a run stores, in the order of `STORED_RELATIONS`, each once.

    Raises
    ------
    ValueError
        If a relation is not between words.
    """
    wanted = {relations} if isinstance(relations, str) else set(relations)
    if others := sorted(map(str, wanted.difference(STORED_RELATIONS))):
        raise ValueError(
            f"Expected relations of attention among {STORED_RELATIONS}, which are between words and small enough for "
            f"each image of a run, but got {others}: record others with daam_syntax.trace(pipe, relations=...)."
        )
    return tuple(each for each in STORED_RELATIONS if each in wanted)


def check_relation_axes(
    axes: Iterable[str] | str, relations: Iterable[str] | str
) -> tuple[str, ...]:
    """Return the axes that stored relations keep, in the order of `STORED_AXES`, each once.

    Raises
    ------
    ValueError
        If an axis cannot be kept, or no relation is stored.
    """
    wanted = {axes} if isinstance(axes, str) else set(axes)
    if others := sorted(map(str, wanted.difference(STORED_AXES))):
        raise ValueError(
            f"Expected axes of stored relations among {STORED_AXES}, but got {others}: record steps with "
            "daam_syntax.trace(pipe, relations=..., keep=...)."
        )
    if wanted and not tuple(relations):
        raise ValueError(
            f"Expected relations of attention between words, to keep their {' and '.join(sorted(wanted))}, but got "
            f"none: name some of {STORED_RELATIONS}."
        )
    return tuple(each for each in STORED_AXES if each in wanted)


def check_seeds(seeds: object) -> int | tuple[int, ...]:
    """Return a number of seeds, or the seeds, if they are not 0, 1, 2, and so on.

    Raises
    ------
    PromptError
        If it is neither.
    """
    is_scalar = getattr(seeds, "ndim", 1) == 0  # an array of one number cannot be iterated
    if isinstance(seeds, Iterable) and not (is_scalar or isinstance(seeds, str | bytes | dict)):
        listed = list(islice(seeds, _MOST_SEEDS + 1))  # there may be no end of them
        if (
            0 < len(listed) <= _MOST_SEEDS
            and all(map(_is_seed, listed))
            and len(set(listed)) == len(listed)
        ):
            chosen = tuple(int(seed) for seed in listed)
            return len(chosen) if chosen == tuple(range(len(chosen))) else chosen
    elif is_whole(seeds) and 1 <= int(seeds) <= _MOST_SEEDS:
        return int(seeds)
    raise PromptError(
        f"Expected a number of images per prompt, from 1 to {_MOST_SEEDS:,}, or different seeds of at least 0, but got "
        f"seeds={str(seeds)[:200]}; seeds=2 and seeds=[0, 1] draw the seeds 0 and 1."
    )


def count_of(seeds: int | tuple[int, ...]) -> int:
    """Return the number of seeds."""
    return seeds if isinstance(seeds, int) else len(seeds)


def _is_seed(value: object) -> bool:
    return is_whole(value) and 0 <= int(value) <= LARGEST_SEED
