"""Controls: pairs that share everything with head and dependent but what is to be shown.

Each removes another explanation of why heads and dependents overlap; see `CONTROLS`. All give rows of the pair
table with a ``kind`` of their own and the relation that they stand for, so that
``summarize(pd.concat([pairs, control]), control="shifted")`` compares relation by relation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from daam_syntax.analysis.tables.identity import image_columns
from daam_syntax.analysis.tables.pairs import measure_pairs
from daam_syntax.language.sentence import Edge, Sentence, Token
from daam_syntax.maps import HeatMaps, Subword, each_image
from daam_syntax.maps.subwords import Kind

CONTROLS: Final[Mapping[str, str]] = {
    "unrelated": "that any two words of a prompt overlap as much, because they are in one picture",
    "matched": "that words overlap because they stand near each other, or because of their parts of speech",
    "cross-prompt": "that maps overlap because all maps favour the same places (the centre, above all)",
    "shifted": "that maps overlap because they are large, or smooth: a shifted map keeps area and autocorrelation",
    "permuted": "that the words of a prompt overlap whichever of them the edges join",
}
"""Kind of control to the explanation that it removes."""


def shifted_pairs(
    maps: HeatMaps | Sequence[HeatMaps],
    *,
    scheme: str = "ud",
    n: int = 4,
    seed: int = 0,
    **options: Any,
) -> pd.DataFrame:
    """Measure dependency pairs with the dependent's map shifted around the torus.

    What leaves the grid on one side comes in at the other, so the map keeps its area and its autocorrelation, and
    loses its place.

    Parameters
    ----------
    maps
        The maps of one image, or of several.
    scheme
        Whose edges.
    n
        Shifts per image, each with rows of its own; drawn from all but the one that changes nothing.
    seed
        Of the draws.
    **options
        What else `measure_pairs` takes: threshold, size, ...

    Returns
    -------
    pandas.DataFrame
        A pair table of kind "shifted".
    """
    images, rng = list(each_image(maps)), np.random.default_rng(seed)

    def shifted(image: HeatMaps) -> list[_Borrowed]:
        height, width = image.grid
        place = int(rng.integers(1, max(height * width, 2)))
        words = np.roll(image.stack(), divmod(place, width), axis=(1, 2))
        map_of = dict(zip(image.mapped, words, strict=True))
        return [
            _Borrowed(
                edge,
                image.sentence[edge.dependent],
                map_of.get(edge.dependent),
                len(image.words[edge.dependent].subwords),
                _status(image, "dependent", edge.dependent),
            )
            for edge in image.sentence.edges_of(scheme)
        ]

    parts = [_measure([shifted(i) for i in images], images, scheme, options) for _ in range(n)]
    return pd.concat(parts, ignore_index=True).assign(kind="shifted")


def cross_prompt_pairs(
    maps: Sequence[HeatMaps],
    *,
    scheme: str = "ud",
    seed: int = 0,
    **options: Any,
) -> pd.DataFrame:
    """Measure heads with a word of another prompt's image: what overlaps by place alone.

    In the dependent's stead is a word with its part of speech and another lemma than either word of the pair, drawn
    from the images of other prompts with the same number of the seed (from all, where no image knows its seed).

    Parameters
    ----------
    maps, scheme, seed, **options
        See `shifted_pairs`.

    Returns
    -------
    pandas.DataFrame
        A pair table of kind "cross-prompt"; its dependents are words of other prompts, so distances are missing.
        Where no prompt has such a word, a row with NaN and the reason.
    """
    images, rng = list(each_image(maps)), np.random.default_rng(seed)
    words = _words_with_maps(images)

    def borrow(number: int, edge: Edge) -> _Borrowed:
        image = images[number]
        head, dependent = image.sentence[edge.head], image.sentence[edge.dependent]
        fits = (words["prompt"] != image.prompt) & (words["pos"] == dependent.pos)
        fits &= ~words["lemma"].isin([head.lemma, dependent.lemma])
        fits &= words["seed"] == str(image.provenance.get("seed"))
        fits &= words["shape"] == _shape(image)
        if not fits.any():
            why = "no image of another prompt has such a word at this seed"
            return _Borrowed(edge, dependent, None, reason=why)
        chosen = words.loc[rng.choice(words.index[fits])]
        other, index = images[chosen["image"]], int(chosen["index"])
        return _Borrowed(
            edge, other.sentence[index], other.stack([index])[0], len(other.words[index].subwords)
        )

    borrowed = [
        [borrow(number, edge) for edge in image.sentence.edges_of(scheme)]
        for number, image in enumerate(images)
    ]
    table = _measure(borrowed, images, scheme, options)
    unknown = pd.array([pd.NA] * len(table), dtype="Int64")
    return table.assign(kind="cross-prompt", linear_distance=np.nan, tree_distance=unknown)


def permuted_pairs(
    maps: HeatMaps | Sequence[HeatMaps],
    *,
    scheme: str = "ud",
    n: int = 4,
    seed: int = 0,
    **options: Any,
) -> pd.DataFrame:
    """Measure the tree of every image with its words exchanged at random.

    Every permutation keeps the tree's shape and the labels of its edges; which words they join is chance.
    Punctuation and words without a map stay where they are. Chance may join a head with its dependent.

    Parameters
    ----------
    maps, scheme, seed, **options
        See `shifted_pairs`.
    n
        Permutations per image, each with rows of its own.

    Returns
    -------
    pandas.DataFrame
        A pair table of kind "permuted": its words are those that were measured.
    """
    images, rng = list(each_image(maps)), np.random.default_rng(seed)

    def permuted(image: HeatMaps) -> HeatMaps:
        sentence = image.sentence
        movable = [i for i in image.mapped if sentence[i].pos != "PUNCT"]
        to = dict(zip(movable, rng.permutation(movable).tolist(), strict=True))
        edges = tuple(
            Edge(to.get(e.head, e.head), to.get(e.dependent, e.dependent), e.relation)
            for e in sentence.edges_of(scheme)
        )
        return image.with_sentence(replace(sentence, edges={scheme: edges}, root_indices={}))

    parts = [
        measure_pairs([permuted(i) for i in images], schemes=scheme, unrelated=False, **options)
        for _ in range(n)
    ]
    return pd.concat(parts, ignore_index=True).assign(kind="permuted")


def normalise_over_tokens(maps: HeatMaps) -> HeatMaps:
    """Return maps that compete among the prompt's own tokens only: at each pixel they sum to 1.

    Attention is a softmax over tokens, so where one token takes more, others must take less: maps are negatively
    correlated by construction, and where the start token takes nearly all, what is left for words is small. Divided
    by the sum over the text's tokens, a map says which share of the *words'* attention a word has at a pixel. The
    competition among words stays: compare results on raw and on normalised maps.

    Pixels where the text's tokens have no attention at all are 0 in every map. Special tokens get maps of 0.

    Parameters
    ----------
    maps
        The heat maps of one image.

    Returns
    -------
    HeatMaps
        Shares, 0 to 1, with the same dims; their provenance says that they are normalised.
    """
    values = maps.data.values
    text = np.array([subword.kind == "text" for subword in maps.subwords])
    total = values[text].sum(axis=0, dtype=np.float64)
    shares = np.divide(values, total, out=np.zeros(values.shape), where=total > 0)
    shares[~text] = 0
    return HeatMaps(
        maps.data.copy(data=shares.astype(np.float32)),
        maps.subwords,
        maps.sentence,
        maps.image_size,
        truncated_at=maps.truncated_by,
        provenance={**maps.provenance, "normalised": "over the text's tokens"},
    )


_SHARING: Final[tuple[Kind, ...]] = ("start", "text", "end", "template", "padding")


def attention_shares(maps: HeatMaps | Sequence[HeatMaps]) -> pd.DataFrame:
    """Tabulate how much attention the text's tokens and the special tokens take.

    Parameters
    ----------
    maps
        The heat maps of one image, or of several.

    Returns
    -------
    pandas.DataFrame
        One row per image and kind of token (``kind``: "start", "text", "end", "padding", and "template" where there
        is one): ``n_tokens``, and ``attention``, the mean over the pixels of their summed attention probability, 0 to
        1; NaN with a ``reason`` for a kind that has no token, or for padding that was not recorded
        (``trace(padding=True)``). If it was, the kinds sum to 1 where pixels attend to the text alone (resizing coarse
        layers moves that by less than a hundredth, and layers of one grid not at all); in joint attention, what is
        missing is the attention to pixels.
    """
    rows = []
    for number, image in enumerate(each_image(maps)):
        kinds = np.array([subword.kind for subword in image.subwords])
        for kind in _SHARING:
            chosen = image.mean[kinds == kind]
            if kind == "template" and not len(chosen):
                continue
            attention = (
                float(chosen.sum(axis=0, dtype=np.float64).mean()) if len(chosen) else np.nan
            )
            counts = {"kind": kind, "n_tokens": len(chosen), "attention": attention}
            rows.append(image_columns(image, number) | counts | {"reason": image.lacks(kind)})
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class _Borrowed:
    """An edge whose dependent's map is another one, or there is none, with the reason."""

    edge: Edge
    token: Token
    values: np.ndarray | None
    n_subwords: int = 0
    reason: str = ""


