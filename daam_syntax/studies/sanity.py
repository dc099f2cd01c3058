"""Do the maps depend on what they should depend on, and on nothing else? Controls of the instrument itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import pandas as pd
import torch

from daam_syntax.analysis import Estimate, estimate_difference, estimate_mean
from daam_syntax.attention.families import family_of
from daam_syntax.errors import StudyError
from daam_syntax.language import Sentence, parse
from daam_syntax.maps import HeatMaps
from daam_syntax.maps.measures.breadth import effective_area
from daam_syntax.studies.answers import Answer
from daam_syntax.studies.common import SHARE, content_words, correlation, image_row, require_rows
from daam_syntax.studies.design import StudyDesign
from daam_syntax.studies.plots import draw_pictures
from daam_syntax.studies.result import StudyResult
from daam_syntax.studies.setup import Setup
from daam_syntax.studies.special_tokens import (
    NAMES,
    draw_without_each,
    kind_answers,
    kind_maps,
    kind_rows,
)

NONCE: Final = "blicket"

DESIGN: Final = StudyDesign(
    name="sanity",
    title="Sanity checks of the maps",
    question="Do maps fall apart when the attention's weights are randomised, follow words rather than positions when "
    "noun phrases change places, tell a nonce word from a noun, and agree between seeds? And do the tokens that are no "
    "words, the padding above all, draw the picture too?",
    method="All pictures of a prompt and seed start from the same noise, and maps are compared by Pearson's "
    "correlation over pixels. Each content word's map is compared with its map after the entries of the projections "
    "to queries and keys of all text attentions were shuffled within each matrix (randomised; after Adebayo et al. "
    "2018), with its map from another seed, and with the maps of the other content words of its picture. Then the "
    "first two noun phrases change places, and the nouns' maps are compared with the original ones of the same noun "
    "and of the noun that stood in that position. Last, the last noun is replaced by a word that means nothing.",
    limits="Maps that pass depend on weights, words and noise as they should; that does not make them right about "
    "what a word does (see the study intervention). The randomised model draws another picture, or none, so that its "
    "maps differ for two reasons. A nonce word has subwords that occur in other words, and a place in a sentence that "
    "speaks for a noun.",
    prompts="adjectives",
    seeds=2,
    steps=10,
    figures={
        "example": "Maps of the last content word of the first prompt: original, with randomised attention, and of the "
        "nonce word in its stead. Each has a colour scale of its own.",
        "kinds": "The attention of the first picture's pixels to each kind of token, summed over its tokens; each map "
        "has a colour scale of its own, and its mean below the name.",
        "deleted": "The same picture, and drawn without attention to each kind of token.",
    },
    tables={
        "reliability": "Agreement of words' effective areas between even and odd seeds.",
        "correlations": "Correlations of maps by image, word and comparison.",
        "areas": "Effective areas of nouns and of the nonce word in their stead.",
        "words": "Effective area of each content word in each image.",
        "kinds": "Share of the attention, where it lies, and the change of the picture when it is deleted, by kind of "
        "token.",
    },
)

_TABLES: Final = ("correlations", "areas", "words", "kinds")
_SAME_WORD: Final = "same word, phrases swapped"
_SAME_PLACE: Final = "same position, phrases swapped"


def run(setup: Setup, *, threshold: str = "relative:0.4", nonce: str = NONCE) -> StudyResult:
    """Compare maps with those of a randomised model, of changed prompts, and of other seeds.

    Parameters
    ----------
    setup
        With a pipeline whose attention has projections ``to_q`` and ``to_k``; with one seed, nothing is said about
        agreement between seeds.
    threshold
        Rule that makes the masks of nouns.
    nonce
        The nonce word.
    """
    rows: dict[str, list[dict[str, Any]]] = {n: [] for n in _TABLES}
    examples: dict[str, tuple[list[tuple[str, np.ndarray]], str]] = {}
    earlier: dict[str, HeatMaps] = {}
    for sentence, seed in setup.images_of(setup.sentences):
        row = image_row(sentence, seed)
        picture, maps = setup.trace(sentence, seed, padding=True)
        with randomised(setup.pipe, seed):
            _, shuffled = setup.trace(sentence, seed)
        words = [word for word in content_words(sentence) if word in maps.mapped]
        others = {"randomised": shuffled}
        if sentence.text in earlier:
            others["another seed"] = earlier[sentence.text]
        earlier[sentence.text] = maps
        for word in words:
            named = row | {"word_index": word, "word": sentence[word].text}
            area = float(effective_area(maps[word].values))
            rows["words"].append(named | {"effective_area": area})
            rows["correlations"] += _compare(maps, word, others, words, named)
        turned = swap_phrases(sentence, setup.parser)
        if turned is not None:
            swapped, pairs = turned
            _, again = setup.trace(swapped, seed, noise_of=sentence.text)
            rows["correlations"] += _compare_orders(maps, again, pairs, row)
        replaced = with_nonce(sentence, nonce, setup.parser)
        if replaced is not None:
            changed, old, new = replaced
            _, unknown = setup.trace(changed, seed, noise_of=sentence.text)
            rows["areas"] += [
                row | {"role": role, "word": text, "effective_area": float(effective_area(values))}
                for role, text, values in (
                    ("noun", sentence[old].text, maps[old].values),
                    ("nonce word", nonce, unknown[new].values),
                )
            ]
        deleted = draw_without_each(setup, sentence, seed, list(kind_maps(maps)))
        rows["kinds"] += [row | each for each in kind_rows(maps, picture, deleted, threshold)]
        examples = examples or _example_of_kinds(maps, picture, deleted)
        if words and "example" not in examples:
            word = words[-1]
            shown = [
                (repr(sentence[word].text), maps[word].resize()),
                ("randomised", shuffled[word].resize()),
            ]
            if replaced is not None:
                shown.append((repr(nonce), unknown[new].resize()))
            examples["example"] = shown, sentence.text
    require_rows(rows["words"], "a content word")
    tables = {name: pd.DataFrame(found) for name, found in rows.items() if found}
    reliability = split_half(tables["words"])
    return StudyResult.of(
        DESIGN,
        setup,
        _answers(tables, reliability),
        {"reliability": pd.DataFrame([reliability]), **tables},
        {name: draw_pictures(*examples[name]) for name in DESIGN.figures if name in examples},
        threshold=threshold,
        nonce=nonce,
    )


def _example_of_kinds(
    maps: HeatMaps, picture: np.ndarray, deleted: Mapping[str, np.ndarray]
) -> dict[str, tuple[list[tuple[str, np.ndarray]], str]]:
    shown = [
        (f"{NAMES[kind]}\n{values.mean():.3f}", values) for kind, values in kind_maps(maps).items()
    ]
    pictures = [(f"without {NAMES[kind]}", drawn) for kind, drawn in deleted.items()]
    deletions = [("original", picture), *pictures]
    return {"kinds": (shown, maps.prompt), "deleted": (deletions, maps.prompt)}


def _compare(
    maps: HeatMaps,
    word: int,
    others: Mapping[str, HeatMaps],
    words: list[int],
    row: dict[str, Any],
) -> list[dict[str, Any]]:
    """Compare a word's map with its other maps, and with those of the other words of its picture."""
    pairs = [(name, other[word]) for name, other in others.items()]
    pairs += [("another word", maps[other]) for other in words if other != word]
    return [
        row | {"comparison": name, "correlation": correlation(maps[word].values, other.values)}
        for name, other in pairs
    ]


