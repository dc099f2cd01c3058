"""Binding of modifiers to their nouns, and neglect of nouns.

Measures take arrays: the maps of the words of one image and the masks of its nouns, or the shares of attention that
`region_shares` and `excess_shares` derive from them.
"""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import ArrayLike

from daam_syntax.maps.measures.arrays import as_maps, as_masks, ratio
from daam_syntax.maps.measures.declaration import of_binding
from daam_syntax.util.arguments.annotations import shown
from daam_syntax.util.arguments.checks import checked


@checked
def region_shares(maps: ArrayLike, masks: ArrayLike) -> np.ndarray:
    """Return the share of each map's mass within each region, ``Σ_{x in R} p(x)``.

    For a modifier, the share in the region of another noun is leakage; the share in that of its own noun is the
    opposite. Shares are large in large regions, so compare them with the region's share of the image, which is the
    share that a flat map has there.

    Parameters
    ----------
    maps
        Non-negative values. *Shape:* ``(word, y, x)``.
    masks
        Boolean masks of the regions. *Shape:* ``(region, y, x)``.

    Returns
    -------
    numpy.ndarray
        Shares from 0 to 1, the same for a map times a factor; NaN where a map has no mass or a region is empty.
        *Shape:* ``(word, region)``.
    """
    values, regions = as_maps(maps, "maps", "region_shares"), as_masks(masks)
    if values.ndim != 3 or regions.ndim != 3 or values.shape[1:] != regions.shape[1:]:
        raise ValueError(
            f"Expected maps (word, y, x) and masks (region, y, x) of one size, but got {values.shape} and "
            f"{regions.shape}; resize one of them first."
        )
    inside = np.einsum("wyx,ryx->wr", values, regions.astype(np.float64))
    share = ratio(inside, values.sum(axis=(-2, -1))[:, None])
    return np.where(regions.any(axis=(-2, -1)), share, np.nan)


@checked
def excess_shares(maps: ArrayLike, masks: ArrayLike) -> np.ndarray:
    """Return the share of each map's mass within each region beyond what the background's level puts there.

    The background is the part of the image outside all regions. Its mean is what a region would have if the word were
    not attended to there more than elsewhere. With s the shares of `region_shares`, a the regions' shares of the image,
    and s₀ and a₀ those of the background, the excess is ``s - a s₀ / a₀``.

    It is 0 for a flat map, and 0 on average for a map at a random place, for regions of any size. It is the plain share
    for a map without mass in the background.

    Parameters
    ----------
    maps
        Non-negative values. *Shape:* ``(word, y, x)``.
    masks
        Boolean masks of the regions. *Shape:* ``(region, y, x)``.

    Returns
    -------
    numpy.ndarray
        Differences of shares, at most 1, the same for a map times a factor; NaN where a map has no mass, a region is
        empty, or the regions leave no background. *Shape:* ``(word, region)``.
    """
    regions = as_masks(masks)
    background = np.asarray(~regions.any(axis=0))
    share = region_shares(maps, regions)
    of_background = region_shares(maps, background[None])  # NaN where it is empty
    areas = regions.mean(axis=(-2, -1))
    return share - areas * of_background / max(background.mean(), np.finfo(float).tiny)


