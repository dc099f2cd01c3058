"""How often do images show what their prompts say? Judged by the annotator, kind by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from benchmarks.emoji_model.drawing import batch_size, draw
from benchmarks.emoji_model.intervals import share
from benchmarks.emoji_model.judge.faults import FAULTS, OBJECT_FAULTS, judge
from benchmarks.emoji_model.prompts import KINDS, Kind, prompts, text
from benchmarks.emoji_model.results import Results
from daam_syntax.emoji.annotator import Annotator
from daam_syntax.emoji.grammar import ObjectSpec, SceneSpec
from daam_syntax.emoji.vocabulary import CATEGORY_OF
from daam_syntax.util.progress import show_progress

Faults = tuple[str, ...]

_GROUPS: Final[dict[str, Callable[[ObjectSpec, SceneSpec], str | None]]] = {
    "noun alone": lambda obj, spec: obj.noun,
    "category noun": lambda obj, spec: CATEGORY_OF[obj.noun],
    "color": lambda obj, spec: obj.color,
    "size": lambda obj, spec: obj.size,
    "background": lambda obj, spec: spec.background or "plain",
}


def score_images(
    pipe: Any, annotator: Annotator, results: Results, per_kind: int, progress: bool = True
) -> None:
    """Draw and judge the prompts of every kind that the results do not have yet; save after each kind."""
    missing = [kind for kind in KINDS.values() if not results.has("images", kind.name)]
    total = sum(len(prompts(kind, per_kind)) for kind in missing)
    with show_progress(progress, total, label="Drawing", unit="images") as bar:
        for kind in missing:
            bar.describe(f"Drawing {kind.name}")
            specs = prompts(kind, per_kind)
            faults: list[Faults] = []
            seeds = [kind.seed(i) for i in range(len(specs))]
            for images in draw(pipe, [text(spec) for spec in specs], seeds):
                chosen = specs[len(faults) : len(faults) + batch_size(pipe)]
                faults += [
                    judge(seen, spec, image, kind.aspects)
                    for seen, spec, image in zip(annotator(images), chosen, images, strict=True)
                ]
                bar.advance(len(images))
            results.add(summary(kind, specs, faults), "images", kind.name)


def summary(kind: Kind, specs: Sequence[SceneSpec], faults: Sequence[Faults]) -> dict[str, Any]:
    """Summarize the faults of the images of one kind.

    Returns
    -------
    dict
        "right" (no fault at all); "objects" (no fault of objects); "aspect", for kinds with one, whether the relation,
        color, size or place is right where no object has a fault; "faults" (images by fault); "by", images right by
        noun, category, color, size, or place, where the kind goes through them in turn.
    """
    whole = [not set(found) & set(OBJECT_FAULTS) for found in faults]
    counts = Counter(fault for found in faults for fault in found)
    result: dict[str, Any] = {
        "right": share([not found for found in faults]),
        "objects": share(whole),
        "faults": {fault: counts[fault] for fault in FAULTS if counts[fault]},
    }
    if kind.aspects:
        aspect = [
            not set(f) & set(kind.aspects) for f, fine in zip(faults, whole, strict=True) if fine
        ]
        result["aspect"] = share(aspect)
    if kind.name in _GROUPS:
        groups: dict[str, list[bool]] = {}
        for spec, found in zip(specs, faults, strict=True):
            name = str(_GROUPS[kind.name](spec.objects[0], spec))
            groups.setdefault(name, []).append(not found)
        result["by"] = {name: [sum(hits), len(hits)] for name, hits in sorted(groups.items())}
    return result
