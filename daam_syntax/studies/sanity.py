"""Do the maps depend on what they should depend on, and on nothing else? Controls of the instrument itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import pandas as pd
import torch

from daam_syntax.analysis import Estimate, estimate_difference, estimate_mean
from daam_syntax.attention import trace
from daam_syntax.attention.families import family_of
from daam_syntax.drawing import DrawingSettings
from daam_syntax.errors import StudyError
from daam_syntax.language import Sentence, parse
from daam_syntax.maps import HeatMaps
from daam_syntax.maps.measures.breadth import effective_area
from daam_syntax.studies.common import (
    content_words,
    draw,
    estimates_table,
    finding,
    image_row,
    parse_prompts,
    progress_bar,
    provenance,
    require_rows,
)
from daam_syntax.studies.plots import draw_estimates, draw_pictures
from daam_syntax.studies.result import StudyResult

TITLE: Final = "Sanity checks of the maps"
QUESTION: Final = (
    "Do maps fall apart when the attention's weights are randomised, follow words rather than positions when noun "
    "phrases change places, tell a nonce word from a noun, and agree between seeds?"
)
PROMPTS: Final = (
    "a red cat and a blue car",
    "a yellow duck and a purple hat",
    "a green chair and a pink dog",
    "a small owl and a big tree",
    "a white horse and a black sheep",
    "a pink whale and a yellow crab",
    "an orange robot and a green house",
    "a purple guitar and a white rooster",
)
NONCE: Final = "blicket"


def run(
    pipe: Any,
    *,
    prompts: str | Iterable[str] | None = None,
    seeds: int = 2,
    steps: int | None = 10,
    guidance: float | None = None,
    nonce: str = NONCE,
    parser: Any = None,
    progress: bool = False,
) -> StudyResult:
    """Compare maps with those of a randomised model, of changed prompts, and of other seeds.

    All pictures of a prompt and seed start from the same noise. Maps are compared by Pearson's correlation over
    pixels.

    - *randomised*: the same prompt, after the entries of the projections to queries and keys of all text attentions
      were shuffled within each matrix (a randomisation test after Adebayo et al. 2018);
    - *order*: the first two noun phrases change places, and the nouns' maps are compared with the original ones of
      the same noun, and of the noun that stood in that position;
    - *nonce*: the last noun is replaced by a word that means nothing;
    - *seeds*: the original maps of another seed.

    Parameters
    ----------
    pipe
        A pipeline that can be traced, whose attention has projections ``to_q`` and ``to_k``.
    prompts
        None for `PROMPTS`.
    seeds
        Images per prompt; with one, nothing is said about agreement between seeds.
    steps, guidance
        How to draw; None leaves it to the pipeline.
    nonce
        The nonce word.
    parser
        As for `trace`.
    progress
        Whether to show a progress bar.

    Returns
    -------
    StudyResult
        Tables "estimates"; "correlations", one row per image, word and comparison; "areas", the effective area of
        nouns and nonce words; "words", each content word's effective area in each image.
    """
    sentences = parse_prompts(prompts, PROMPTS, parser)
    settings = DrawingSettings(steps, guidance).for_pipeline(pipe)
    rows: dict[str, list[dict[str, Any]]] = {n: [] for n in ("correlations", "areas", "words")}
    example: list[tuple[str, np.ndarray]] = []

    def maps_of(sentence: Sentence, seed: int, noise_of: str) -> HeatMaps:
        with trace(pipe) as recording:
            draw(pipe, sentence.text, seed, settings, noise_of=noise_of)
        return recording.heat_maps(sentences=sentence)[0]

    with progress_bar(progress, len(sentences) * seeds) as advance:
        for sentence in sentences:
            earlier: HeatMaps | None = None
            for seed in range(seeds):
                row = image_row(sentence, seed)
                maps = maps_of(sentence, seed, sentence.text)
                with randomised(pipe, seed):
                    shuffled = maps_of(sentence, seed, sentence.text)
                words = [word for word in content_words(sentence) if word in maps.mapped]
                for word in words:
                    named = row | {"word_index": word, "word": sentence[word].text}
                    area = float(effective_area(maps[word].values))
                    rows["words"].append(named | {"effective_area": area})
                    others = {"randomised": shuffled, "another seed": earlier}
                    rows["correlations"] += [
                        named
                        | {
                            "comparison": comparison,
                            "correlation": correlation(maps[word].values, other[word].values),
                        }
                        for comparison, other in others.items()
                        if other is not None
                    ]
                    rows["correlations"] += [
                        named
                        | {
                            "comparison": "another word",
                            "correlation": correlation(maps[word].values, maps[other].values),
                        }
                        for other in words
                        if other != word
                    ]
                turned = swap_phrases(sentence, parser)
                if turned is not None:
                    swapped, pairs = turned
                    again = maps_of(swapped, seed, sentence.text)
                    rows["correlations"] += _compare_orders(maps, again, pairs, row)
                replaced = with_nonce(sentence, nonce, parser)
                if replaced is not None:
                    changed, old, new = replaced
                    unknown = maps_of(changed, seed, sentence.text)
                    rows["areas"] += [
                        row
                        | {"role": role, "word": text, "effective_area": float(effective_area(m))}
                        for role, text, m in (
                            ("noun", sentence[old].text, maps[old].values),
                            ("nonce word", nonce, unknown[new].values),
                        )
                    ]
                if words and not example:
                    example = [
                        (f"{sentence[words[-1]].text!r}", maps[words[-1]].resize()),
                        ("randomised", shuffled[words[-1]].resize()),
                    ]
                    if replaced is not None:
                        example.append((f"{nonce!r}", unknown[new].resize()))
                earlier = maps
                advance()
    require_rows(rows["words"], "a content word")
    tables = {name: pd.DataFrame(found) for name, found in rows.items() if found}
    reliability = split_half(tables["words"])
    estimates = _estimates(tables)
    shown = estimates_table(estimates)
    return StudyResult(
        "sanity",
        TITLE,
        QUESTION,
        (*(finding(estimate) for estimate in estimates), _reliability_finding(reliability)),
        {"estimates": shown, "reliability": pd.DataFrame([reliability]), **tables},
        {
            "estimates": draw_estimates(shown, unit="correlation, or difference (see the labels)"),
            "example": draw_pictures(example, title=f"{sentences[0].text}: maps"),
        },
        tuple(sentence.text for sentence in sentences),
        provenance(pipe, settings, seeds, sentences, nonce=nonce),
    )


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return Pearson's correlation of two maps over pixels; NaN where one is constant."""
    if first.std() == 0 or second.std() == 0:
        return float("nan")
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


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
        for comparison, other in (("same word", old), ("same position", same_position)):
            value = correlation(again[new].values, maps[other].values)
            found.append(
                row
                | {"word_index": old, "word": maps.sentence[old].text}
                | {"comparison": f"{comparison}, phrases swapped", "correlation": value}
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


def _reliability_finding(found: dict[str, Any]) -> str:
    n = f"n = {found['n_words']} words in {found['n_prompts']} prompts"
    what = "reliability of words' effective area between seeds (split halves, Spearman-Brown)"
    if np.isnan(found["reliability"]):
        return f"{what}: not measured, {found['reason']} ({n})."
    interval = (
        f"no interval: {found['reason']}"
        if found["reason"]
        else f"95 % interval {found['low']:.3f} to {found['high']:.3f}, percentile bootstrap of prompts"
    )
    return f"{what}: {found['reliability']:.3f} ({interval}; {n})."


def _estimates(tables: dict[str, pd.DataFrame]) -> list[Estimate]:
    of = dict(iter(tables["correlations"].groupby("comparison")))
    labels = {
        "another seed": "same word, another seed",
        "another word": "another word of the same image",
        "randomised": "same word, randomised attention",
        "same word, phrases swapped": "noun phrases swapped: same word",
        "same position, phrases swapped": "noun phrases swapped: same position",
    }
    found = [
        estimate_mean(of[name], "correlation", label=f"correlation with {label}")
        for name, label in labels.items()
        if name in of
    ]
    if "same word, phrases swapped" in of:
        found.append(
            estimate_difference(
                of["same word, phrases swapped"],
                of["same position, phrases swapped"],
                "correlation",
                label="noun phrases swapped: same word minus same position",
            )
        )
    if "areas" in tables:
        areas = dict(iter(tables["areas"].groupby("role")))
        found.append(
            estimate_difference(
                areas["nonce word"],
                areas["noun"],
                "effective_area",
                label="effective area, nonce word minus noun",
            )
        )
    return found
