"""How often faults are found, how often good maps are taken for bad ones, and how limits were chosen."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.diagnosis.drawing import BATCH, Drawn, draw, good_maps
from benchmarks.diagnosis.planting import PLANTS, drawn_faults, is_found, repeated_words, swapped
from benchmarks.emoji_model.intervals import share
from daam_syntax.attention import trace
from daam_syntax.emoji.annotator import Annotator
from daam_syntax.emoji.model import GUIDANCE, STEPS
from daam_syntax.emoji.vocabulary import NOUNS
from daam_syntax.maps.diagnosis import recording, shapes
from daam_syntax.pipelines.loading import load_pipeline

FEWER_STEPS = (1, 2, 3, 4, 6)


def false_alarms(drawn: Sequence[Drawn]) -> dict[str, Any]:
    """Return how often good maps have a finding: of all images, of all words, and which."""
    diagnoses = [each.mean.diagnose(each.image) for each in drawn]
    n_words = [len(each.maps.mapped) for each in drawn]
    marked = [len({w for f in found for w in f.words}) for found in diagnoses]
    is_marked = [i < k for n, k in zip(n_words, marked, strict=True) for i in range(n)]
    return {
        "images": share([bool(found) for found in diagnoses]),
        "words": share(is_marked),
        "found": [f"{each.prompt}: {f.summary}" for each in diagnoses for f in each],
    }


def detections(drawn: Sequence[Drawn], rng: np.random.Generator) -> dict[str, Any]:
    """Return how often planted faults are found, by fault."""
    result = {}
    for name, (kind, plant) in PLANTS.items():
        planted = [fault for each in drawn if (fault := plant(each, rng)) is not None]
        result[name] = {"kind": kind, **share([is_found(fault, kind) for fault in planted])}
    return result


CRITERIA: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float, int, tuple[str, ...]]] = {
    "flat": (shapes.contrast, shapes.FLAT, 1, ("contrast divided by 20",)),
    "scattered": (
        shapes.smoothness,
        shapes.SCATTERED,
        1,
        ("cells in another order", "noise of twice the map's variance"),
    ),
    "border": (
        shapes.border_rise,
        shapes.BORDER,
        -1,
        ("the map's maximum added along the border", "the map's maximum added at one side"),
    ),
}
"""Measures with a limit, its sign (1 if faults lie below it), and the faults that were planted to choose it."""


def choosing(drawn: Sequence[Drawn], rng: np.random.Generator) -> dict[str, Any]:
    """Return what limits were chosen by: the most extreme good maps, and the planted ones nearest to them."""
    result: dict[str, Any] = {}
    for kind, (measure, limit, sign, faults) in CRITERIA.items():
        good = np.concatenate([measure(each.mean.stack().astype(float)) for each in drawn])
        planted = [
            (fault.maps, fault.words[0])
            for name in faults
            for each in drawn
            if (fault := PLANTS[name][1](each, rng)) is not None
        ]
        bad = np.array([measure(maps.stack([w]).astype(float))[0] for maps, w in planted])
        result[kind] = {
            "limit": limit,
            "good maps, most extreme": float(sign * np.nanmin(sign * good)),
            "good maps, 99 % are beyond": float(sign * np.nanquantile(sign * good, 0.01)),
            "planted, 95 % are within": float(sign * np.nanquantile(sign * bad, 0.95)),
            "n_good": len(good),
            "n_planted": len(bad),
        }
    return result | {"identical": between_occurrences(drawn), "special tokens": best_shares(drawn)}


def between_occurrences(drawn: Sequence[Drawn]) -> dict[str, float]:
    """Return how different the maps of two occurrences of a word are in good images."""
    found = [
        shapes.difference(maps[one].values, maps[other].values)
        for maps in (each.mean for each in drawn)
        for one, other in repeated_words(maps)
    ]
    return {"limit": shapes.IDENTICAL, "good maps, most extreme": min(found), "n_good": len(found)}


def best_shares(drawn: Sequence[Drawn]) -> dict[str, float]:
    """Return the least share of the words at their best pixel in good images."""
    found = []
    for each in drawn:
        maps = each.mean
        is_text = np.array([subword.kind == "text" for subword in maps.subwords])
        found.append(float((maps.mean[is_text].sum(0) / maps.mean.sum(0)).max()))
    return {
        "limit": recording.SATURATED,
        "good maps, most extreme": min(found),
        "n_good": len(found),
    }


def like_all_steps(drawn: Sequence[Drawn]) -> dict[str, float]:
    """Return the mean correlation of words' maps of some steps with those of all steps."""
    parts: dict[str, Any] = {
        "first of 20": 0,
        "last of 20": 19,
        "3 of 20, even": [3, 10, 16],
        "5 of 20, even": list(range(0, 20, 4)),
        "10 of 20, even": list(range(0, 20, 2)),
        "first third": slice(0, 1 / 3),
        "first half": slice(0, 0.5),
        "last half": slice(0.5, 1.0),
        "last third": slice(2 / 3, 1.0),
    }
    result = {}
    for name, steps in parts.items():
        alike = [
            correlation
            for each in drawn
            for correlation in correlations(
                each.maps.select(steps=steps).stack(), each.maps.stack()
            )
        ]
        result[name] = float(np.mean(alike))
    return result