def _own_columns(shares: ArrayLike, own: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return a copy of shares, *shape* ``(word, region)``, and the column of each word's own region."""
    values, columns = np.array(shares, dtype=float), np.asarray(own)
    columns = columns if columns.size else columns.astype(int)  # an empty list has no type
    fits = values.ndim == 2 and columns.shape == values.shape[:1] and columns.dtype.kind in "iu"
    if not fits or not ((columns >= 0) & (columns < values.shape[1])).all():
        raise ValueError(
            "Expected shares of the shape (word, region), and the column of each word's own region, but got the shape "
            f"{values.shape} and the columns {shown(columns.tolist())}."
        )
    return values, columns


@of_binding(
    formula="Σ_{x in R} p(x), R of its own noun",
    low=0,
    high=1,
    unit="share",
    higher="more attention on its own noun",
    invariant=("scale", "pixels"),
    undefined="the modifier's map has no mass, or the noun's mask is empty",
    use="beside head_area, the share that a flat map would have there",
    source="-",
)
def own_share(shares: ArrayLike, own: ArrayLike) -> np.ndarray:
    """Share of the modifier's attention within the region of its own noun.

    Parameters
    ----------
    shares
        Result of `region_shares`. *Shape:* ``(word, region)``.
    own
        Column of each word's own region. *Shape:* ``(word,)``.

    Returns
    -------
    numpy.ndarray
        *Shape:* ``(word,)``.
    """
    values, columns = _own_columns(shares, own)
    return np.asarray(values[np.arange(len(values)), columns])


@of_binding(
    formula="max over other nouns of Σ_{x in R} p(x)",
    low=0,
    high=1,
    unit="share",
    higher="more attention on another noun",
    invariant=("scale", "pixels"),
    undefined="the modifier's map has no mass, or no other noun has a region",
    use="leakage to the noun that gets most; a maximum, so by chance above own_share; large regions get more",
    source="-",
)
def other_share(shares: ArrayLike, own: ArrayLike) -> np.ndarray:
    """Largest share of the modifier's attention within the region of another noun.

    Parameters
    ----------
    shares
        Result of `region_shares`. *Shape:* ``(word, region)``.
    own
        Column of each word's own region. *Shape:* ``(word,)``.

    Returns
    -------
    numpy.ndarray
        *Shape:* ``(word,)``.
    """
    others, columns = _own_columns(shares, own)
    others[np.arange(len(others)), columns] = np.nan
    others = np.where(np.isnan(others), -np.inf, others).max(axis=1, initial=-np.inf)
    return np.where(np.isfinite(others), others, np.nan)


@of_binding(
    formula="e(own) - mean of e(R) over other nouns, e(R) = s(R) - a(R) s₀ / a₀",
    low=-np.inf,
    high=np.inf,
    unit="difference of shares",
    higher="attention is more on its own noun than on the average other noun",
    chance=0,
    invariant=("scale", "pixels"),
    undefined="the modifier's map has no mass, the noun's mask is empty, no other noun has a region, or the regions "
    "leave no background",
    use="whether modifiers are bound to the right noun; on average, not case by case",
    source="after Rassin et al. 2023",
)
def binding_margin(excess: ArrayLike, own: ArrayLike) -> np.ndarray:
    """Attention on its own noun minus the mean attention on other nouns, beyond the background's level (0 is chance).

    SynGen trains for this contrast (Rassin et al. 2023). Here it is measured on shares instead of distances. The margin
    is 0 on average for a modifier at a random place and 0 for a flat map, whatever the areas of the nouns, and 0 on
    average for a modifier bound to one of the nouns at random, whatever their areas if their regions do not overlap. It
    is at most 1, except where the regions leave hardly any background.

    Parameters
    ----------
    excess
        Result of `excess_shares`. *Shape:* ``(word, region)``.
    own
        Column of each word's own region. *Shape:* ``(word,)``.

    Returns
    -------
    numpy.ndarray
        *Shape:* ``(word,)``.
    """
    values, columns = _own_columns(excess, own)
    of_own = own_share(values, columns)
    values[np.arange(len(values)), columns] = np.nan
    present = ~np.isnan(values)
    return of_own - ratio(np.where(present, values, 0.0).sum(axis=1), present.sum(axis=1))


@of_binding(
    formula="1 - max G h, G a blur of 3 x 3",
    low=0,
    high=1,
    unit="probability",
    higher="less attention to the noun",
    undefined="never",
    zero_mass=1,
    use="whether a noun gets any attention; only within a model",
    source="Chefer et al. 2023",
)
def neglect(maps: ArrayLike) -> np.ndarray:
    """Distance of the noun's strongest place from 1, on the grid of the recording.

    G is a Gaussian blur of 3 x 3 pixels (sigma 0.5), so a single pixel does not count as attention. This is the loss of
    Attend-and-Excite for one subject; their loss for an image is the largest over its subjects. They renormalize
    without the start token, whereas these are probabilities among all tokens. Therefore only comparisons within one
    model are meaningful. The measure is deliberately not scale-invariant.

    Parameters
    ----------
    maps
        Attention probabilities on the grid of the recording. *Shape:* ``(..., y, x)``.

    Returns
    -------
    numpy.ndarray
        *Shape:* ``(...)``.
    """
    values = as_maps(maps, "maps", "neglect")
    smooth = scipy.ndimage.gaussian_filter(
        values, sigma=0.5, radius=1, axes=(-2, -1), mode="reflect"
    )
    return np.asarray(1.0 - smooth.max(axis=(-2, -1)))
