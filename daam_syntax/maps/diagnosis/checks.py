"""All checks of a diagnosis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from daam_syntax.maps.diagnosis import recording, shapes
from daam_syntax.maps.diagnosis.examination import Examination
from daam_syntax.maps.diagnosis.findings import KINDS, Diagnosis, Finding

CHECKS: Final[tuple[Callable[[Examination], Iterator[Finding]], ...]] = (
    recording.find_truncated,
    recording.find_unknown,
    recording.find_untrained,
    recording.find_special_tokens,
    shapes.find_identical,
    shapes.find_flat,
    shapes.find_scattered,
    shapes.find_border,
    recording.find_few_steps,
    recording.find_blacked_out,
)
"""The checks, each for one of `KINDS`, in their order."""


def run_checks(examined: Examination) -> Diagnosis:
    """Return what is off with the maps of one image."""
    found = tuple(finding for check in CHECKS for finding in check(examined))
    reasons = {
        **dict(recording.reasons_not_checked(examined)),
        **dict(shapes.reasons_not_checked(examined)),
    }
    unchecked = {kind: reasons[kind] for kind in KINDS if kind in reasons}
    return Diagnosis(examined.sentence.text, found, unchecked)
