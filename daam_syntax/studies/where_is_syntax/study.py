"""Where is syntax? The attention between words, against the dependency tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from daam_syntax.language import Sentence
from daam_syntax.maps import HeatMaps
from daam_syntax.studies.framework.design import StudyDesign
from daam_syntax.studies.framework.result import StudyResult
from daam_syntax.studies.framework.setup import Setup
from daam_syntax.studies.framework.table_rows import image_row, require_rows
from daam_syntax.studies.where_is_syntax.attachment import DIRECTIONS, PromptAttention
from daam_syntax.studies.where_is_syntax.figures import draw_example, draw_heads, draw_scores
from daam_syntax.studies.where_is_syntax.findings import make_findings
from daam_syntax.studies.where_is_syntax.overlap import agreement
from daam_syntax.studies.where_is_syntax.recording import (
    Related,
    drawn,
    has_text_queries,
    merged,
    of_encoders,
    randomized,
)
from daam_syntax.studies.where_is_syntax.scoring import (
    Choice,
    by_dependency,
    by_head,
    halves,
    score,
    tree_scores,
)
from daam_syntax.studies.where_is_syntax.trees import shuffled

DESIGN: Final = StudyDesign(
    name="where-is-syntax",
    title="Where is syntax?",
    question="In which relation of attention, layer, and attention head does the attention between words find the "
    "dependency tree: in the text encoders, or among the text in the denoiser?",
    method="The attention from word to word is the mean over the subwords that attend, and the sum over those that are "
    "attended to. A word is attached to the word that it attends to most (dependent to head), or that attends to it "
    "most (head to dependent); the unlabeled attachment is the share of edges of the tree that are found. "
    "Special tokens and words that take more than half of what the others give to words (sinks) are left out. Under a "
    "causal mask, only edges that the mask permits are counted, for attention and controls alike, and candidates are "
    "the words that it permits; edges with a single candidate are not counted. The layer, the attention head, and the "
    "direction are chosen on a random half of the prompts, and scored on the other half, beside controls that know "
    "no syntax: the nearest neighbor, the best fixed distance (also chosen on the first half), permuted trees (whose "
    "edges have the same lengths and directions in other places), the same model with the entries of its weight "
    "matrices shuffled, and the prompts with their words in random order, each of the last two with a layer and head "
    "of its own choice. The maximum spanning tree is that over the mean of the best five layers and heads. Agreement "
    "with the image is the correlation, over pairs of words, of the logarithm of their attention with the correlation "
    "of their heat maps, after removing what each word has with all others and the distance of the two in the prompt.",
    limits="Attention that finds an edge need not be what the model uses. Most edges of a short caption join "
    "neighbors, so the difference from fixed distances and permuted trees is what counts. Parses are the parser's. "
    "A null says little about small models; the benchmark where_is_syntax has a trained encoder in which the same "
    "procedure finds the tree.",
    prompts="emoji-relations",
    seeds=1,
    steps=10,
    figures={
        "scores": "Unlabeled attachment on the half of the prompts that nothing was chosen on, beside controls; each "
        "point is a prompt.",
        "heads": "Unlabeled attachment of every layer and attention head over all prompts, by direction: described, "
        "not tested.",
        "example": "The first scored prompt: attention from each word (row) to each word (column) in the chosen layer "
        "and head, gray where the mask forbids it. Edges of the tree are framed, solid in the chosen direction.",
    },
    tables={
        "scores": "Unlabeled attachment by relation, direction, and condition, with the layer and head that were "
        "chosen, and p of the permuted trees.",
        "dependencies": "Where each dependency relation peaks on the first half, and how often it is found there on "
        "the other; permuted: the same for edges of the same lengths in other places.",
        "heads": "Attachment of every layer and attention head.",
        "prompts": "Attachment of each scored prompt in each condition, and agreement with the image.",
    },
    printed=("scores",),
)

RANDOMIZED: Final = "randomized model"
SHUFFLED: Final = "shuffled prompt"


def run(
    setup: Setup,
    *,
    encoder: str | None = None,
    image_overlap: bool = True,
    permutations: int = 999,
    seed: int = 0,
) -> StudyResult:
    """Compare the attention between words with the dependency tree, by relation, layer, head, and direction.

    Parameters
    ----------
    setup
        The setup.
    encoder
        Name of the only text encoder to examine, such as "text_encoder_2"; None for all.
    image_overlap
        Whether to draw the prompts, to compare the attention with the overlap of heat maps. Models with joint attention
        draw in any case, for the attention among the text.
    permutations
        Number of permuted trees for each prompt.
    seed
        Seed of the halves, permutations, orders of words, and randomized weights.
    """
    generator = np.random.default_rng(seed)
    others = [shuffled(sentence, generator) for sentence in setup.sentences]
    sources, maps = _recorded(setup, setup.sentences, encoder, draws=image_overlap)
    shuffled_sources, _ = _recorded(setup, others, encoder, draws=False)
    with randomized(setup.pipe, seed, denoiser=has_text_queries(setup.pipe)):
        random_sources, _ = _recorded(setup, setup.sentences, encoder, draws=False)
    controls = {
        RANDOMIZED: (random_sources, [s.text for s in setup.sentences]),
        SHUFFLED: (shuffled_sources, [s.text for s in others]),
    }
    rows, scores, dependencies, heads = [], [], [], []
    examples: list[tuple[str, PromptAttention, Choice, str]] = []
    for name, source in sources.items():
        known = [s for s in setup.sentences if source.prompts[s.text] is not None]
        prompts = [_present(source, sentence.text) for sentence in known]
        if len(prompts) < 4:
            continue
        parts = halves(len(prompts), seed)
        for direction in (None, 0, 1):
            found = score(
                prompts, parts, direction=direction, n_permutations=permutations, seed=seed
            )
            named = "chosen" if direction is None else DIRECTIONS[direction]
            by_condition = dict(found.scores)
            if direction is None:
                # The same prompts on each side of the division, also where a control reads fewer of them.
                by_condition |= _of_controls(controls, name, setup, known, parts)
                examples.append(
                    (name, prompts[parts[1][0]], found.choice, source.layers[found.choice.layer])
                )
                overlap = _agreement(prompts, known, parts[1], found.choice, maps)
                rows += [
                    _row(known[n], name, named, "agreement", value) for n, value in overlap.items()
                ]
                tree = tree_scores(prompts, parts, n_permutations=permutations, seed=seed)
                for each in tree.to_dict("records"):
                    sentence = known[int(each.pop("number"))]
                    rows += [
                        _row(sentence, name, "spanning tree", str(condition), value)
                        for condition, value in each.items()
                    ]
            for condition, values in by_condition.items():
                rows += [
                    _row(known[n], name, named, condition, value)
                    for n, value in zip(found.scored, values, strict=True)
                ]
            scores.append(
                {
                    "relation": name,
                    "direction": named,
                    "chosen_direction": DIRECTIONS[found.choice.direction],
                    "layer": source.layers[found.choice.layer],
                    "attention_head": found.choice.head,
                    "causal": prompts[0].causal,
                    **{
                        c: float(np.nanmean(v)) if np.isfinite(v).any() else np.nan
                        for c, v in by_condition.items()
                    },
                    "p_permuted": found.p_permuted,
                    "n_prompts": int(np.isfinite(found.scores["attention"]).sum()),
                }
            )
        dependencies.append(
            by_dependency(
                prompts, parts, source.layers, n_permutations=permutations, seed=seed
            ).assign(relation=name)
        )
        heads.append(by_head(prompts, source.layers).assign(relation=name))
    table = require_rows(rows, "three words or more, in at least four prompts")
    return StudyResult.of(
        DESIGN,
        setup,
        make_findings(table, pd.DataFrame(scores)),
        {
            "scores": pd.DataFrame(scores),
            "dependencies": _relation_first(pd.concat(dependencies, ignore_index=True)),
            "heads": _relation_first(pd.concat(heads, ignore_index=True)),
            "prompts": table,
        },
        {
            "scores": draw_scores(table),
            "heads": draw_heads(pd.concat(heads, ignore_index=True)),
            "example": draw_example(examples),
        },
        encoder=encoder,
        permutations=permutations,
        seed=seed,
    )


def _recorded(
    setup: Setup, sentences: Sequence[Sentence], encoder: str | None, *, draws: bool
) -> tuple[dict[str, Related], list[tuple[Sentence, HeatMaps]]]:
    """Return the attention of all relations to some prompts, and their heat maps if they are drawn."""
    found = of_encoders(setup, sentences, encoder)
    if not draws and not has_text_queries(setup.pipe):
        return found, []
    among_text, maps = drawn(setup, sentences)
    return merged(found, among_text), maps


def _present(source: Related, text: str) -> PromptAttention:
    found = source.prompts[text]
    assert found is not None, "prompts with too few words are left out"
    return found


def _of_controls(
    controls: Mapping[str, tuple[dict[str, Related], list[str]]],
    name: str,
    setup: Setup,
    known: Sequence[Sentence],
    parts: tuple[list[int], list[int]],
) -> dict[str, np.ndarray]:
    """Return the attachment of the scored prompts in each model or order of words that knows no syntax."""
    texts = [sentence.text for sentence in setup.sentences]
    result = {}
    for condition, (sources, own_texts) in controls.items():
        own = dict(zip(texts, own_texts, strict=True))
        prompts = [sources[name].prompts[own[sentence.text]] for sentence in known]
        kept = {n: each for n, each in enumerate(prompts) if each is not None}
        numbers = {n: place for place, n in enumerate(kept)}
        here = tuple([numbers[n] for n in part if n in numbers] for part in parts)
        found = score(list(kept.values()), (here[0], here[1]), n_permutations=1)
        values = dict(zip(here[1], found.scores["attention"], strict=True))
        result[condition] = np.array(
            [values[numbers[n]] if n in numbers else np.nan for n in parts[1]]
        )
    return result


def _agreement(
    prompts: Sequence[PromptAttention],
    known: Sequence[Sentence],
    scored: Sequence[int],
    choice: Choice,
    maps: Sequence[tuple[Sentence, HeatMaps]],
) -> dict[int, float]:
    """Return the mean agreement of each scored prompt over its images."""
    found: dict[int, float] = {}
    for n in scored:
        own = [each for sentence, each in maps if sentence is known[n]]
        values = [
            agreement(prompts[n], prompts[n].values[choice.layer, choice.head], each)
            for each in own
        ]
        if np.isfinite(values).any():
            found[n] = float(np.nanmean(values))
    return found


def _row(
    sentence: Sentence, relation: str, direction: str, condition: str, value: float
) -> dict[str, Any]:
    return image_row(sentence, 0) | {
        "relation": relation,
        "direction": direction,
        "condition": condition,
        "value": value,
    }


def _relation_first(table: pd.DataFrame) -> pd.DataFrame:
    return table[["relation", *(name for name in table.columns if name != "relation")]]