@contextmanager
def randomised(pipe: Any, seed: int) -> Iterator[None]:
    """Shuffle the entries of each query and key projection of the text attentions; put them back afterwards.

    Raises
    ------
    StudyError
        If the attention has no such projections.
    """
    family = family_of(pipe)
    denoiser = family.denoiser_of(pipe)
    weights = [
        parameter
        for path, module in denoiser.named_modules()
        if family.is_text_attention(path, module)
        for name, parameter in module.named_parameters()
        if name.split(".")[0] in ("to_q", "to_k", "add_q_proj", "add_k_proj")
    ]
    if not weights:
        raise StudyError(
            f"Expected text attentions with projections to_q and to_k, but those of {type(denoiser).__name__} "
            "have none: it cannot be randomised."
        )
    before = [weight.detach().clone() for weight in weights]
    generator = torch.Generator().manual_seed(seed)
    try:
        with torch.no_grad():
            for weight in weights:
                places = torch.randperm(weight.numel(), generator=generator).to(weight.device)
                weight.copy_(weight.flatten()[places].view_as(weight))
        yield
    finally:
        with torch.no_grad():
            for weight, old in zip(weights, before, strict=True):
                weight.copy_(old)


def swap_phrases(
    sentence: Sentence, parser: Any = None
) -> tuple[Sentence, list[tuple[int, int]]] | None:
    """Let the first two noun phrases change places.

    Returns
    -------
    tuple or None
        The new sentence, and the indices of both nouns, first in the old, then in the new one; None if there are no
        two noun phrases, or a noun is not a token of its own in the new parse.
    """
    if len(sentence.noun_phrases) < 2:
        return None
    one, two = sentence.noun_phrases[:2]
    starts = [sentence[span.start].start for span in (one, two)]
    ends = [sentence[span.end - 1].end for span in (one, two)]
    text = sentence.text
    between = text[ends[0] : starts[1]]
    first, second = text[starts[0] : ends[0]], text[starts[1] : ends[1]]
    new = parse(text[: starts[0]] + second + between + first + text[ends[1] :], parser)
    later = starts[0] + len(second) + len(between)
    pairs = []
    for span, start, moved in ((one, starts[0], later), (two, starts[1], starts[0])):
        root = sentence[span.root]
        index = _token_at(new, root.start - start + moved, root.text)
        if index is None:
            return None
        pairs.append((span.root, index))
    return new, pairs


