"""How the tokens of the text encoder share the attention of the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from daam_syntax.analysis.tables.identity import image_columns
from daam_syntax.maps import HeatMaps, each_image
from daam_syntax.maps.subwords import Kind

_SHARING: Final[tuple[Kind, ...]] = ("start", "text", "end", "template", "padding")


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
    return pd.DataFrame(rows)


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
    values = maps.data.values
    text = np.array([subword.kind == "text" for subword in maps.subwords])
    total = values[text].sum(axis=0, dtype=np.float64)
    shares = np.divide(values, total, out=np.zeros(values.shape), where=total > 0)
    shares[~text] = 0
    normalized = maps.data.copy(data=shares.astype(np.float32))
    return maps.with_values(normalized, normalized="over the text's tokens")
