"""All measures by name: what each is, and how to compute several of them for many words at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import numpy as np

from daam_syntax.maps.measures import binary, binding, breadth, soft
from daam_syntax.maps.measures.binary import PackedMasks
from daam_syntax.maps.measures.soft import SoftMeasure

Kind = Literal["binary", "soft", "breadth", "binding"]
Function = Callable[..., np.ndarray]
Invariance = Literal["scale", "shift", "pixels"]
"""Scale: each map times a factor of its own; shift: a constant added to a map; pixels: the same reordering of the
pixels of all maps, so that where things are does not matter, only whether they coincide."""


@dataclass(frozen=True)
class Measure:
    """A measure and what a reader must know of it.

    Attributes
    ----------
    name
        Name of the column.
    kind
        "binary" (of masks), "soft" (of maps), "breadth" (of one map), or "binding" (of a modifier's map and the
        regions of nouns).
    meaning
        What the column holds.
    formula
        H and D are masks, h and d maps, p and q maps at unit mass, N the number of pixels.
    low, high
        The range.
    symmetric
        Whether head and dependent may be exchanged; None for one map.
    invariant
        What does not change it. For masks, scale and shift depend on the threshold rule.
    undefined
        When it is NaN.
    use
        When to use it.
    source
        Author and year.
    function
        Binary: of (shared, head area, dependent area, number of pixels). Soft: a `SoftMeasure`. Breadth: of maps.
        Binding: see `leakage`, `binding_margin` and `neglect`.
    """

    name: str
    kind: Kind
    meaning: str
    formula: str
    low: float
    high: float
    symmetric: bool | None
    invariant: frozenset[Invariance]
    undefined: str
    use: str
    source: str
    function: Function

    @property
    def range(self) -> str:
        """The range in words."""
        if np.isinf(self.low) and np.isinf(self.high):
            return "any"
        if np.isinf(self.high):
            return f"from {self.low:g}"
        return f"{self.low:g} to {self.high:g}"


def _measure(
    kind: Kind, name: str, function: Function, *invariant: Invariance, **about: Any
) -> Measure:
    return Measure(name, kind, invariant=frozenset(invariant), function=function, **about)


def _binary(name: str, function: Function, low: float, high: float, **about: Any) -> Measure:
    about = {"symmetric": True, "undefined": "a mask is empty", **about}
    return _measure("binary", name, function, "pixels", low=low, high=high, **about)


def _soft(
    function: SoftMeasure, low: float, high: float, *invariant: Invariance, **about: Any
) -> Measure:
    about = {"symmetric": True, "undefined": "a map has no mass", **about}
    return _measure("soft", function.__name__, function, *invariant, low=low, high=high, **about)


def _breadth(
    function: Function, low: float, high: float, *invariant: Invariance, **about: Any
) -> Measure:
    about = {"symmetric": None, "undefined": "the map has no mass", **about}
    return _measure("breadth", function.__name__, function, *invariant, low=low, high=high, **about)


def _binding(
    name: str, function: Function, low: float, *invariant: Invariance, **about: Any
) -> Measure:
    return _measure("binding", name, function, *invariant, low=low, high=1, symmetric=None, **about)


def _named(*measures: Measure) -> dict[str, Measure]:
    return {measure.name: measure for measure in measures}


PAIR_MEASURES: Final[Mapping[str, Measure]] = _named(
    _binary(
        "iou",
        lambda shared, head, dependent, n: binary.iou(shared, head, dependent),
        0,
        1,
        meaning="Intersection over union of the masks, 0 to 1",
        formula="|H ∩ D| / |H ∪ D|",
        use="the usual overlap; low for nested masks of unequal size",
        source="Jaccard 1912",
    ),
    _binary(
        "iod",
        lambda shared, head, dependent, n: binary.iod(shared, head, dependent),
        0,
        1,
        meaning="Intersection over the dependent's area, 0 to 1",
        formula="|H ∩ D| / |D|",
        symmetric=False,
        use="how far the head covers the dependent; rises with the head's area",
        source="Tang et al. 2023",
    ),
    _binary(
        "ioh",
        lambda shared, head, dependent, n: binary.ioh(shared, head, dependent),
        0,
        1,
        meaning="Intersection over the head's area, 0 to 1",
        formula="|H ∩ D| / |H|",
        symmetric=False,
        use="how far the dependent covers the head; rises with the dependent's area",
        source="Tang et al. 2023",
    ),
    _binary(
        "head_area",
        lambda shared, head, dependent, n: np.asarray(head / n),
        0,
        1,
        meaning="Share of the image that the head's mask covers",
        formula="|H| / N",
        symmetric=False,
        undefined="never",
        use="beside every overlap",
        source="-",
    ),
    _binary(
        "dependent_area",
        lambda shared, head, dependent, n: np.asarray(dependent / n),
        0,
        1,
        meaning="Share of the image that the dependent's mask covers",
        formula="|D| / N",
        symmetric=False,
        undefined="never",
        use="beside every overlap",
        source="-",
    ),
    _binary(
        "log_area_ratio",
        lambda shared, head, dependent, n: binary.log_area_ratio(head, dependent),
        -np.inf,
        np.inf,
        meaning="Natural logarithm of head area over dependent area",
        formula="ln(|H| / |D|)",
        symmetric=False,
        use="beside IoD and IoH, whose ratio it is",
        source="-",
    ),
    _binary(
        "lift",
        binary.lift,
        0,
        np.inf,
        meaning="Intersection against that of independent masks: 1 is chance",
        formula="N |H ∩ D| / (|H| |D|)",
        use="overlap beyond what the areas alone give; noisy for small masks",
        source="Brin et al. 1997",
    ),
    _binary(
        "dice",
        lambda shared, head, dependent, n: binary.dice(shared, head, dependent),
        0,
        1,
        meaning="Shared part of the mean area of the masks, 0 to 1",
        formula="2 |H ∩ D| / (|H| + |D|)",
        use="to compare with segmentation work; orders pairs as IoU does",
        source="Dice 1945",
    ),
    _binary(
        "phi",
        binary.phi,
        -1,
        1,
        meaning="Correlation of the masks, -1 to 1: 0 is chance",
        formula="(N |H ∩ D| - |H| |D|) / √(|H| (N - |H|) |D| (N - |D|))",
        undefined="a mask is empty, or a mask covers everything",
        use="association corrected for chance, bounded and symmetric",
        source="Yule 1912",
    ),
    _soft(
        soft.soft_iou,
        0,
        1,
        "scale",
        "pixels",
        meaning="Ruzicka similarity of the maps at unit mass, 0 to 1; needs no threshold",
        formula="Σ min(p, q) / Σ max(p, q)",
        use="the overlap to report first, since it needs no threshold; high for any two flat maps",
        source="Ruzicka 1958",
    ),
    _soft(
        soft.soft_iod,
        0,
        1,
        "scale",
        "pixels",
        meaning="Share of the dependent's map within the head's, maps at maximum 1, 0 to 1",
        formula="Σ min(h, d) / Σ d, maximum 1",
        symmetric=False,
        use="IoD over all relative thresholds at once; rises with the head's breadth",
        source="Kosko 1986",
    ),
    _soft(
        soft.soft_ioh,
        0,
        1,
        "scale",
        "pixels",
        meaning="Share of the head's map within the dependent's, maps at maximum 1, 0 to 1",
        formula="Σ min(h, d) / Σ h, maximum 1",
        symmetric=False,
        use="IoH over all relative thresholds at once; rises with the dependent's breadth",
        source="Kosko 1986",
    ),
    _soft(
        soft.cosine,
        0,
        1,
        "scale",
        "pixels",
        meaning="Cosine of the angle between the maps, 0 to 1",
        formula="Σ h d / √(Σ h² Σ d²)",
        use="where peaks should count most; high for any two flat maps",
        source="Salton and McGill 1983",
    ),
    _soft(
        soft.pearson,
        -1,
        1,
        "scale",
        "shift",
        "pixels",
        meaning="Correlation of the maps over pixels, -1 to 1",
        formula="Σ (h - h̄)(d - d̄) / √(Σ (h - h̄)² Σ (d - d̄)²)",
        undefined="a map is constant",
        use="where maps lie on an even floor, which it ignores",
        source="Pearson 1895",
    ),
    _soft(
        soft.spearman,
        -1,
        1,
        "scale",
        "shift",
        "pixels",
        meaning="Rank correlation of the maps over pixels, -1 to 1",
        formula="Pearson's of the ranks",
        undefined="a map is constant",
        use="where a few strong pixels should not decide; the background counts fully",
        source="Spearman 1904",
    ),
    _soft(
        soft.jensen_shannon,
        0,
        1,
        "scale",
        "pixels",
        meaning="Jensen-Shannon divergence of the maps at unit mass, bits, 0 to 1: 0 for equal maps",
        formula="H((p + q) / 2) - (H(p) + H(q)) / 2, in bits",
        use="a distance in information; 1 where maps share no pixel",
        source="Lin 1991",
    ),
    _soft(
        soft.bhattacharyya,
        0,
        1,
        "scale",
        "pixels",
        meaning="Bhattacharyya coefficient of the maps at unit mass, 0 to 1",
        formula="Σ √(p q)",
        use="like soft_iou, but faint overlap counts more",
        source="Bhattacharyya 1943",
    ),
    _soft(
        soft.centroid_distance,
        0,
        1,
        "scale",
        meaning="Distance of the maps' centres of mass over the diagonal, 0 to 1",
        formula="‖c(h) - c(d)‖ / diagonal",
        use="layout (left of, above); the centre of two far spots lies between them",
        source="-",
    ),
    _soft(
        soft.earth_movers,
        0,
        1,
        "scale",
        meaning="Earth mover's distance of the maps at unit mass over the diagonal, 0 to 1",
        formula="min Σ f_ij δ_ij / diagonal, on at most 16 x 16 cells",
        use="how far apart maps are that do not overlap; slow, needs POT",
        source="Rubner et al. 2000",
    ),
)
"""Measures of a pair of words, by name."""

DEFAULT_PAIR_MEASURES: Final = (
    "iou",
    "iod",
    "ioh",
    "head_area",
    "dependent_area",
    "log_area_ratio",
    "lift",
    "soft_iou",
)
"""What a pair table holds unless other measures are asked for."""

BREADTH_MEASURES: Final[Mapping[str, Measure]] = _named(
    _breadth(
        breadth.entropy,
        0,
        1,
        "scale",
        "pixels",
        meaning="Entropy of the map over that of a flat one, 0 to 1",
        formula="-Σ p ln p / ln N",
        use="how diffuse a map is; the scale is compressed near 1",
        source="Shannon 1948",
    ),
    _breadth(
        breadth.effective_area,
        0,
        1,
        "scale",
        "pixels",
        meaning="Share of the image that a flat map of the same entropy would cover",
        formula="exp(-Σ p ln p) / N",
        use="how much of the image a word attends to, without a threshold",
        source="Hill 1973",
    ),
    _breadth(
        breadth.gini,
        0,
        1,
        "scale",
        "pixels",
        meaning="Gini coefficient of the pixels, 0 (flat) to 1 (one pixel)",
        formula="Σ (2 i - N - 1) p_i / N, sorted",
        use="concentration, on a scale that other fields know",
        source="Gini 1912",
    ),
    _breadth(
        breadth.area_90,
        0,
        1,
        "scale",
        "pixels",
        meaning="Share of the image that holds 90 % of the map's mass, strongest pixels first",
        formula="min |A| / N with Σ_A p ≥ 0.9",
        use="easy to picture; a faint floor counts much",
        source="Hyndman 1996",
    ),
    _breadth(
        breadth.spread,
        0,
        0.5,
        "scale",
        meaning="Root mean square distance of the mass from its centre, over the diagonal",
        formula="√(Σ p ‖x - c‖²) / diagonal",
        use="scatter in space: two far spots are broad here, not in entropy",
        source="Hu 1962",
    ),
    _breadth(
        breadth.moran,
        -1.1,
        1.1,
        "scale",
        "shift",
        meaning="Moran's I of the map: near 1 smooth, near 0 noise",
        formula="(N / W) Σ_ij w_ij z_i z_j / Σ z_i²",
        undefined="the map is constant",
        use="whether a map has structure at all; its effective sample size is far below N",
        source="Moran 1950",
    ),
)
"""Measures of the breadth of one word's map, by name."""


