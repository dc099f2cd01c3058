"""Draw one shard; bisect a failing batch to find the bad image, and continue with the others."""

from __future__ import annotations

import errno
import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from daam_syntax.drawing.seeds import generator_seed
from daam_syntax.drawing.traced_images import TracedImage, draw_batch
from daam_syntax.errors import ModelError
from daam_syntax.language import Sentence, Token
from daam_syntax.maps import HeatMaps
from daam_syntax.runs.drawing.parses import ShardPrompts
from daam_syntax.runs.measuring import measure_images
from daam_syntax.runs.problems import Problem
from daam_syntax.runs.run_settings import RunSettings
from daam_syntax.runs.store.records import ShardRecord
from daam_syntax.runs.store.shard_files import ShardFiles
from daam_syntax.runs.store.shards import PlannedImage, ShardPlan
from daam_syntax.runs.store.stored_attention import attention_table
from daam_syntax.runs.store.stored_maps import reduce_maps, to_table, truncation_columns
from daam_syntax.runs.store.tables.schemas import (
    IMAGES_SCHEMA,
    Stamp,
    from_frame,
    from_rows,
    tables_of,
)
from daam_syntax.util.wording import one_line

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

_OF_SYSTEM: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM}
)
_PLAIN: Final = Sentence(
    "a photo",
    (Token(0, "a", "a", "DET", "DT", 0, 1), Token(1, "photo", "photo", "NOUN", "NN", 2, 7)),
)
"""A prompt that every model can draw; if it fails too, the cause is not the prompt."""


