"""Control: dependency pairs with the dependent's map shifted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from daam_syntax.analysis.controls.borrowed_maps import (
    BorrowedMap,
    measure_borrowed,
    missing_reason,
)
from daam_syntax.maps import HeatMaps, each_image
from daam_syntax.util.arguments.checks import OWN, checked, whole


@checked(maps=OWN, n=whole(1), seed=whole(0))
def shifted_pairs(
    maps: HeatMaps | Sequence[HeatMaps],
    *,
    scheme: str = "ud",
    n: int = 4,
    seed: int = 0,
    **options: Any,
) -> pd.DataFrame:
    """Measure dependency pairs with the dependent's map shifted around the torus.

    What leaves the grid on one side enters on the other. Thus the map keeps its area and its autocorrelation, and
    loses its position.

    Parameters
    ----------
    maps
        Heat maps of one image, or of several.
    scheme
        Dependency scheme of the edges.
    n
        Number of shifts per image, each with rows of its own. The shift that changes nothing is never drawn.
    seed
        Seed of the random shifts.
    **options
        Further arguments of `measure_pairs`: threshold, size, and so on.

    Returns
    -------
    pandas.DataFrame
        A pair table of kind "shifted".
    """
    images, rng = list(each_image(maps)), np.random.default_rng(seed)

    def shifted(image: HeatMaps) -> list[BorrowedMap]:
        height, width = image.grid
        place = int(rng.integers(1, max(height * width, 2)))
        words = np.roll(image.stack(), divmod(place, width), axis=(1, 2))
        map_of = dict(zip(image.mapped, words, strict=True))
        return [
            BorrowedMap(
                edge,
                image.sentence[edge.dependent],
                map_of.get(edge.dependent),
                len(image.words[edge.dependent].subwords),
                missing_reason(image, "dependent", edge.dependent),
            )
            for edge in image.sentence.edges_of(scheme)
        ]

    parts = [
        measure_borrowed([shifted(image) for image in images], images, scheme, options)
        for _ in range(n)
    ]
    return pd.concat(parts, ignore_index=True).assign(kind="shifted")
