"""Maps recorded while images are generated, against the annotator's masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from benchmarks.attribution.cases import BATCH, Case, Maps, Scored, Thing, batches
from benchmarks.attribution.mapping.methods import METHODS, maps_of_recording
from benchmarks.attribution.mapping.reading import Reader
from benchmarks.attribution.running import score_masks, summarized
from benchmarks.attribution.scoring import AGAINST_MASKS
from daam_syntax.attention import trace
from daam_syntax.emoji.annotator import Annotator
from daam_syntax.emoji.model import GUIDANCE, STEPS
from daam_syntax.emoji.scenes import Scene
from daam_syntax.util.progress import Progress


def drawn_cases(
    reader: Reader,
    annotator: Annotator,
    scenes: Sequence[Scene],
    names: Sequence[str],
    bar: Progress,
) -> tuple[dict[str, Any], dict[str, int]]:
    """Generate an image of each caption, and score the maps of the nouns that the annotator finds.

    Parameters
    ----------
    reader
        The pipeline and its weights.
    annotator
        Locates things in the images.
    scenes
        Their captions are drawn.
    names
        Methods of one recording.
    bar
        Counts images.

    Returns
    -------
    results : dict
        Scores of the methods.
    counts : dict
        How many nouns captions have, and how many the annotator finds.
    """
    scored: list[Scored] = []
    maps: dict[str, list[Maps]] = {name: [] for name in names}
    n_nouns = 0
    for part in batches(len(scenes), BATCH):
        chosen = scenes[part]
        with trace(reader.pipe, keep=("layer", "head")) as recording:
            images = reader.pipe(
                [each.caption for each in chosen],
                generator=[
                    torch.Generator("cpu").manual_seed(i) for i in range(part.start, part.stop)
                ],
                num_inference_steps=STEPS,
                guidance_scale=GUIDANCE,
            ).images
        recorded = recording.heat_maps(sentences={each.caption: each.sentence for each in chosen})
        for drawn, own, image, seen in zip(
            chosen, recorded, images, annotator(images), strict=True
        ):
            n_nouns += len(drawn.objects)
            there = [obj for obj in drawn.objects if obj.spec.noun in seen.present()]
            masks = {obj.word: seen.mask(obj.spec.noun) for obj in there}
            if not masks:
                continue
            things = tuple(
                Thing(word, mask, tuple(m for w, m in masks.items() if w != word))
                for word, mask in masks.items()
            )
            case = Case(image, drawn.sentence, tuple(masks))
            scored.append(Scored(case, things))
            for name in names:
                maps[name] += maps_of_recording(name, reader, [own], [case])
        bar.advance(len(chosen))
    scores, _ = score_masks(scored, maps)
    counts = {
        "images": len(scored),
        "nouns in the captions": n_nouns,
        "nouns that the annotator finds": sum(len(each.things) for each in scored),
    }
    return summarized(scores, METHODS, AGAINST_MASKS), counts
