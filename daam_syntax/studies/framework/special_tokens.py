"""Words, start and end tokens, padding: how much attention each takes, where, and what the picture is without it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import pandas as pd
from torch import Tensor

from daam_syntax.analysis import estimate_difference, estimate_mean
from daam_syntax.attention.pipeline_call.call import PipelineCall
from daam_syntax.attention.pipeline_call.controller import AttentionController, CallSite
from daam_syntax.attention.pipeline_call.observer import ObserverContext
from daam_syntax.attention.softmax.edited_weights import replace_weights, scaled_columns
from daam_syntax.attention.softmax.probabilities import AttentionCall
from daam_syntax.errors import StudyError
from daam_syntax.language import Sentence
from daam_syntax.maps import HeatMaps, bicubic
from daam_syntax.maps.measures.binding import leakage
from daam_syntax.maps.measures.breadth import effective_area
from daam_syntax.studies.framework.common import SHARE, content_words, inside_and_outside
from daam_syntax.studies.framework.findings import Finding
from daam_syntax.studies.framework.setup import Setup

NAMES: Final = {
    "start": "start token",
    "text": "words",
    "end": "end token",
    "template": "template tokens",
    "padding": "padding",
}
"""Kind of token (see `daam_syntax.maps.Subword`) to its name."""


def kind_maps(maps: HeatMaps) -> dict[str, np.ndarray]:
    """Return the attention to all tokens of each kind together, *shape* (y, x), of maps recorded with padding."""
    kinds = np.array([subword.kind for subword in maps.subwords])
    return {
        kind: maps.mean[kinds == kind].sum(axis=0, dtype=np.float64)
        for kind in NAMES
        if (kinds == kind).any()
    }


def draw_without_each(
    setup: Setup, sentence: Sentence, seed: int, kinds: Sequence[str]
) -> dict[str, np.ndarray]:
    """Draw a sentence without attention to each kind of token; return the pictures, *shape* (y, x, 3)."""
    pictures = {}
    for kind in kinds:
        with without(setup.pipe, kind):
            pictures[kind] = setup.draw(sentence.text, seed)[0]
    return pictures


def kind_rows(
    maps: HeatMaps, original: np.ndarray, deleted: Mapping[str, np.ndarray], threshold: str
) -> list[dict[str, Any]]:
    """Measure each kind of token in one image.

    Parameters
    ----------
    maps
        Recorded with padding.
    original, deleted
        The picture, and what was drawn without each kind.
    threshold
        Rule that makes the masks of nouns.

    Returns
    -------
    list of dict
        ``kind``, ``n_tokens``, ``attention`` (its share of all attention), ``effective_area`` of its map, ``on_nouns``
        (the share of its attention that lies in the mask of any noun), ``excess_on_nouns`` (that minus the mask's
        area), and what `inside_and_outside` gives for that mask: the change without it.
    """
    nouns = [word for word in content_words(maps.sentence, ("NOUN",)) if word in maps.mapped]
    height, width = original.shape[:2]
    mask = np.zeros((height, width), dtype=bool)
    for noun in nouns:
        mask |= maps[noun].mask(threshold, (height, width))
    rows = []
    for kind, values in kind_maps(maps).items():
        change = np.abs(deleted[kind] - original).mean(axis=-1)
        whole = bicubic(values[None], (height, width))
        on_nouns = float(leakage(whole, mask[None])[0, 0])
        rows.append(
            {
                "kind": kind,
                "n_tokens": sum(subword.kind == kind for subword in maps.subwords),
                "attention": float(values.mean()),
                "effective_area": float(effective_area(values)),
                "on_nouns": on_nouns,
                "excess_on_nouns": on_nouns - float(mask.mean()),
                **inside_and_outside(change, mask),
            }
        )
    return rows


def kind_answers(table: pd.DataFrame) -> list[Finding]:
    """Say how much attention each kind of token takes, where it lies, and what the picture is without it."""
    of = {NAMES[str(kind)]: rows for kind, rows in table.groupby("kind", sort=False)}
    change = [
        estimate_mean(rows, "whole", label=f"without {name}", bounds=SHARE)
        for name, rows in of.items()
    ]
    if {NAMES["padding"], NAMES["text"]} <= set(of):
        change.append(
            estimate_difference(
                of[NAMES["padding"]],
                of[NAMES["text"]],
                "whole",
                label="without padding minus without words",
                bounds=SHARE,
            )
        )
    return [
        Finding(
            "What takes the attention",
            "share of attention, summed over the tokens of a kind",
            tuple(
                estimate_mean(rows, "attention", label=name, bounds=SHARE)
                for name, rows in of.items()
            ),
        ),
        Finding(
            "Does it lie on the nouns' objects?",
            "share of its attention in the nouns' mask, minus the mask's area",
            tuple(
                estimate_mean(rows, "excess_on_nouns", label=name, bounds=(-1, 1))
                for name, rows in of.items()
            ),
        ),
        Finding("Do they draw the picture too?", "change of the picture (0 to 1)", tuple(change)),
    ]


def keys_by_kind(drawing: PipelineCall) -> dict[str, list[int]]:
    """Return the text keys of each kind of token (see `Subword`), padding among them, for a drawing of one prompt."""
    found: dict[str, set[int]] = {}
    for block in drawing.blocks:
        (read,) = block.prompts
        for subword in read.subwords:
            found.setdefault(subword.kind, set()).add(block.start + subword.position)
        rest = set(range(read.length)) - set(read.positions)
        found.setdefault("padding", set()).update(block.start + place for place in rest)
    return {kind: sorted(keys) for kind, keys in found.items() if keys}


@contextmanager
def without(pipe: Any, kind: str) -> Iterator[None]:
    """Draw one image of one prompt with no attention to tokens of a kind; the weights of the others sum to 1 again.

    Raises
    ------
    StudyError
        While it draws, if there is no such token.
    """
    keys: list[int] = []

    def begun(drawing: PipelineCall) -> None:
        found = keys_by_kind(drawing)
        if kind not in found:
            raise StudyError(f"Expected tokens among {', '.join(found)}, but got {kind!r}.")
        keys[:] = found[kind]

    def respond(site: CallSite, call: AttentionCall, value: Tensor, output: Tensor) -> Tensor:
        split = site.splits[0]
        columns = [split.text.start + key for key in keys]

        def change(weights: Tensor, part: slice) -> Tensor:
            return scaled_columns(weights, columns, 0.0)

        replace_weights(call, value, output, site.rows.start, split.pixels, change)
        return output

    deleting = AttentionController(
        pipe,
        respond=respond,
        begun=begun,
        ended=lambda drawing: None,
        does={"edits": f"no attention to {kind}", "recorded": "attention before the edits"},
    )
    with ObserverContext(deleting):
        yield