def with_nonce(
    sentence: Sentence, nonce: str, parser: Any = None
) -> tuple[Sentence, int, int] | None:
    """Replace the last noun by a nonce word.

    Returns
    -------
    tuple or None
        The new sentence, and the index of the noun in the old one and of the nonce word in the new one; None if there
        is no noun.
    """
    nouns = [token for token in sentence.tokens if token.pos == "NOUN"]
    if not nouns:
        return None
    noun = nouns[-1]
    new = parse(sentence.text[: noun.start] + nonce + sentence.text[noun.end :], parser)
    index = _token_at(new, noun.start, nonce)
    return None if index is None else (new, noun.index, index)


def _token_at(sentence: Sentence, start: int, text: str) -> int | None:
    return next((t.index for t in sentence.tokens if (t.start, t.text) == (start, text)), None)


def _compare_orders(
    maps: HeatMaps, again: HeatMaps, pairs: list[tuple[int, int]], row: dict[str, Any]
) -> list[dict[str, Any]]:
    """Compare nouns' maps after their phrases changed places with those of the same noun and of the same position."""
    found = []
    (first, _), (second, _) = pairs
    for (old, new), same_position in zip(pairs, (second, first), strict=True):
        for comparison, other in ((_SAME_WORD, old), (_SAME_PLACE, same_position)):
            value = correlation(again[new].values, maps[other].values)
            found.append(
                row
                | {"word_index": old, "word": maps.sentence[old].text}
                | {"comparison": comparison, "correlation": value}
            )
    return found