@dataclass
class ShardDrawer:
    """Draws shards with one pipeline.

    Attributes
    ----------
    pipe
        A diffusers text-to-image pipeline.
    settings, plan
        Settings and plan of the run.
    largest
        Largest number of images to draw together; it is reduced when memory runs out.
    """

    pipe: DiffusionPipeline
    settings: RunSettings
    plan: ShardPlan
    largest: int = 0
    _can_draw: bool = False
    _prompts: ShardPrompts = field(default=ShardPrompts(0, (), ()), init=False, repr=False)

    def __post_init__(self) -> None:
        self.largest = self.largest or self.plan.batch_size

    def draw(
        self,
        stamp: Stamp,
        prompts: ShardPrompts,
        work: Path,
        advance: Callable[[int], None] = lambda n: None,
    ) -> ShardRecord:
        """Draw and measure a shard, and write its files into a work folder.

        Parameters
        ----------
        stamp
            Run and number of the shard.
        prompts
            The prompts of the shard.
        work
            The folder in which to write.
        advance
            Called after each batch with the number of its images.

        Raises
        ------
        ModelError
            If nothing has been drawn yet and a plain prompt fails as well, so that the cause is not the prompts.
        OSError
            If the files cannot be written, or the system has no files, memory, or disk left.
        """
        started = time.perf_counter()
        problems: list[Problem] = []
        n_failed, shard = 0, stamp.shard
        self._prompts = prompts
        with ShardFiles(
            work, stamp, self.settings.map_dtype, tables_of(self.settings.relations)
        ) as files:
            for batch in self.plan.batches(shard):
                results = dict(self._draw_or_bisect(batch, shard, problems))
                self._write(files, batch, results)
                n_failed += sum(isinstance(result, str) for result in results.values())
                advance(len(batch))
            seconds = round(time.perf_counter() - started, 3)
            return files.finish(problems, self.plan.size(shard), n_failed, seconds)

    def _draw_or_bisect(
        self, batch: Sequence[PlannedImage], shard: int, problems: list[Problem]
    ) -> Iterator[tuple[PlannedImage, TracedImage | str]]:
        """Yield each planned image with its traced image, or with the reason for its failure."""
        if len(batch) > self.largest:
            for start in range(0, len(batch), self.largest):
                yield from self._draw_or_bisect(
                    batch[start : start + self.largest], shard, problems
                )
            return
        try:
            items = [(self._prompts.sentence(planned.prompt), planned.seed) for planned in batch]
            traced = self._trace(items)
        except Exception as error:
            if is_fatal(error) or isinstance(error, OSError):
                raise
            if (number := error_of_system(error)) is not None:
                raise OSError(number, one_line(error)) from error
            no_memory, reason = is_out_of_memory(error), one_line(error)
        else:
            self._can_draw = True
            yield from zip(batch, traced, strict=True)
            return
        if no_memory:  # outside the handler, whose traceback keeps memory in use
            _free_memory()
        if len(batch) == 1:
            self._check_model(batch[0], reason)
            problems.append(self._problem(batch[0], shard, no_memory, reason))
            yield batch[0], reason
            return
        half = (len(batch) + 1) // 2
        if no_memory:
            self.largest = half
            problems.append(
                Problem(
                    "draw",
                    "out of memory",
                    reason,
                    f"{len(batch)} images did not fit; from now on {half} are drawn together.",
                    shard=shard,
                    image=batch[0].number,
                )
            )
        yield from self._draw_or_bisect(batch[:half], shard, problems)
        yield from self._draw_or_bisect(batch[half:], shard, problems)

    def _trace(self, items: Sequence[tuple[Sentence, int]]) -> list[TracedImage]:
        own = self.settings
        return draw_batch(items, self.pipe, own.drawing, own.relations, own.relation_axes)

    def _check_model(self, planned: PlannedImage, reason: str) -> None:
        """Raise if even a plain prompt fails, because then the model is the cause and not the prompt."""
        if self._can_draw:
            return
        try:
            self._trace([(_PLAIN, 0)])
        except Exception as error:
            if is_fatal(error):
                raise
            prompt = self._prompts.sentence(planned.prompt).text[:80]
            raise ModelError(
                f"Expected to draw, but {prompt!r} failed ({reason.rstrip('.')}), "
                f"and so did the plain {_PLAIN.text!r}, so the cause is not the prompt: {one_line(error)} Finished "
                "shards are kept."
            ) from error
        self._can_draw = True

    def _problem(self, planned: PlannedImage, shard: int, no_memory: bool, reason: str) -> Problem:
        return Problem(
            "draw",
            "out of memory" if no_memory else "no drawing",
            reason,
            "The image was left out.",
            shard=shard,
            image=planned.number,
            prompt_id=self._prompts.name(planned.prompt),
            prompt=self._prompts.sentence(planned.prompt).text,
            seed=planned.seed,
        )

    def _write(
        self,
        files: ShardFiles,
        batch: Sequence[PlannedImage],
        results: dict[PlannedImage, TracedImage | str],
    ) -> None:
        """Write the rows of a batch to all tables."""
        rows: list[dict[str, Any]] = []
        numbers: list[int] = []
        kept: list[HeatMaps] = []
        between: list[pa.Table] = []
        for planned in batch:
            result = results[planned]
            if isinstance(result, str):
                rows.append(self._failed_row(planned, result))
                continue
            name = self._prompts.name(planned.prompt)
            kept_maps = reduce_maps(result.maps, self.settings.map_size, self.settings.map_dtype)
            maps = kept_maps.with_provenance(prompt_id=name)
            rows.append(self._image_row(planned, result, maps))
            if result.attention:
                dtype = self.settings.map_dtype
                between.append(attention_table(result.attention, rows[-1], dtype))
            numbers.append(planned.number)
            kept.append(maps)
        files.add("images", from_rows(rows, IMAGES_SCHEMA, "images"))
        if kept:
            tables = [to_table(maps, number) for maps, number in zip(kept, numbers, strict=True)]
            files.add("maps", pa.concat_tables(tables))
        if between:
            files.add("attention", pa.concat_tables(between))
        rules, schemes = self.settings.thresholds, self.settings.schemes
        for table, frame in measure_images(kept, numbers, thresholds=rules, schemes=schemes):
            files.add(table, from_frame(frame, table))

    def _failed_row(self, planned: PlannedImage, reason: str) -> dict[str, Any]:
        sentence = self._prompts.sentence(planned.prompt)
        return {
            "image": planned.number,
            "prompt_id": self._prompts.name(planned.prompt),
            "prompt": sentence.text,
            "seed": planned.seed,
            "generator_seed": generator_seed(sentence.text, planned.seed),
            "status": "failed",
            "reason": reason,
            "sentence": json.dumps(sentence.to_dict()),
        }

    def _image_row(
        self, planned: PlannedImage, traced: TracedImage, maps: HeatMaps
    ) -> dict[str, Any]:
        height, width = maps.image_size
        row = self._failed_row(planned, "") | {
            "status": "drawn",
            "height": height,
            "width": width,
            **truncation_columns(maps),
            "provenance": json.dumps(dict(maps.provenance), ensure_ascii=False),
        }
        if self.settings.keep_images:
            buffer = io.BytesIO()
            traced.image.save(buffer, format="PNG")
            name = f"{row['prompt_id']}-{planned.seed}.png"
            row["picture"] = {"bytes": buffer.getvalue(), "path": name}
        return row


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on a GPU or elsewhere."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    phrases = ("out of memory", "not enough memory", "can't allocate memory")
    return isinstance(error, RuntimeError) and any(phrase in text for phrase in phrases)


def error_of_system(error: BaseException | None) -> int | None:
    """Return the number of an error of the system that an error comes from, such as too many open files."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _OF_SYSTEM:
            return error.errno
        error = error.__cause__ or error.__context__
    return None


def is_fatal(error: BaseException) -> bool:
    """Whether an error leaves the GPU unusable for this process."""
    import torch

    return isinstance(error, torch.AcceleratorError) and not is_out_of_memory(error)


def _free_memory() -> None:
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
