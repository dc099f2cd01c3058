"""Seeded samples of a set of prompts, balanced over groups or over dependency relations."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from daam_syntax.errors import PromptError
from daam_syntax.language.prompt_sets.rows import COLUMNS, Prompt

if TYPE_CHECKING:
    from daam_syntax.language.prompt_sets.prompt_set import PromptSet


@dataclass(frozen=True)
class Sample:
    """A balanced sample.

    Attributes
    ----------
    prompts
        The sample, in the order of the set it was taken from.
    counts
        Group to the number of prompts that were taken for it.
    missing
        Group to the number of prompts that there were too few of; only groups of which this is so.
    """

    prompts: PromptSet
    counts: Mapping[str, int]
    missing: Mapping[str, int]

    def __str__(self) -> str:
        lines = [f"{len(self.prompts):,} prompts"]
        for group, n in self.counts.items():
            lack = self.missing.get(group)
            lines.append(f"{group or '(none)'}: {n:,}" + (f", {lack:,} too few" if lack else ""))
        return "\n".join(lines)


def groups_of(
    rows: Sequence[Prompt], by: str, parser: Any = None, scheme: str = "enhanced"
) -> list[frozenset[str]]:
    """Return the groups that each prompt can stand for.

    Parameters
    ----------
    rows
        The prompts.
    by
        A column; with "relation", prompts of a set without that column are parsed, and stand for every relation in
        them.
    parser, scheme
        What they are parsed with, and whose relations.

    Raises
    ------
    PromptError
        If no prompt has such a column.
    """
    values = [row.values().get(by, "") for row in rows]
    if any(values):
        return [frozenset({value}) for value in values]
    if by == "relation":
        return relations_of([row.text for row in rows], parser, scheme)
    raise PromptError(
        f"Expected one of the columns {', '.join(COLUMNS)}, which some prompt has, but got {by!r}."
    )


def relations_of(
    prompts: Sequence[str], parser: Any = None, scheme: str = "enhanced"
) -> list[frozenset[str]]:
    """Return the relations between the words of each prompt.

    Raises
    ------
    ParserError
        If the parser cannot be loaded, or its sentences have no such scheme.
    """
    from daam_syntax.language import check_schemes, parse_many

    sentences = parse_many(prompts, parser)
    (known,) = check_schemes(scheme, sentences)
    return [frozenset(edge.relation for edge in s.edges_of(known)) for s in sentences]


def choose(
    groups: Sequence[frozenset[str]], n: int, wanted: Sequence[str] | None, seed: int
) -> tuple[dict[int, str], dict[str, int]]:
    """Choose `n` prompts for each group, each prompt for one group only, filling as many places as can be filled.

    The choice is a maximum matching of places to prompts, among candidates in random order.

    Parameters
    ----------
    groups
        The groups that each prompt can stand for.
    n
        Prompts for each group.
    wanted
        The groups; all if None, the largest first.
    seed
        Of the random order.

    Returns
    -------
    chosen : dict
        Number of the prompt to the group that it stands for.
    missing : dict
        Group to the places left empty, where there are any.
    """
    import numpy as np
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    if n < 1:
        raise PromptError(f"Expected at least one prompt of each group, but got {n}.")
    order = random.Random(seed).sample(range(len(groups)), len(groups))
    sizes = Counter(group for each in groups for group in each)
    names = list(wanted or sorted(sizes, key=lambda group: (-sizes[group], group)))
    # More candidates than all places together are never needed.
    enough = n * len(names)
    pairs = [
        (place * n + copy, candidate)
        for place, name in enumerate(names)
        for candidate in [i for i, each in enumerate(order) if name in groups[each]][:enough]
        for copy in range(n)
    ]
    if not pairs:
        return {}, dict.fromkeys(names, n)
    rows, columns = np.array(pairs).T
    graph = csr_array((np.ones(len(pairs)), (rows, columns)), shape=(enough, len(groups)))
    matched = maximum_bipartite_matching(graph, perm_type="column")
    chosen = {order[each]: names[place // n] for place, each in enumerate(matched) if each >= 0}
    found = Counter(chosen.values())
    return chosen, {name: n - found[name] for name in names if found[name] < n}
