"""Are all relations of attention on a device those of the CPU? A part of ``python -m tools.device_checks``.

Tiny random pipelines draw the same noise on the CPU and on the device. The tests hold the CPU's values to 64-bit
references, so here the device's are held to the CPU's: relations between words, pixels, and both; attention inside
the text encoders; maps of texts that are not in the prompt; and maps of attention outputs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import diffusers
import numpy as np
import torch

from daam_syntax.attention import trace, trace_text
from daam_syntax.emoji.grammar import ObjectSpec, SceneSpec, write_caption

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from helpers.family_cases import CASES, Case
from helpers.family_pipelines import make
from helpers.family_runs import draw

SENTENCES: Final = [
    write_caption(SceneSpec((ObjectSpec("cat", "red"), ObjectSpec("chair", "red")), "on"))[0],
    write_caption(SceneSpec((ObjectSpec("owl"),)))[0],
]
CONCEPT: Final = write_caption(SceneSpec((ObjectSpec("strawberry", size="big"),)))[0]
TOLERANCE: Final = 1e-4
"""Difference that rounding may cause: the device's layers sum 32-bit products in another order than the CPU's."""

JOINT: Final = tuple(case for case in CASES if case.keys.startswith("joint"))
WITH_CONCEPTS: Final = tuple(
    case for case in CASES if case in JOINT or case.name in ("PixArt-alpha", "PixArt-sigma", "Sana")
)
"""Families that can map text outside the prompt (``also=``)."""
IN_JOINT: Final = ("text-text", "text-image", "image-image")


@dataclass(frozen=True)
class RelationsCheck:
    """How a device's relations of attention differ from the CPU's.

    Attributes
    ----------
    device, pipeline, versions
        What was checked.
    is_identical
        Whether traced images are identical to untraced ones of the same device.
    largest_difference
        By relation, the largest absolute difference from the CPU, of mean probabilities; for output maps, of dot
        products, relative to the largest of them.
    """

    device: str
    pipeline: str
    versions: dict[str, str]
    is_identical: bool
    largest_difference: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return everything, with "is_right"."""
        within = all(value <= TOLERANCE for value in self.largest_difference.values())
        return {**asdict(self), "is_right": self.is_identical and within}


def observed(case: Case, device: str) -> tuple[bool, dict[str, np.ndarray]]:
    """Trace everything on a device; return whether the images are identical to untraced ones, and the arrays."""
    pipe = make(case.name).to(device)
    sentences = SENTENCES[: case.images]
    prompts = [sentence.text for sentence in sentences]
    read: dict[str, Any] = {"sentences": sentences}
    given: dict[str, Any] = {}
    if case in WITH_CONCEPTS:
        given = {"outputs": True, "also": [CONCEPT.text]}
    if case in JOINT:
        given["relations"] = IN_JOINT

    def drawn() -> torch.Tensor:
        return draw(case, prompts, pipe=pipe, steps=2)

    untraced = drawn()
    with trace(pipe, **given) as recording:
        images = drawn()
    arrays = {"image-text": [maps.data.values for maps in recording.heat_maps(**read)]}
    if case in WITH_CONCEPTS:
        concept: dict[str, Any] = {"of": CONCEPT.text, "sentences": [CONCEPT] * len(prompts)}
        arrays |= {
            "concept": [maps.data.values for maps in recording.heat_maps(**concept)],
            "outputs": [maps.data.values for maps in recording.output_maps(**read)],
            "outputs of the concept": [
                maps.data.values for maps in recording.output_maps(**concept)
            ],
        }
    if case in JOINT:
        arrays |= {
            "text-image": [
                maps.data.values for maps in recording.heat_maps(relation="text-image", **read)
            ],
            "text-text": [each.mean for each in recording.word_attention(**read)],
            "image-image": [each.mean for each in recording.image_attention()],
        }
    length = {k: v for k, v in case.arguments.items() if k == "max_sequence_length"}
    arrays["encoder"] = [each.mean for each in trace_text(pipe, prompts, **read, **length)]
    flat = {
        name: np.concatenate([np.ravel(a) for a in found]).astype(float)
        for name, found in arrays.items()
    }
    return torch.equal(images, untraced), flat


def check_relations(case: Case, device: str) -> RelationsCheck:
    """Compare a family's relations on a device with those on the CPU."""
    _, expected = observed(case, "cpu")
    is_identical, found = observed(case, device)
    differences = {}
    for name, values in expected.items():
        if not np.array_equal(np.isnan(values), np.isnan(found[name])):
            differences[name] = float("inf")
            continue
        scale = float(np.nanmax(np.abs(values))) if name.startswith("outputs") else 1.0
        differences[name] = float(np.nanmax(np.abs(found[name] - values))) / scale
    on_gpu = torch.device(device).type == "cuda"
    return RelationsCheck(
        device=f"{device} ({torch.cuda.get_device_name()})" if on_gpu else device,
        pipeline=case.pipelines,
        versions={"torch": torch.__version__, "diffusers": diffusers.__version__},
        is_identical=is_identical,
        largest_difference=differences,
    )


def relations(device: str) -> Iterator[tuple[str, Any]]:
    """Yield every family."""
    for case in CASES:
        yield case.name, lambda case=case: check_relations(case, device)
