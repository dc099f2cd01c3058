"""Heat maps as labelled arrays, their thresholds and measures; no model."""

from daam_syntax.maps.heatmap import HeatMap
from daam_syntax.maps.heatmaps import HeatMaps, each_image
from daam_syntax.maps.kept_maps import KeptMaps, LayerMaps
from daam_syntax.maps.map_weights import MapWeights
from daam_syntax.maps.measures import (
    BREADTH_MEASURES,
    PAIR_MEASURES,
    Measure,
    intersections,
    iod,
    ioh,
    iou,
    lift,
    log_area_ratio,
    mask_iou,
    soft_iou,
)
from daam_syntax.maps.resizing import bicubic
from daam_syntax.maps.subwords import Subword, WordAlignment, align
from daam_syntax.maps.thresholds import Threshold, parse_threshold
from daam_syntax.maps.weight_learning import learn_weights

__all__ = [
    "BREADTH_MEASURES",
    "PAIR_MEASURES",
    "HeatMap",
    "HeatMaps",
    "KeptMaps",
    "LayerMaps",
    "MapWeights",
    "Measure",
    "Subword",
    "Threshold",
    "WordAlignment",
    "align",
    "bicubic",
    "each_image",
    "intersections",
    "iod",
    "ioh",
    "iou",
    "learn_weights",
    "lift",
    "log_area_ratio",
    "mask_iou",
    "parse_threshold",
    "soft_iou",
]