def _status(image: HeatMaps, role: str, index: int) -> str:
    """Say why a word has no map; nothing if it has one."""
    word = image.words[index]
    return "" if word.status == "mapped" else f"{role} is {word.status}: {word.reason}"


def _shape(image: HeatMaps) -> str:
    return f"{image.grid} {image.image_size}"


def _words_with_maps(images: Sequence[HeatMaps]) -> pd.DataFrame:
    rows = [
        {
            "image": number,
            "index": index,
            "prompt": image.prompt,
            "seed": str(image.provenance.get("seed")),
            "shape": _shape(image),
            "pos": image.sentence[index].pos,
            "lemma": image.sentence[index].lemma,
        }
        for number, image in enumerate(images)
        for index in image.mapped
    ]
    columns = ["image", "index", "prompt", "seed", "shape", "pos", "lemma"]
    return pd.DataFrame(rows, columns=columns)


def _measure(
    borrowed: Sequence[Sequence[_Borrowed]],
    images: Sequence[HeatMaps],
    scheme: str,
    options: Mapping[str, Any],
) -> pd.DataFrame:
    """Measure each head's own map with the borrowed one; rows are named after the words that lent them."""
    joint = [_joined(image, pairs, scheme) for image, pairs in zip(images, borrowed, strict=True)]
    table = measure_pairs(joint, schemes=scheme, unrelated=False, **options)
    rows = [
        _names(images[image], borrowed[image][place - len(images[image])])
        for image, place in zip(table["image"], table["dependent_index"], strict=True)
    ]
    names = pd.DataFrame(rows, index=table.index)
    reasons = names.pop("reason") if len(names) else table["reason"]
    table["reason"] = reasons.where(reasons != "", table["reason"])
    return table.assign(**names)


