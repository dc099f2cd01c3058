"""Choose prompts at random, with equal numbers per group or dependency relation."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from daam_syntax.errors import PromptError
from daam_syntax.language.parser import parse_many
from daam_syntax.language.prompt_sets.rows import COLUMNS, Prompt
from daam_syntax.language.ud.conversion import check_schemes


def groups_of(
    rows: Sequence[Prompt], by: str, parser: Any = None, scheme: str = "enhanced"
) -> list[frozenset[str]]:
    """Return the groups that each prompt can represent.

    Parameters
    ----------
    rows
        The prompts.
    by
        A column. If it is "relation" and no prompt has that column, the prompts are parsed, and each can represent
        every relation in its parse.
    parser, scheme
        The parser, and the dependency scheme of the relations.

    Raises
    ------
    PromptError
        If no prompt has that column.
    """
    values = [row.values().get(by, "") for row in rows]
    if any(values):
        return [frozenset({value}) for value in values]
    if by == "relation":
        return relations_of([row.text for row in rows], parser, scheme)
    raise PromptError(
        f"Expected one of the columns {', '.join(COLUMNS)} that some prompt has, but got {by!r}."
    )


def relations_of(
    prompts: Sequence[str], parser: Any = None, scheme: str = "enhanced"
) -> list[frozenset[str]]:
    """Parse each prompt and return its dependency relations.

    Raises
    ------
    ParserError
        If the parser cannot be loaded, or its sentences do not have the scheme.
    """
    sentences = parse_many(prompts, parser)
    (known,) = check_schemes(scheme, sentences)
    return [frozenset(edge.relation for edge in s.edges_of(known)) for s in sentences]


def choose(
    groups: Sequence[frozenset[str]], n: int, wanted: Sequence[str] | None, seed: int
) -> tuple[dict[int, str], dict[str, int]]:
    """Choose `n` prompts for each group, each prompt for one group only, and as many in total as possible.

    The choice is a maximum matching between places (`n` in each group) and prompts in random order.

    Parameters
    ----------
    groups
        The groups that each prompt can represent.
    n
        Prompts per group.
    wanted
        The groups to fill; None for all, largest first.
    seed
        Seed of the random order.

    Returns
    -------
    chosen : dict
        Maps the index of each chosen prompt to the group that it represents.
    missing : dict
        Maps each group with empty places to their number.

    Raises
    ------
    PromptError
        If `n` is less than one.
    """
    import numpy as np
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    if n < 1:
        raise PromptError(f"Expected at least one prompt per group, but got {n}.")
    order = random.Random(seed).sample(range(len(groups)), len(groups))
    sizes = Counter(group for each in groups for group in each)
    names = list(wanted or sorted(sizes, key=lambda group: (-sizes[group], group)))
    # A group never needs more candidates than there are places in all groups.
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
