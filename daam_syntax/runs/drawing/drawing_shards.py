"""Drawing one shard: what fails is divided until it is known which image it is, and the rest goes on."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from daam_syntax.drawing.traced_images import TracedImage, draw_batch, generator_seed
from daam_syntax.errors import ModelError
from daam_syntax.language import Sentence, Token, prompt_id
from daam_syntax.maps import HeatMaps
from daam_syntax.runs.drawing.measuring import measured
from daam_syntax.runs.problems import Problem
from daam_syntax.runs.run_settings import RunSettings
from daam_syntax.runs.store.records import ShardRecord
from daam_syntax.runs.store.schemas import IMAGES_SCHEMA, from_frame, from_rows
from daam_syntax.runs.store.shard_files import ShardFiles
from daam_syntax.runs.store.shards import Plan, Slot
from daam_syntax.runs.store.stored_maps import reduced, to_table

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

_PLAIN: Final = Sentence(
    "a photo",
    (Token(0, "a", "a", "DET", "DT", 0, 1), Token(1, "photo", "photo", "NOUN", "NN", 2, 7)),
)
"""What every model can draw: where it fails too, it is not the prompt that is bad."""


@dataclass
class ShardDrawer:
    """Draws shards with one pipeline.

    Attributes
    ----------
    pipe
        A diffusers text-to-image pipeline.
    settings, plan
        Those of the run.
    sentences
        The parsed prompts of the run, in order.
    largest
        Images that are drawn together at most; it becomes smaller when memory runs out.
    """

    pipe: DiffusionPipeline
    settings: RunSettings
    plan: Plan
    sentences: Sequence[Sentence]
    largest: int = 0
    _can_draw: bool = False

    def __post_init__(self) -> None:
        self.largest = self.largest or self.plan.batch_size

    def draw(
        self, shard: int, work: Path, advance: Callable[[int], None] = lambda n: None
    ) -> ShardRecord:
        """Draw and measure a shard, and write its files into a work folder.

        Parameters
        ----------
        shard
            Its number.
        work
            The folder to write into.
        advance
            Told how many images have been dealt with since it was told last.

        Raises
        ------
        ModelError
            If nothing has been drawn yet, and a plain prompt fails as well: then it is not the prompts.
        OSError
            If the files cannot be written.
        """
        started = time.perf_counter()
        problems: list[Problem] = []
        n_failed = 0
        with ShardFiles(work) as files:
            for batch in self.plan.batches(shard):
                results = dict(self._draw(batch, shard, problems))
                self._write(files, batch, results)
                n_failed += sum(isinstance(result, str) for result in results.values())
                advance(len(batch))
            written = files.finish(problems)
        seconds = round(time.perf_counter() - started, 3)
        return ShardRecord(shard, written, self.plan.size(shard), n_failed, seconds)

    def _draw(
        self, batch: Sequence[Slot], shard: int, problems: list[Problem]
    ) -> Iterator[tuple[Slot, TracedImage | str]]:
        """Yield each image's drawing, or why there is none."""
        if len(batch) > self.largest:
            for start in range(0, len(batch), self.largest):
                yield from self._draw(batch[start : start + self.largest], shard, problems)
            return
        try:
            items = [(self.sentences[slot.prompt], slot.seed) for slot in batch]
            drawings = draw_batch(items, self.pipe, self.settings.drawing)
        except Exception as error:
            if is_fatal(error):
                raise
            no_memory, reason = is_out_of_memory(error), _describe(error)
        else:
            self._can_draw = True
            yield from zip(batch, drawings, strict=True)
            return
        if no_memory:  # out of the handler, whose traceback holds on to memory
            _free_memory()
        if len(batch) == 1:
            self._make_sure(batch[0], reason)
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
                    f"{len(batch)} images did not fit; from here on {half} are drawn together.",
                    shard=shard,
                    image=batch[0].image,
                )
            )
        yield from self._draw(batch[:half], shard, problems)
        yield from self._draw(batch[half:], shard, problems)

    def _make_sure(self, slot: Slot, reason: str) -> None:
        """Raise unless something can be drawn: an image failed, and it may be the model, not the prompt."""
        if self._can_draw:
            return
        try:
            draw_batch([(_PLAIN, 0)], self.pipe, self.settings.drawing)
        except Exception as error:
            if is_fatal(error):
                raise
            raise ModelError(
                f"Expected to draw, but {self.sentences[slot.prompt].text[:80]!r} failed ({reason.rstrip('.')}), and "
                f"so did the plain {_PLAIN.text!r}, so it is not the prompt: {_describe(error)} What was finished "
                "before is kept."
            ) from error
        self._can_draw = True

    def _problem(self, slot: Slot, shard: int, no_memory: bool, reason: str) -> Problem:
        prompt = self.sentences[slot.prompt].text
        return Problem(
            "draw",
            "out of memory" if no_memory else "no drawing",
            reason,
            "The image was left out.",
            shard=shard,
            image=slot.image,
            prompt_id=prompt_id(prompt),
            prompt=prompt,
            seed=slot.seed,
        )

    def _write(
        self, files: ShardFiles, batch: Sequence[Slot], results: dict[Slot, TracedImage | str]
    ) -> None:
        """Write the rows of a batch to all tables."""
        rows: list[dict[str, Any]] = []
        numbers: list[int] = []
        kept: list[HeatMaps] = []
        for slot in batch:
            result = results[slot]
            if isinstance(result, str):
                rows.append(self._failed_row(slot, result))
                continue
            maps = reduced(result.maps, self.settings.map_size)
            rows.append(self._image_row(slot, result, maps))
            numbers.append(slot.image)
            kept.append(maps)
        files.add("images", from_rows(rows, IMAGES_SCHEMA, "images"))
        if kept:
            tables = [to_table(maps, number) for maps, number in zip(kept, numbers, strict=True)]
            files.add("maps", pa.concat_tables(tables))
        rules, schemes = self.settings.thresholds, self.settings.schemes
        for table, frame in measured(kept, numbers, thresholds=rules, schemes=schemes):
            files.add(table, from_frame(frame, table))

    def _failed_row(self, slot: Slot, reason: str) -> dict[str, Any]:
        prompt = self.sentences[slot.prompt].text
        return {
            "image": slot.image,
            "prompt_id": prompt_id(prompt),
            "prompt": prompt,
            "seed": slot.seed,
            "generator_seed": generator_seed(prompt, slot.seed),
            "status": "failed",
            "reason": reason,
        }

    def _image_row(self, slot: Slot, drawing: TracedImage, maps: HeatMaps) -> dict[str, Any]:
        height, width = maps.image_size
        row = self._failed_row(slot, "") | {
            "status": "drawn",
            "height": height,
            "width": width,
            "truncated_at": maps.truncated_at,
            "provenance": json.dumps(dict(maps.provenance), ensure_ascii=False),
        }
        if self.settings.keep_images:
            buffer = io.BytesIO()
            drawing.image.save(buffer, format="PNG")
            name = f"{drawing.prompt_id}-{drawing.seed}.png"
            row["picture"] = {"bytes": buffer.getvalue(), "path": name}
        return row


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or not."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    phrases = ("out of memory", "not enough memory", "can't allocate memory")
    return isinstance(error, RuntimeError) and any(phrase in text for phrase in phrases)


def is_fatal(error: BaseException) -> bool:
    """Whether an error leaves the GPU unusable for this process."""
    import torch

    return isinstance(error, torch.AcceleratorError) and not is_out_of_memory(error)


def _describe(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _free_memory() -> None:
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