BINDING_MEASURES: Final[Mapping[str, Measure]] = _named(
    _binding(
        "own_share",
        binding.leakage,
        0,
        "scale",
        "pixels",
        meaning="Share of the modifier's attention within the region of its own noun, 0 to 1",
        formula="Σ_{x in R} p(x), R of its own noun",
        undefined="the modifier's map has no mass, or the noun's mask is empty",
        use="beside head_area, the share that a flat map would have there",
        source="-",
    ),
    _binding(
        "other_share",
        binding.leakage,
        0,
        "scale",
        "pixels",
        meaning="Largest share of the modifier's attention within the region of another noun, 0 to 1",
        formula="max over other nouns of Σ_{x in R} p(x)",
        undefined="the modifier's map has no mass, or no other noun has a region",
        use="leakage to the noun that gets most; large regions get more",
        source="-",
    ),
    _binding(
        "binding_margin",
        binding.binding_margin,
        -1,
        "scale",
        "pixels",
        meaning="Own share minus the largest other share, -1 to 1: above 0, attention is with its own noun",
        formula="own_share - other_share",
        undefined="either share is",
        use="whether a modifier is bound to the right noun",
        source="after Rassin et al. 2023",
    ),
    _binding(
        "neglect",
        binding.neglect,
        0,
        meaning="How far the noun's strongest place stays below 1, 0 to 1, on the grid of the recording",
        formula="1 - max G h, G a blur of 3 x 3",
        undefined="never",
        use="whether a noun gets any attention; only within a model",
        source="Chefer et al. 2023",
    ),
)
"""Measures of the binding of modifiers to nouns, by name; see `daam_syntax.analysis.binding_table`."""


