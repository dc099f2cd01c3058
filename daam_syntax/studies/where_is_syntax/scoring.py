"""Layers and heads chosen on half of the prompts, and scored beside controls on the other half."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from daam_syntax.studies.where_is_syntax.attachment import (
    DIRECTIONS,
    PromptAttention,
    hits_and_counts,
    offset_hits,
    share_in,
    spanning_tree,
)
from daam_syntax.studies.where_is_syntax.trees import permuted_heads

OFFSETS: Final = tuple(offset for offset in range(-6, 7) if offset)
N_IN_TREE: Final = 5
"""Layers and heads whose mean has a spanning tree."""


@dataclass(frozen=True)
class Choice:
    """A direction, layer, and attention head, by their numbers, chosen on half of the prompts.

    Attributes
    ----------
    direction, layer, head
        Numbers; the direction is a place in `DIRECTIONS`.
    """

    direction: int
    layer: int
    head: int


@dataclass(frozen=True, eq=False)
class Scored:
    """The scores of one relation of attention, on the prompts that nothing was chosen on.

    Attributes
    ----------
    choice
        What was chosen.
    scored
        Numbers of the prompts.
    scores
        By condition, the attachment of each scored prompt; NaN without counted edges. *Shape:* ``(prompt,)``
    p_permuted
        Share of permuted trees with at least as many edges found as the trees, counting the trees themselves.
    """

    choice: Choice
    scored: tuple[int, ...]
    scores: dict[str, NDArray[np.float64]]
    p_permuted: float


def halves(n: int, seed: int) -> tuple[list[int], list[int]]:
    """Return the numbers of the prompts to choose on, and of those to score, at random."""
    order = np.random.default_rng(seed).permutation(n).tolist()
    return sorted(order[: n // 2]), sorted(order[n // 2 :])


def attachment(hits: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of counted edges that were found; NaN without counted edges."""
    return np.divide(hits, counts, out=np.full(np.shape(hits), np.nan), where=counts > 0)


def choose(
    prompts: Sequence[PromptAttention], numbers: Sequence[int], direction: int | None = None
) -> list[Choice]:
    """Return all layers and heads in one direction, or in both, the one that finds the most edges first."""
    own = [prompts[number] for number in numbers]
    hits, counts = hits_and_counts(own, [each.tree.heads for each in own])
    rates = attachment(
        hits.sum(axis=0), np.broadcast_to(counts.sum(axis=0)[:, None, None], hits.shape[1:])
    )
    rates = np.nan_to_num(rates, nan=-1.0)
    if direction is not None:
        rates[1 - direction] = -2.0
    order = np.argsort(-rates, axis=None, kind="stable")
    places = [np.unravel_index(each, rates.shape) for each in order]
    return [
        Choice(int(d), int(layer), int(head))
        for d, layer, head in places
        if rates[d, layer, head] > -2
    ]


def score(
    prompts: Sequence[PromptAttention],
    parts: tuple[Sequence[int], Sequence[int]],
    *,
    direction: int | None = None,
    n_permutations: int = 999,
    seed: int = 0,
) -> Scored:
    """Choose a layer and head on some prompts, and score it on others, beside controls that know no syntax.

    Parameters
    ----------
    prompts
        Attention and trees of all prompts.
    parts
        Numbers of the prompts to choose on, and of those to score.
    direction
        The direction, a place in `DIRECTIONS`; None to choose it, too.
    n_permutations
        Number of permutations of the trees.
    seed
        Seed of the permutations.
    """
    chosen_on, scored = parts
    best = choose(prompts, chosen_on, direction)[0]
    own = [prompts[number] for number in scored]
    heads = [each.tree.heads for each in own]
    hits, counts = hits_and_counts(own, heads)
    place = (slice(None), best.direction, best.layer, best.head)
    n = counts[:, best.direction]
    scores = {"attention": attachment(hits[place], n)}
    near = _best_offset(prompts, chosen_on, best.direction, (-1, 1))
    far = _best_offset(prompts, chosen_on, best.direction, OFFSETS)
    for name, offset in (("nearest neighbor", near), ("fixed distance", far)):
        scores[name] = attachment(offset_hits(own, heads, offset)[:, best.direction], n)
    found, total = _of_permuted(own, heads, place[1:], n_permutations, seed)
    scores["permuted trees"] = np.where(n > 0, attachment(found.sum(1), total.sum(1)), np.nan)
    observed = hits[place].sum() / max(n.sum(), 1)
    totals = attachment(found.sum(axis=0), total.sum(axis=0))
    as_good = np.nan_to_num(totals, nan=0.0) >= observed - 1e-12
    return Scored(best, tuple(scored), scores, float((1 + as_good.sum()) / (1 + n_permutations)))