def fewer_steps(pipe: Any, drawn: Sequence[Drawn]) -> dict[str, dict[str, Any]]:
    """Return what images drawn in fewer steps are like, by the number of steps.

    For prompts with one noun: how often the annotator finds the noun, and the mean correlation of the words' maps with
    those of the same seed drawn in all steps.
    """
    chosen = [each for each in drawn if len(each.scene.objects) == 1][: 3 * BATCH]
    result: dict[str, dict[str, Any]] = {
        str(STEPS): {"nouns": share(_nouns_found([each.image for each in chosen], chosen))}
    }
    for n in FEWER_STEPS:
        images, alike = [], []
        for start in range(0, len(chosen), BATCH):
            batch = chosen[start : start + BATCH]
            with trace(pipe) as recorded:
                prompts, seeds = [e.scene.caption for e in batch], [e.seed for e in batch]
                images += draw(pipe, prompts, seeds, num_inference_steps=n)
            maps = recorded.heat_maps(sentences=[each.scene.sentence for each in batch])
            alike += [
                correlation
                for few, each in zip(maps, batch, strict=True)
                for correlation in correlations(few.stack(), each.mean.stack())
            ]
        found = share(_nouns_found(images, chosen))
        result[str(n)] = {"nouns": found, "correlation": float(np.mean(alike))}
    return result


def _nouns_found(images: Sequence[Any], drawn: Sequence[Drawn]) -> list[bool]:
    """Return whether the annotator finds the noun of each prompt on more than 2 % of its image."""
    wanted = [NOUNS.index(each.scene.objects[0].spec.noun) + 1 for each in drawn]
    seen = Annotator.load()(images)
    return [bool((s.nouns == noun).mean() > 0.02) for s, noun in zip(seen, wanted, strict=True)]


def correlations(some: np.ndarray, others: np.ndarray) -> list[float]:
    """Return the correlation of each map with its counterpart. *Shape:* ``(word, y, x)``."""
    return [
        float(np.corrcoef(one.ravel(), other.ravel())[0, 1])
        for one, other in zip(some, others, strict=True)
    ]


def milliseconds(drawn: Sequence[Drawn]) -> float:
    """Return the median time of one diagnosis."""
    times = []
    for each in drawn[:30]:
        maps = each.mean
        begin = time.perf_counter()
        maps.diagnose()
        times.append(time.perf_counter() - begin)
    return 1000 * float(np.median(times))


def measure(n_prompts: int, folder: Path | None) -> dict[str, Any]:
    """Run everything."""
    pipe = load_pipeline()
    pipe.set_progress_bar_config(disable=True)
    drawn = good_maps(pipe, n_prompts, folder)
    first, second = drawn[::2], drawn[1::2]
    rng = np.random.default_rng(0)
    chosen = choosing(first, rng)
    found = detections(second, rng)
    for name, (kind, hits) in drawn_faults(pipe, second).items():
        found[name] = {"kind": kind, **share(hits)}
    exchanged = [fault for each in second if (fault := swapped(each, rng)) is not None]
    return {
        "settings": {
            "prompts": n_prompts,
            "steps": STEPS,
            "guidance": GUIDANCE,
            "image": list(drawn[0].maps.image_size),
            "grid": list(drawn[0].maps.grid),
        },
        "choosing": {"n_prompts": len(first), **chosen, "false alarms": false_alarms(first)},
        "planted": found,
        "good": false_alarms(second),
        "not sought: maps of two words exchanged": share(
            [bool(fault.maps.diagnose()) for fault in exchanged]
        ),
        "correlation with the maps of all steps": like_all_steps(second),
        "drawn in fewer steps": fewer_steps(pipe, drawn),
        "milliseconds": milliseconds(second),
    }
