"""Do heat maps lie on the objects of exact scenes? Nouns, category nouns, and size words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from benchmarks.scene_means import average_scenes, mean_with_interval, share_with_interval
from daam_syntax.attention import trace_images
from daam_syntax.emoji.grammar import ObjectSpec, SceneSpec
from daam_syntax.emoji.model import learned_weights
from daam_syntax.emoji.scenes import DrawnObject, Scene, draw_scene, scene
from daam_syntax.emoji.vocabulary import NOUNS, SIZES
from daam_syntax.maps import HeatMap, HeatMaps, MapWeights, mask_iou, parse_threshold
from daam_syntax.util.progress import show_progress

TAUS: Final = (0.3, 0.4, 0.5)
"""Relative thresholds at which maps are compared with masks."""

LARGE: Final = ("big", "large", "huge")
SMALL: Final = ("tiny", "small")

_FIRST: Final = 640_000  # seed of the first scene; no other benchmark uses these
_VISIBLE: Final = 0.003  # share of the image; objects with less are almost entirely hidden
_BATCH: Final = 16


@dataclass(frozen=True)
class Word:
    """A word of a scene's caption and where its map should lie.

    Attributes
    ----------
    scene
        Number of the scene.
    values
        The map of the word, at the size of the image. *Shape:* ``(y, x)``.
    own
        Mask of its object, bool. *Shape:* ``(y, x)``.
    others
        Masks of the other objects.
    """

    scene: int
    values: np.ndarray
    own: np.ndarray
    others: tuple[np.ndarray, ...]

    @property
    def inside(self) -> float:
        """Mean of the map on the object, divided by the mean of the whole map; 1 is chance."""
        return float(self.values[self.own].mean() / max(self.values.mean(), 1e-12))

    @property
    def own_is_stronger(self) -> bool:
        """Whether the map is stronger on its own object than on every other one."""
        own = self.values[self.own].mean()
        return all(own > self.values[other].mean() for other in self.others)


def score_maps(pipe: Any, n_scenes: int, progress: bool = True) -> dict[str, Any]:
    """Score the maps of fresh scenes, with plain and with learned weights.

    Parameters
    ----------
    pipe
        The embedded model.
    n_scenes
        Fresh scenes, and scenes made for each other group of words.
    progress
        Whether to show progress.
    """
    groups = {
        "nouns": [scene(_FIRST + i) for i in range(n_scenes)],
        "category nouns": _scenes(n_scenes, 1, by_category=True),
        "words for large sizes": _scenes(n_scenes, 2, sizes=LARGE),
        "words for small sizes": _scenes(n_scenes, 3, sizes=SMALL),
    }
    weights = {"plain": None, "learned weights": learned_weights()}
    result: dict[str, Any] = {name: {} for name in weights}
    with show_progress(progress, len(groups) * n_scenes, label="Tracing", unit="scenes") as bar:
        for group, scenes in groups.items():
            bar.describe(f"Tracing {group}")
            words: dict[str, list[Word]] = {name: [] for name in weights}
            for start in range(0, len(scenes), _BATCH):
                batch = scenes[start : start + _BATCH]
                maps = _traced(pipe, batch)
                for name, chosen in weights.items():
                    words[name] += _words(batch, maps, chosen, group, start)
                bar.advance(len(batch))
            for name, found in words.items():
                result[name][group] = _scores(found)
    return result


def _scenes(
    n: int, seed: int, *, by_category: bool = False, sizes: Sequence[str] = ()
) -> list[Scene]:
    """Draw scenes of two objects side by side, the first one described by its category or size."""
    scenes = []
    for i in range(n):
        rng = np.random.default_rng([_FIRST, seed, i])
        first, second = (ObjectSpec(str(noun)) for noun in rng.choice(NOUNS, 2, replace=False))
        size = str(rng.choice(list(sizes))) if sizes else None
        first = replace(first, size=size, by_category=by_category)
        scenes.append(draw_scene(SceneSpec((first, second)), rng))
    return scenes


def _traced(pipe: Any, scenes: Sequence[Scene]) -> list[HeatMaps]:
    return trace_images(
        pipe,
        [s.image for s in scenes],
        [s.caption for s in scenes],
        sentences={s.caption: s.sentence for s in scenes},
        keep=("layer", "head"),
        batch_size=_BATCH,
    )


def _words(
    scenes: Sequence[Scene],
    maps: Sequence[HeatMaps],
    weights: MapWeights | None,
    group: str,
    first: int,
) -> Iterator[Word]:
    for number, (drawn, recorded) in enumerate(zip(scenes, maps, strict=True), start=first):
        chosen = recorded.weighted(weights) if weights else recorded
        visible = [obj for obj in drawn.objects if obj.mask.mean() >= _VISIBLE]
        for obj in visible:
            word = _word(drawn, obj, group)
            if word is not None:
                found: HeatMap = chosen[word]
                others = tuple(other.mask for other in visible if other is not obj)
                yield Word(number, found.resize(obj.mask.shape), obj.mask, others)


def _word(drawn: Scene, obj: DrawnObject, group: str) -> int | None:
    """Return the index of an object's word of a group: its noun, or its size word."""
    if group == "nouns":
        return None if obj.spec.by_category else int(obj.word)
    if group == "category nouns":
        return int(obj.word) if obj.spec.by_category else None
    if obj.spec.size not in SIZES:
        return None
    return next(
        w
        for w, mask in drawn.masks.items()
        if mask is obj.mask and drawn.sentence[w].text == obj.spec.size
    )


def _scores(words: Sequence[Word]) -> dict[str, Any]:
    rules = {tau: parse_threshold(f"relative:{tau}") for tau in TAUS}
    paired = [word for word in words if word.others]
    means = {
        f"miou at relative:{tau}": [float(mask_iou(rule.apply(w.values), w.own)) for w in words]
        for tau, rule in rules.items()
    }
    means["mean on the object / mean"] = [w.inside for w in words]
    return {
        **{
            name: mean_with_interval(_by_scene(words, values)) | {"n_words": len(words)}
            for name, values in means.items()
        },
        "stronger on its own object": share_with_interval(
            _by_scene(paired, [w.own_is_stronger for w in paired])
        )
        | {"n_words": len(paired)},
    }


def _by_scene(words: Sequence[Word], values: Sequence[float]) -> np.ndarray:
    return average_scenes([word.scene for word in words], values)