def _of_permuted(
    prompts: Sequence[PromptAttention],
    heads: Sequence[NDArray[np.int64]],
    place: tuple[int, int, int],
    n_permutations: int,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the edges found and counted in permuted trees, both of *shape* ``(prompt, permutation)``."""
    generator = np.random.default_rng(seed)
    found, total = [], []
    for each, own in zip(prompts, heads, strict=True):
        if (own < 0).all():
            found.append(np.zeros(n_permutations))
            total.append(np.zeros(n_permutations))
            continue
        wanted = permuted_heads(own, generator, n_permutations)
        counted = each.counted(wanted)[place[0]]
        found.append(((each.predicted[place] == wanted) & counted).sum(axis=-1))
        total.append(counted.sum(axis=-1))
    return np.array(found, dtype=float), np.array(total, dtype=float)


def _best_offset(
    prompts: Sequence[PromptAttention],
    numbers: Sequence[int],
    direction: int,
    offsets: Sequence[int],
) -> int:
    own = [prompts[number] for number in numbers]
    heads = [each.tree.heads for each in own]
    rates = [offset_hits(own, heads, offset)[:, direction].sum() for offset in offsets]
    return offsets[int(np.argmax(rates))]


def tree_scores(
    prompts: Sequence[PromptAttention],
    parts: tuple[Sequence[int], Sequence[int]],
    *,
    n_permutations: int = 999,
    seed: int = 0,
) -> pd.DataFrame:
    """Score maximum spanning trees over the best heads of one half, beside the chain of neighbors and permuted trees.

    Returns
    -------
    pandas.DataFrame
        One row for each scored prompt: ``number``, ``attention``, ``nearest neighbor``, ``permuted trees``.
    """
    ranked = choose(prompts, parts[0])
    chosen = list(dict.fromkeys((each.layer, each.head) for each in ranked))[:N_IN_TREE]
    generator = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for number in parts[1]:
        each = prompts[number]
        heads = each.tree.heads
        lengths = np.abs(heads - np.arange(len(heads)))[heads >= 0]
        if not len(lengths) or len(heads) < 3:
            continue
        tree = spanning_tree(each, chosen)
        others = share_in(tree, permuted_heads(heads, generator, n_permutations))
        rows.append(
            {
                "number": number,
                "attention": float(share_in(tree, heads)),
                "nearest neighbor": float((lengths == 1).mean()),
                "permuted trees": float(np.mean(others)),
            }
        )
    return pd.DataFrame(rows)


def by_head(prompts: Sequence[PromptAttention], layers: Sequence[str]) -> pd.DataFrame:
    """Return the attachment of every layer, head and direction, over all prompts: described, not tested.

    Returns
    -------
    pandas.DataFrame
        Columns ``direction``, ``layer``, ``attention_head``, ``attachment``, ``n_edges``.
    """
    hits, counts = hits_and_counts(prompts, [each.tree.heads for each in prompts])
    total, n = hits.sum(axis=0), counts.sum(axis=0)
    return pd.DataFrame(
        {
            "direction": DIRECTIONS[direction],
            "layer": layers[layer],
            "attention_head": head,
            "attachment": total[direction, layer, head] / n[direction] if n[direction] else np.nan,
            "n_edges": int(n[direction]),
        }
        for direction, layer, head in np.ndindex(*total.shape)
    )


def by_dependency(
    prompts: Sequence[PromptAttention],
    parts: tuple[Sequence[int], Sequence[int]],
    layers: Sequence[str],
    *,
    n_permutations: int = 999,
    seed: int = 0,
) -> pd.DataFrame:
    """Return where each dependency relation peaks on one half, and how often it is found there on the other.

    Returns
    -------
    pandas.DataFrame
        Columns ``dependency``, ``direction``, ``layer``, ``attention_head``, ``attachment``, ``permuted``,
        ``n_edges`` and ``n_prompts`` (of the scored half). Dependencies without edges in both halves are left out.
    """
    labels = sorted({label for each in prompts for label in each.tree.labels if label})
    rows: list[dict[str, Any]] = []
    for label in labels:
        own = [_only(each, label) for each in prompts]
        first, second = ([own[n] for n in part] for part in parts)
        heads = [[each.tree.heads for each in half] for half in (first, second)]
        hits, counts = hits_and_counts(first, heads[0])
        n = counts.sum(axis=0)
        if not n.any():
            continue
        rates = attachment(hits.sum(axis=0), np.broadcast_to(n[:, None, None], hits.shape[1:]))
        place = tuple(int(each) for each in np.unravel_index(np.nanargmax(rates), rates.shape))
        direction, layer, head = place
        found, total = hits_and_counts(second, heads[1])
        if not (n_edges := total[:, direction].sum()):
            continue
        sums = [
            each.sum()
            for each in _of_permuted(
                second, heads[1], (direction, layer, head), n_permutations, seed
            )
        ]
        rows.append(
            {
                "dependency": label,
                "direction": DIRECTIONS[direction],
                "layer": layers[layer],
                "attention_head": head,
                "attachment": found[:, direction, layer, head].sum() / n_edges,
                "permuted": sums[0] / sums[1] if sums[1] else np.nan,
                "n_edges": int(n_edges),
                "n_prompts": int((total[:, direction] > 0).sum()),
            }
        )
    return pd.DataFrame(rows)


def _only(prompt: PromptAttention, label: str) -> PromptAttention:
    """Return a prompt whose tree has the edges of one label alone."""
    tree = prompt.tree
    heads = np.where(np.array(tree.labels) == label, tree.heads, -1)
    own = type(tree)(tree.sentence, tree.words, heads, tree.labels)
    found = PromptAttention(own, prompt.values, prompt.causal)
    # What attention predicts does not depend on the tree.
    found.__dict__["predicted"] = prompt.predicted
    return found
