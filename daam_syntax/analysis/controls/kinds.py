"""The kinds of controls, each with the explanation that it rules out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

CONTROLS: Final[Mapping[str, str]] = {
    "exchanged": "that words overlap because of what either of them is: its area, its places, its part of speech",
    "unrelated": "that any two words of a prompt overlap as much, because they are in one image",
    "matched": "that words overlap because they are near each other, or because of their parts of speech",
    "crossed": "that the same two words overlap as much at the same places of another prompt, where they are not "
    "related",
    "cross-prompt": "that maps overlap because all maps favor the same places (above all, the center)",
    "shifted": "that maps overlap because they are large or smooth: a shifted map keeps area and autocorrelation",
    "permuted": "that the words of a prompt overlap regardless of which words the edges join",
}
"""Maps each kind of control to the explanation that it rules out.

`summarize` compares with exchanged partners by itself, see `daam_syntax.analysis.exchange_partners`, and
`daam_syntax.analysis.designated_pairs` returns crossed pairs. The functions of `daam_syntax.analysis.controls` return
rows of the pair table with a ``kind`` of their own and the relation that they stand for, so
``summarize(pd.concat([pairs, control]), control="shifted")`` compares relation by relation.
"""