def _joined(image: HeatMaps, pairs: Sequence[_Borrowed], scheme: str) -> HeatMaps:
    """Return an image's word maps with the borrowed maps behind them, as further words of its sentence.

    So borrowed maps are measured by the very code that measures pairs. Every word stands apart in a text of its own and
    has one subword: words of the prompt may share characters.
    """
    lent = [replace(pair.token, index=len(image) + k) for k, pair in enumerate(pairs)]
    tokens, start = [], 0
    for token in (*image.sentence.tokens, *lent):
        end = start + len(token.text)
        tokens.append(replace(token, start=start, end=end))
        start = end + 1
    edges = tuple(
        Edge(p.edge.head, token.index, p.edge.relation)
        for p, token in zip(pairs, lent, strict=True)
    )
    text = " ".join(token.text for token in tokens)
    maps = list(zip(image.mapped, image.stack(), strict=True))
    maps += [(t.index, p.values) for t, p in zip(lent, pairs, strict=True) if p.values is not None]
    subwords = [Subword(i, tokens[i].text, tokens[i].start, tokens[i].end) for i, _ in maps]
    stack = np.stack([values for _, values in maps]) if maps else np.zeros((0, *image.grid))
    return HeatMaps(
        xr.DataArray(stack, dims=("token", "y", "x")),
        subwords,
        Sentence(text, tuple(tokens), {scheme: edges}),
        image.image_size,
        provenance={**image.provenance, "prompt_id": image_columns(image, 0)["prompt_id"]},
    )


def _names(image: HeatMaps, pair: _Borrowed) -> dict[str, Any]:
    """Return what the joined sentence could not know of a pair."""
    problems = [_status(image, "head", pair.edge.head), pair.reason]
    return {
        "prompt": image.prompt,
        "dependent_index": pair.token.index,
        "head_subwords": len(image.words[pair.edge.head].subwords),
        "dependent_subwords": pair.n_subwords,
        "linear_distance": pair.edge.dependent - pair.edge.head,
        "reason": "; ".join(filter(None, problems)),
    }