def split_half(
    words: pd.DataFrame, *, measure: str = "effective_area", n_resamples: int = 999, seed: int = 0
) -> dict[str, Any]:
    """Estimate how reliable words' values are, from even and odd seeds (Spearman 1910, Brown 1910).

    A word's value is averaged over the even seeds and over the odd seeds; r is the correlation of the two over words,
    and ``2 r / (1 + r)`` the reliability of the mean over all seeds.

    Parameters
    ----------
    words
        With the columns ``prompt_id``, ``word_index``, ``seed`` and the measure.
    measure
        The column.
    n_resamples, seed
        Of the percentile bootstrap over prompts.

    Returns
    -------
    dict
        ``measure``, ``r``, ``reliability``, ``low`` and ``high`` (95 % interval), ``n_words``, ``n_prompts``, and a
        ``reason`` where something is NaN.
    """
    halves = words.assign(half=words["seed"] % 2).pivot_table(
        index=["prompt_id", "word_index"], columns="half", values=measure
    )
    result: dict[str, Any] = {"measure": measure}
    nothing = dict.fromkeys(("r", "reliability", "low", "high"), float("nan"))
    n = {"n_words": len(halves), "n_prompts": int(words["prompt_id"].nunique())}
    if halves.shape[1] < 2 or len(halves.dropna()) < 3:
        return result | nothing | n | {"reason": "needs two seeds and three words"}
    halves = halves.dropna()
    r = correlation(halves[0].to_numpy(), halves[1].to_numpy())
    found = {"r": r, "reliability": 2 * r / (1 + r)}
    prompts = halves.index.get_level_values("prompt_id").unique()
    if len(prompts) < 5:
        return result | nothing | found | n | {"reason": "fewer than 5 prompts: no interval"}
    rng = np.random.default_rng(seed)
    groups = [halves.xs(prompt, level="prompt_id").to_numpy() for prompt in prompts]
    drawn = []
    for _ in range(n_resamples):
        some = np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))])
        resampled = correlation(some[:, 0], some[:, 1])
        drawn.append(2 * resampled / (1 + resampled))
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return result | found | {"low": float(low), "high": float(high)} | n | {"reason": ""}


def _reliability_note(found: dict[str, Any]) -> str:
    n = f"n = {found['n_words']} words in {found['n_prompts']} prompts"
    what = "Reliability of words' effective area between seeds (split halves, Spearman-Brown)"
    if np.isnan(found["reliability"]):
        return f"{what}: not measured, {found['reason']} ({n})."
    interval = (
        f"no interval: {found['reason']}"
        if found["reason"]
        else f"95 % interval {found['low']:.3f} to {found['high']:.3f}, percentile bootstrap of prompts"
    )
    return f"{what}: {found['reliability']:.3f} ({interval}; {n})."


def _answers(tables: dict[str, pd.DataFrame], reliability: dict[str, Any]) -> list[Answer]:
    of = dict(iter(tables["correlations"].groupby("comparison")))
    unit = "correlation of maps over pixels (−1 to 1)"
    labels = {
        "another seed": "same word, another seed",
        "another word": "another word of the same image",
        "randomised": "same word, randomised attention",
    }
    answers = [
        Answer(
            "Do maps depend on word, noise and weights?",
            unit,
            tuple(
                estimate_mean(of[name], "correlation", label=label, bounds=(-1, 1))
                for name, label in labels.items()
                if name in of
            ),
            notes=(_reliability_note(reliability),),
        )
    ]
    if _SAME_WORD in of:
        answers.append(
            Answer(
                "Do maps follow words or positions?",
                unit,
                _of_order(of[_SAME_WORD], of[_SAME_PLACE]),
            )
        )
    if "areas" in tables:
        answers.append(_of_nonce(tables["areas"]))
    return answers + kind_answers(tables["kinds"])


def _of_order(word: pd.DataFrame, place: pd.DataFrame) -> tuple[Estimate, ...]:
    measure, bounds = "correlation", (-1, 1)
    label = "noun phrases swapped: same"
    return (
        estimate_mean(word, measure, label=f"{label} word", bounds=bounds),
        estimate_mean(place, measure, label=f"{label} position", bounds=bounds),
        estimate_difference(
            word, place, measure, label=f"{label} word minus same position", bounds=bounds
        ),
    )


def _of_nonce(areas: pd.DataFrame) -> Answer:
    nonce, noun = (areas[areas["role"] == role] for role in ("nonce word", "noun"))
    measure = "effective_area"
    return Answer(
        "Is the map of a nonce word broader?",
        "effective area (share of the picture)",
        (
            estimate_mean(noun, measure, label="noun", bounds=SHARE),
            estimate_mean(nonce, measure, label="nonce word in its stead", bounds=SHARE),
            estimate_difference(nonce, noun, measure, label="nonce word minus noun", bounds=SHARE),
        ),
    )