def choose(names: str | Iterable[str], registry: Mapping[str, Measure]) -> list[Measure]:
    """Return the measures of these names, each once, in their order.

    Raises
    ------
    ValueError
        If there is no such measure; the message lists them all.
    """
    wanted = [names] if isinstance(names, str) else list(dict.fromkeys(names))
    unknown = [name for name in wanted if name not in registry]
    if unknown:
        raise ValueError(
            f"Expected measures among {', '.join(registry)}, but got {', '.join(map(repr, unknown))}."
        )
    return [registry[name] for name in wanted]


def measure_masks(
    masks: PackedMasks, head: np.ndarray, dependent: np.ndarray, measures: Iterable[Measure]
) -> dict[str, np.ndarray]:
    """Measure pairs of masks.

    Parameters
    ----------
    masks
        Masks of all words.
    head, dependent
        Rows of `masks`, shape (pair,) each.
    measures
        Of which the binary ones are computed.

    Returns
    -------
    dict
        Name to values of shape (pair,).
    """
    chosen = [m for m in measures if m.kind == "binary"]
    if not chosen:
        return {}
    areas = masks.areas[head], masks.areas[dependent]
    shared = masks.shared(head, dependent)
    return {m.name: m.function(shared, *areas, masks.n_pixels) for m in chosen}


