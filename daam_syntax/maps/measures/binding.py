"""Whether a modifier's attention stays with the noun that it belongs to, and whether a noun gets any.

These take arrays: the maps of the words of one image, and the masks of its nouns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import gaussian_filter

from daam_syntax.maps.measures.arrays import over_pixels, ratio


def leakage(maps: ArrayLike, masks: ArrayLike) -> np.ndarray:
    """Share of each map's mass that lies in each region, ``Σ_{x in R} p(x)``, in [0, 1].

    In the region of another noun phrase it is leakage; in that of its own noun, the opposite. It is large in large
    regions: compare it with the region's share of the image, which a flat map would give.

    Parameters
    ----------
    maps
        Non-negative, shape (word, y, x).
    masks
        Bool, shape (region, y, x).

    Returns
    -------
    numpy.ndarray
        Shape (word, region); NaN where a map has no mass or a region is empty. Unchanged when a map is multiplied by
        a factor.
    """
    over_pixels(maps)
    values, regions = np.asarray(maps, dtype=np.float64), np.asarray(masks, dtype=bool)
    inside = np.einsum("wyx,ryx->wr", values, regions.astype(np.float64))
    share = ratio(inside, values.sum(axis=(-2, -1))[:, None])
    return np.where(regions.any(axis=(-2, -1)), share, np.nan)


def binding_margin(shares: ArrayLike, own: ArrayLike) -> np.ndarray:
    """Share in the own region minus the largest share in another, in [-1, 1].

    Above 0, the modifier's attention lies more on its own noun than on any other: the contrast that SynGen (Rassin et
    al. 2023) trains for, measured on shares instead of distances.

    Parameters
    ----------
    shares
        What `leakage` gives, shape (word, region).
    own
        Column of each word's own region, shape (word,).

    Returns
    -------
    numpy.ndarray
        Shape (word,); NaN where the own share is NaN, or where there is no other region with a share.
    """
    values, columns = np.asarray(shares, dtype=float), np.asarray(own, dtype=int)
    rows = np.arange(len(values))
    others = values.copy()
    others[rows, columns] = np.nan
    others = np.where(np.isnan(others), -np.inf, others).max(axis=1, initial=-np.inf)
    margin = values[rows, columns] - others
    return np.where(np.isfinite(margin), margin, np.nan)


def neglect(maps: ArrayLike) -> np.ndarray:
    """Return how far each map's strongest place stays below 1, in [0, 1].

    ``1 - max G h`` with G a Gaussian blur of 3 x 3 pixels (sigma 0.5), so that a single pixel does not pass for
    attention: the loss of Attend-and-Excite (Chefer et al. 2023) for one subject. Theirs for an image is the largest
    over its subjects. They renormalise without the start token; these are probabilities among all tokens, so only
    comparisons within a model mean something. Not invariant to scale, on purpose. A map of zeros gives 1.

    Parameters
    ----------
    maps
        Attention probabilities on the grid of the recording, shape (..., y, x).

    Returns
    -------
    numpy.ndarray
        Shape (...).
    """
    over_pixels(maps)
    values = np.asarray(maps, dtype=np.float64)
    smooth = gaussian_filter(values, sigma=0.5, radius=1, axes=(-2, -1), mode="reflect")
    return np.asarray(1.0 - smooth.max(axis=(-2, -1)))
