"""Errors of the annotator and the judge on scenes whose objects are known, right ones and ones spoiled on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from benchmarks.emoji_model.intervals import share
from benchmarks.emoji_model.judge.faults import judge
from benchmarks.emoji_model.judge.regions import parts_of, regions
from benchmarks.emoji_model.judge.spoiled import Labeled, exact, spoiled
from benchmarks.emoji_model.prompts import KINDS, Kind, prompts
from daam_syntax.emoji.annotator import Annotation, Annotator
from daam_syntax.emoji.grammar import SceneSpec
from daam_syntax.emoji.scenes import Scene
from daam_syntax.emoji.training.dataset import label_maps
from daam_syntax.emoji.vocabulary import CATEGORY_OF, NOUNS
from daam_syntax.util.progress import show_progress

VISIBLE: Final = 0.01
"""Share of the image of an object that counts; smaller ones are almost entirely hidden."""


def pixel_scores(annotator: Annotator, scenes: Sequence[Scene]) -> dict[str, float]:
    """Measure mIoU of the nouns, confusions of object pixels, and color accuracy, on fresh scenes."""
    n = len(NOUNS) + 1
    confusion = np.zeros((n, n))
    color_right = color_all = 0
    for drawn, seen in zip(scenes, annotator([s.image for s in scenes]), strict=True):
        truth, colors = label_maps(drawn)
        np.add.at(confusion, (truth.ravel(), seen.nouns.ravel()), 1)
        visible = truth > 0
        color_right += int((colors == seen.colors)[visible].sum())
        color_all += int(visible.sum())
    union = confusion.sum(0) + confusion.sum(1) - np.diag(confusion)
    seen_at_all = union > 0
    category = np.array(["", *(CATEGORY_OF[noun] for noun in NOUNS)])
    same = (category[:, None] == category[None, :])[1:, 1:] & ~np.eye(n - 1, dtype=bool)
    wrong = confusion[1:, 1:] * ~np.eye(n - 1, dtype=bool)
    return {
        "n_scenes": len(scenes),
        "noun_miou": float(
            np.mean((np.diag(confusion) / np.maximum(union, 1))[1:][seen_at_all[1:]])
        ),
        "background_iou": float(confusion[0, 0] / union[0]),
        "pixels_called_cohyponym": float(wrong[same].sum() / confusion[1:].sum()),
        "pixels_called_other_category": float(wrong[~same].sum() / confusion[1:].sum()),
        "pixels_called_background": float(confusion[1:, 0].sum() / confusion[1:].sum()),
        "color_pixel_accuracy": color_right / color_all,
    }


def region_scores(annotator: Annotator, scenes: Sequence[Scene]) -> dict[str, Any]:
    """Measure how often the annotator finds the objects of fresh scenes, once and pure, and claims others.

    Returns
    -------
    dict
        "named", objects whose noun is found; "once", found objects that are counted once; "false nouns", scenes with a
        part of a noun that is not there; "extra objects", scenes with such a part that touches no object.
    """
    named, once, false, extra = [], [], [], []
    for drawn, seen in zip(scenes, annotator([s.image for s in scenes]), strict=True):
        nouns = [obj.spec.noun for obj in drawn.objects]
        found, extras = regions(seen.nouns, nouns, overlapping=len(nouns) > 1)
        for obj in drawn.objects:
            if obj.mask.mean() >= VISIBLE:
                named.append(obj.spec.noun in found)
                if named[-1]:
                    once.append(found[obj.spec.noun].count == 1)
        false.append(any(part.noun not in nouns for part in parts_of(seen.nouns)))
        extra.append(bool(extras))
    return {
        "named": share(named),
        "once": share(once),
        "false nouns": share(false),
        "extra objects": share(extra),
    }


def judge_scores(
    annotator: Annotator | None, per_kind: int, progress: bool = True
) -> dict[str, dict[str, Any]]:
    """Measure how often images are judged rightly whose content is known.

    Parameters
    ----------
    annotator
        The annotator; with None, exact labels take its place, and only the rules of the judge are measured.
    per_kind
        Meanings of each kind of prompt.
    progress
        Whether to show progress.

    Returns
    -------
    dict
        "right scenes", exact scenes that are called right, by kind; "wrong scenes", spoiled scenes that are called
        wrong, by kind; "rejected", the same by fault.
    """
    right: dict[str, list[bool]] = {}
    wrong: dict[str, list[bool]] = {}
    rejected: dict[str, list[bool]] = {}
    with show_progress(progress, len(KINDS), label="Judging scenes", unit="kinds") as bar:
        for kind in KINDS.values():
            for i, spec in enumerate(prompts(kind, per_kind)[:per_kind]):
                for fault, called_wrong in _verdicts(annotator, kind, spec, i):
                    if fault is None:
                        right.setdefault(kind.name, []).append(not called_wrong)
                    else:
                        wrong.setdefault(kind.name, []).append(called_wrong)
                        rejected.setdefault(fault, []).append(called_wrong)
            bar.advance()
    groups = {"right scenes": right, "wrong scenes": wrong, "rejected": rejected}
    return {
        group: {name: share(hits) for name, hits in found.items()}
        for group, found in groups.items()
    }


def _verdicts(
    annotator: Annotator | None, kind: Kind, spec: SceneSpec, seed: int
) -> list[tuple[str | None, bool]]:
    """Return whether a scene and its spoiled versions are called wrong; the fault of the scene itself is None."""
    items: list[tuple[str | None, Labeled]] = [(None, exact(spec, seed))]
    items += spoiled(spec, kind.aspects, seed)
    seen: Sequence[Annotation] = (
        annotator([item.image for _, item in items])
        if annotator
        else [item.labels for _, item in items]
    )
    return [
        (fault, bool(judge(annotation, spec, item.image, kind.aspects)))
        for (fault, item), annotation in zip(items, seen, strict=True)
    ]
