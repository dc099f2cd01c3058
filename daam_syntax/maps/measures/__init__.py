"""Measures of overlap, breadth, and binding: pure functions of arrays, and registries of them by name.

A measure states its properties in a declaration on its function (see `declaration`). Nothing here imports the rest of
the package.
"""

from daam_syntax.maps.measures.against_masks import mask_iou
from daam_syntax.maps.measures.arrays import is_constant
from daam_syntax.maps.measures.binding import (
    binding_margin,
    neglect,
    other_share,
    own_share,
    region_shares,
)
from daam_syntax.maps.measures.breadth import (
    area_90,
    effective_area,
    entropy,
    gini,
    moran,
    spread,
)
from daam_syntax.maps.measures.declaration import Measure
from daam_syntax.maps.measures.masks import (
    PackedMasks,
    dice,
    intersections,
    iod,
    ioh,
    iou,
    lift,
    log_area_ratio,
    phi,
)
from daam_syntax.maps.measures.registry import (
    BINDING_MEASURES,
    BREADTH_MEASURES,
    DEFAULT_PAIR_MEASURES,
    PAIR_MEASURES,
    choose,
    measure_maps,
    measure_masks,
)
from daam_syntax.maps.measures.soft import (
    bhattacharyya,
    centroid_distance,
    cosine,
    earth_movers,
    jensen_shannon,
    pearson,
    soft_iod,
    soft_ioh,
    soft_iou,
    spearman,
)
from daam_syntax.maps.measures.soft_measure import SoftMeasure

__all__ = [
    "BINDING_MEASURES",
    "BREADTH_MEASURES",
    "DEFAULT_PAIR_MEASURES",
    "PAIR_MEASURES",
    "Measure",
    "PackedMasks",
    "SoftMeasure",
    "area_90",
    "bhattacharyya",
    "binding_margin",
    "centroid_distance",
    "choose",
    "cosine",
    "dice",
    "earth_movers",
    "effective_area",
    "entropy",
    "gini",
    "intersections",
    "iod",
    "ioh",
    "iou",
    "is_constant",
    "jensen_shannon",
    "lift",
    "log_area_ratio",
    "mask_iou",
    "measure_maps",
    "measure_masks",
    "moran",
    "neglect",
    "other_share",
    "own_share",
    "pearson",
    "phi",
    "region_shares",
    "soft_iod",
    "soft_ioh",
    "soft_iou",
    "spearman",
    "spread",
]