def measure_maps(
    words: np.ndarray, head: np.ndarray, dependent: np.ndarray, measures: Iterable[Measure]
) -> dict[str, np.ndarray]:
    """Measure pairs of maps without a threshold.

    Parameters
    ----------
    words
        Maps of all words, non-negative, shape (word, y, x); of any number of images.
    head, dependent
        Rows of `words`, shape (pair,) each.
    measures
        Of which the soft ones are computed.

    Returns
    -------
    dict
        Name to values of shape (pair,).
    """
    chosen = [m for m in measures if m.kind == "soft"]
    if not chosen:
        return {}
    maps = np.asarray(words, dtype=np.float64)
    return {m.name: _compare(cast(SoftMeasure, m.function), maps, head, dependent) for m in chosen}


def _compare(
    measure: SoftMeasure, maps: np.ndarray, head: np.ndarray, dependent: np.ndarray
) -> np.ndarray:
    prepared = measure.prepare(maps)
    at_once = 2**18 // max(1, prepared[:1].size)  # a few megabytes: they stay in the cache
    if at_once < 4:  # maps so large are not copied to be compared
        return np.array(
            [
                measure.compare(prepared[i], prepared[j])
                for i, j in zip(head, dependent, strict=True)
            ]
        )
    values = [
        measure.compare(prepared[head[i : i + at_once]], prepared[dependent[i : i + at_once]])
        for i in range(0, len(head), at_once)
    ]
    return np.concatenate(values) if values else np.zeros(0)
