"""How tokens share the attention of the pixels, and maps without what words share: by pixel, or as a mean map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from daam_syntax.analysis.tables.identity import image_columns, without_plain_kind
from daam_syntax.maps import HeatMaps, each_image
from daam_syntax.maps.heatmaps import require_one_image
from daam_syntax.maps.subwords import Kind
from daam_syntax.util.arguments.checks import OWN, checked

_SHARING: Final[tuple[Kind, ...]] = ("start", "text", "end", "template", "padding")


@checked(maps=OWN)
def attention_shares(maps: HeatMaps | Sequence[HeatMaps]) -> pd.DataFrame:
    """Tabulate how much attention the tokens of the text and the special tokens get.

    Parameters
    ----------
    maps
        Heat maps of one image, or of several.

    Returns
    -------
    pandas.DataFrame
        One row per image and kind of token. ``kind`` is "start", "text", "end", "padding", or, where there is one,
        "template". ``n_tokens`` is the number of tokens. ``attention`` is the mean over the pixels of the tokens'
        summed attention probability, 0 to 1. It is NaN, with a ``reason``, for a kind without tokens, and for padding
        that was not recorded (``trace(padding=True)`` records it).

        If padding was recorded and pixels attend only to the text, the kinds sum to 1. Resizing coarse layers changes
        that by less than a hundredth, and layers of one grid do not change it. In joint attention, the rest is the
        attention to pixels.
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
    return without_plain_kind(pd.DataFrame(rows)) if rows else pd.DataFrame()


@checked(maps=OWN)
def normalize_over_tokens(maps: HeatMaps) -> HeatMaps:
    """Return maps that sum to 1 over the tokens of the text at each pixel.

    Attention is a softmax over tokens. Where one token gets more, others must get less, so maps are negatively
    correlated by construction; and where the start token gets nearly everything, little is left for words. Divided by
    the sum over the tokens of the text, a map shows which share of the *words'* attention a word gets at a pixel. The
    competition among words remains. Compare results on raw and on normalized maps.

    Where the tokens of the text get no attention, every map is 0. Special tokens have maps of 0.

    Parameters
    ----------
    maps
        Heat maps of one image.

    Returns
    -------
    HeatMaps
        Shares from 0 to 1, with the same dims. The provenance records the normalization.
    """
    require_one_image(maps)
    values = maps.data.values
    text = np.array([subword.kind == "text" for subword in maps.subwords])
    total = values[text].sum(axis=0, dtype=np.float64)
    shares = np.divide(values, total, out=np.zeros(values.shape), where=total > 0)
    shares[~text] = 0
    normalized = maps.data.copy(data=shares.astype(np.float32))
    return maps.with_values(normalized, normalized="over the text's tokens")


@checked(maps=OWN)
def remove_mean_map(maps: HeatMaps) -> HeatMaps:
    """Return maps of words without what the words of the image share.

    Many maps are high at the same place, for example in the center or on the only object. Words that share such a place
    overlap, whether they are related or not, and no measure of overlap corrects for that. Here every word's map is
    divided by its mean over the image; then the mean of these maps over all words except punctuation is subtracted, and
    negative values become 0. What remains is where a word gets more attention than the words of this image do on
    average, in multiples of its own mean.

    This removes a map that is added to every word's own map, and most of a tendency of all words to lie at one place.
    It does not make words independent. Before negative values become 0, the differences of n words add up to 0, so even
    independent maps become negatively correlated, by about ``-1 / (n - 1)``. With few words, a word's own map is a
    large part of the mean. So compare related words with unrelated words of the same image, and report the overlap of
    the maps as recorded, too.

    Parameters
    ----------
    maps
        Heat maps of one image. Steps, layers, and attention heads are averaged over.

    Returns
    -------
    HeatMaps
        One map for each word, which all its subwords have; a subword of several words has the mean of theirs. Special
        tokens and words without mass have maps of 0. Use a relative threshold rule. The provenance records the removal.

    Raises
    ------
    ValueError
        If the mean map has been removed before.
    """
    require_one_image(maps)
    if "mean_map" in maps.provenance:
        raise ValueError(
            "Expected maps as recorded, but the mean map was removed from these already; pass the maps from before."
        )
    words = maps.stack().astype(np.float64)
    means = words.mean(axis=(-2, -1), keepdims=True)
    relative = np.divide(words, means, out=np.zeros_like(words), where=means > 0)
    counted = [
        maps.sentence[index].pos != "PUNCT" and bool(mean > 0)
        for index, mean in zip(maps.mapped, means.ravel(), strict=True)
    ]
    shared = relative[counted].sum(axis=0) / max(1, sum(counted))
    own = np.where(means > 0, np.clip(relative - shared, 0, None), 0)
    values = np.zeros((len(maps.subwords), *maps.grid))
    times = np.zeros((len(maps.subwords), 1, 1))
    for index, word in zip(maps.mapped, own, strict=True):
        rows = list(maps.words[index].subwords)
        values[rows] += word
        times[rows] += 1
    return maps.with_values((values / np.maximum(times, 1)).astype(np.float32), mean_map="removed")
