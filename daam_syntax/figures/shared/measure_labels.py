"""Axis labels of the measures."""

from __future__ import annotations

from typing import Final

from daam_syntax.maps.measures import BREADTH_MEASURES, PAIR_MEASURES

MEASURE_LABELS: Final = {
    "iou": "attention overlap (IoU, 0 to 1)",
    "iod": "overlap / dependent's area (IoD, 0 to 1)",
    "ioh": "overlap / head's area (IoH, 0 to 1)",
    "soft_iou": "attention overlap (soft IoU, 0 to 1)",
    "phi": "attention overlap (phi, 0 = chance)",
    "lift": "attention overlap (lift, 1 = chance)",
    "soft_iod": "overlap / dependent's area (soft IoD, 0 to 1)",
    "soft_ioh": "overlap / head's area (soft IoH, 0 to 1)",
    "dice": "attention overlap (Dice, 0 to 1)",
    "log_lift": "attention overlap (ln lift, 0 = chance)",
    "cosine": "similarity of maps (cosine, 0 to 1)",
    "pearson": "correlation of maps (Pearson, -1 to 1)",
    "spearman": "correlation of maps (Spearman, -1 to 1)",
    "jensen_shannon": "divergence of maps (Jensen-Shannon, 0 to 1)",
    "bhattacharyya": "similarity of maps (Bhattacharyya, 0 to 1)",
    "log_area_ratio": "ln (head's area / dependent's area)",
    "head_area": "head's mask (share of the image)",
    "dependent_area": "dependent's mask (share of the image)",
    "area": "mask (share of the image)",
    "mean": "mean attention probability",
    "max": "largest mean attention probability",
}
"""What an axis shows, with its unit or range."""


def measure_label(measure: str) -> str:
    """Return the axis label of a measure.

    A registered measure without an entry in `MEASURE_LABELS` gets its name and range, any other column only its name.
    """
    if measure in MEASURE_LABELS:
        return MEASURE_LABELS[measure]
    name = measure.replace("_", " ")
    known = PAIR_MEASURES.get(measure) or BREADTH_MEASURES.get(measure)
    return f"{name} ({known.range})" if known else name
