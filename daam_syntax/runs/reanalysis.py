"""Measuring a run again from its stored maps: other measures, thresholds, schemes, parsers; nothing is drawn."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from daam_syntax.language import PromptSet, Sentence, check_schemes, parse_many
from daam_syntax.maps import HeatMaps, parse_threshold
from daam_syntax.runs.drawing.measuring import measured
from daam_syntax.runs.store.schemas import from_frame, schema_of, with_identity
from daam_syntax.runs.store.table_files import Tables
from daam_syntax.util.progress import show_progress
from daam_syntax.util.whole_files import file_errors, whole_file

if TYPE_CHECKING:
    from spacy.language import Language

    from daam_syntax.analysis.tables.image_batches import Size
    from daam_syntax.runs.stored_run import Run

_TABLES: Final = ("pairs", "words")
_AT_ONCE: Final = 8  # images whose maps are measured together


class Reanalysis(Tables):
    """The tables of a run under other measures; made by `Run.reanalyse`.

    Attributes
    ----------
    run
        The run.
    path
        Its folder, in that of the run.
    options
        What was asked for.
    """

    def __init__(self, run: Run, path: Path, options: dict[str, Any]) -> None:
        self.run = run
        self.path = path
        self.options = options
        self._n_parts = len(run.records)

    @property
    def prompts(self) -> PromptSet:
        """The prompts, and what was known of them."""
        return self.run.prompts

    def _files(self, table: str) -> Iterator[Path]:
        return (self.path / table / f"part-{n:05d}.parquet" for n in range(self._n_parts))

    def __repr__(self) -> str:
        return f"Reanalysis({str(self.path)!r}: {self.options})"


def reanalyse(
    run: Run,
    *,
    threshold: str | Sequence[str] | None = None,
    schemes: str | Sequence[str] | None = None,
    measures: str | Iterable[str] | None = None,
    size: Size = "image",
    unrelated: bool = True,
    parser: str | Language | None = None,
    progress: bool = False,
) -> Reanalysis:
    """Measure a run again; see `Run.reanalyse`."""
    rules = run.settings.thresholds if threshold is None else threshold
    rules = [rules] if isinstance(rules, str) else list(rules)
    wanted = run.settings.schemes if schemes is None else schemes
    sentences = run.sentences
    if parser is not None:
        sentences = tuple(parse_many([sentence.text for sentence in sentences], parser))
    wanted = list(check_schemes(wanted, sentences))
    more: dict[str, Any] = {"size": size, "unrelated": unrelated}
    if measures is not None:
        more["measures"] = [measures] if isinstance(measures, str) else list(measures)
    thresholds = [str(parse_threshold(rule)) for rule in rules]
    options = {
        "threshold": thresholds,
        "schemes": wanted,
        "parser": sentences[0].parser,
        **more,
    }
    name = hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:8]
    path = run.path / "analyses" / name
    done = sum(record.n_images for record in run.records)
    with file_errors(path):
        for table in _TABLES:
            (path / table).mkdir(parents=True, exist_ok=True)
    with show_progress(progress, done, label="Measuring") as bar:
        for number, record in enumerate(run.records):
            frames: dict[str, list[pa.Table]] = {table: [] for table in _TABLES}
            for batch in _batches(run.shard_maps(record)):
                numbers = [image for image, _ in batch]
                maps = [_reparsed(each, sentences[i // run.plan.n_seeds]) for i, each in batch]
                made = measured(maps, numbers, thresholds=thresholds, schemes=wanted, **more)
                for table, frame in made:
                    frames[table].append(from_frame(frame, table))
            for table, parts in frames.items():
                _write(parts, table, path / table / f"part-{number:05d}.parquet")
            bar.advance(record.n_images)
    with whole_file(path / "analysis.json") as partial:
        partial.write_text(json.dumps(options, indent=2, ensure_ascii=False), encoding="utf-8")
    return Reanalysis(run, path, options)


def _batches(maps: Iterator[tuple[int, HeatMaps]]) -> Iterator[list[tuple[int, HeatMaps]]]:
    while batch := list(islice(maps, _AT_ONCE)):
        yield batch


def _reparsed(maps: HeatMaps, sentence: Sentence) -> HeatMaps:
    return maps if maps.sentence == sentence else maps.with_sentence(sentence)


def _write(parts: list[pa.Table], table: str, path: Path) -> None:
    """Write the rows of a shard; one without any has the columns that every shard has."""
    rows = (
        pa.concat_tables(parts) if parts else with_identity(schema_of(table), table).empty_table()
    )
    with whole_file(path) as partial:
        pq.write_table(rows, partial, compression="zstd")
