"""Estimate what a run will take (time, disk, memory) from a small run on the same machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from daam_syntax.errors import FileError, ModelError
from daam_syntax.runs.field_types import check_fields, missing_or, text
from daam_syntax.runs.field_types import whole as counts
from daam_syntax.runs.store.tables.schemas import tables_of
from daam_syntax.runs.stored_run import Run
from daam_syntax.util.arguments.checks import POSITIVE, checked, whole
from daam_syntax.util.wording import duration, human_size

if TYPE_CHECKING:
    from daam_syntax.attention.prompt_overflow import Overflow

_SHOWN: Final = 10
_LIMIT: Final = {
    **dict.fromkeys(("encoder", "tokenizer", "before", "after"), text),
    "n_tokens": missing_or(counts()),
}


@dataclass(frozen=True)
class RunCost:
    """Estimated cost of a run.

    Attributes
    ----------
    n_images
        Number of prompts times number of seeds.
    rate
        Images per second of one worker.
    seconds
        Time to draw all images with all workers.
    n_bytes
        Disk space by table, bytes.
    peak_memory, peak_gpu_memory
        Memory of each worker, bytes; None if the small run did not measure it. It does not grow with the run.
    overflow
        Prompts that the text encoders do not read to the end; None if they could not be checked, because only their
        number or no tokenizers were available.
    """

    n_images: int
    rate: float
    seconds: float
    n_bytes: dict[str, int]
    peak_memory: int | None
    peak_gpu_memory: int | None
    overflow: tuple[Overflow, ...] | None = None

    def __str__(self) -> str:
        lines = [
            f"{self.n_images:,} images at {self.rate:.3g} images/s per worker",
            f"time    {duration(self.seconds)}",
            f"disk    {human_size(sum(self.n_bytes.values()))}: "
            + ", ".join(f"{table} {human_size(size)}" for table, size in self.n_bytes.items()),
        ]
        for name, size in (("memory", self.peak_memory), ("GPU", self.peak_gpu_memory)):
            if size is not None:
                lines.append(f"{name:<7} {human_size(size)} per worker, for any number of images")
        if self.overflow is None:
            lines.append("prompts not checked: the prompts or the model's tokenizers are missing")
        else:
            n_long = len({found.prompt for found in self.overflow})
            lines.append(f"prompts {n_long:,} exceed the text encoder's limit")
            lines += [f"        {found.prompt[:60]!r}: {found}" for found in self.overflow[:_SHOWN]]
        return "\n".join(lines)


@checked(seeds=whole(1, 1_000_000), rate=POSITIVE, workers=whole(1))
def plan(
    prompts: int | Iterable[str],
    seeds: int,
    pilot: Run | str | Path,
    *,
    rate: float | None = None,
    workers: int = 1,
) -> RunCost:
    """Estimate the cost of a run from a small run with the same settings.

    Time and disk space are proportional to the number of images. Prompts that are much longer than those of the small
    run take more.

    Parameters
    ----------
    prompts
        The prompts, or their number.
    seeds
        Number of seeds (images) per prompt.
    pilot
        The small run, or its folder, drawn on the machine that will be used.
    rate
        Images per second of one worker; that of the small run if None.
    workers
        Processes that draw at the same time, each with its own GPU.

    Raises
    ------
    FileError
        If the small run has no images.
    """
    texts = None if isinstance(prompts, int) else list(prompts)
    n_prompts = prompts if isinstance(prompts, int) else len(texts or ())
    pilot = pilot if isinstance(pilot, Run) else Run(pilot)
    if min(n_prompts, seeds, workers) < 1:
        raise ValueError(
            f"Expected at least one prompt, seed and worker, but got {n_prompts}, {seeds} and {workers}."
        )
    n_drawn = sum(record.n_images - record.n_failed for record in pilot.records)
    if n_drawn == 0:
        raise FileError(
            f"Expected a run with images, but {pilot.path} has none yet; draw some prompts first."
        )
    if rate is None:
        seconds = sum(record.seconds for record in pilot.records)
        if seconds <= 0:
            raise FileError(f"Expected a run that took some time, but {pilot.path} took none.")
        rate = n_drawn / seconds
    n_images = n_prompts * seeds
    sizes = {
        table: sum(record.files[table].n_bytes for record in pilot.records)
        for table in tables_of(pilot.settings.relations)
    }
    peaks = {
        name: max((s[name] for s in pilot.sessions if name in s), default=None)
        for name in ("peak_memory", "peak_gpu_memory")
    }
    return RunCost(
        n_images,
        rate,
        n_images / rate / workers,
        {table: round(size * n_images / n_drawn) for table, size in sizes.items()},
        **peaks,
        overflow=None if texts is None else _overflow(texts, pilot),
    )


def _overflow(prompts: Sequence[str], pilot: Run) -> tuple[Overflow, ...] | None:
    """Compare prompts with the limits of a run's text encoders; None if they, or its tokenizers, are not known."""
    from daam_syntax.attention.prompt_overflow import FORMS, TextLimit, find_overflow
    from daam_syntax.pipelines.loading import load_tokenizers

    known = {**_LIMIT, "form": lambda value: value in tuple(FORMS)}
    written = [limit for session in pilot.sessions[-1:] for limit in session["text_limits"]]
    try:
        limits = [TextLimit(**check_fields(limit, known)) for limit in written]
    except ValueError as error:
        raise FileError(
            f"Expected the limits of text encoders in the manifest of {pilot.path}, but {error}."
        ) from error
    if not limits:
        return None
    model = pilot.settings.model
    try:
        names = [limit.tokenizer for limit in limits]
        loaded = load_tokenizers(model["model"], names, revision=model.get("revision"))
    except ModelError:
        return None
    return find_overflow(prompts, dict(zip(limits, loaded, strict=True)))
