"""Measure the stored maps of a run again, with other measures, thresholds, schemes, or parsers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from daam_syntax.errors import ThresholdError
from daam_syntax.language import PromptSet, Sentence, check_schemes, parse_many
from daam_syntax.maps import HeatMaps, parse_threshold
from daam_syntax.runs.measuring import measure_images
from daam_syntax.runs.store.locking import locked
from daam_syntax.runs.store.records import ShardRecord
from daam_syntax.runs.store.run_reader import RunReader
from daam_syntax.runs.store.tables.schemas import from_frame, schema_of, with_identity
from daam_syntax.runs.store.tables.table_files import ShardedTables
from daam_syntax.util.progress import show_progress
from daam_syntax.util.regular_files import make_folder
from daam_syntax.util.whole_files import whole_file

if TYPE_CHECKING:
    from spacy.language import Language

    from daam_syntax.analysis.tables.image_batches import Size

_TABLES: Final = ("pairs", "words")
_AT_ONCE: Final = 8  # images that are measured together


class Reanalysis(ShardedTables):
    """The tables of a run under other measures, made by `Run.reanalyze`.

    Attributes
    ----------
    run
        The run.
    path
        The folder of the tables, inside that of the run.
    options
        The options of the reanalysis.
    """

    def __init__(self, run: RunReader, path: Path, options: dict[str, Any]) -> None:
        self.run = run
        self.path = path
        self.options = options
        self._shards = [record.shard for record in run.records]

    @property
    def prompts(self) -> PromptSet:
        """The prompts with their metadata."""
        return self.run.prompts

    def _files(self, table: str) -> Iterator[Path]:
        if table not in _TABLES:
            raise ValueError(
                f"Expected one of the tables {', '.join(_TABLES)} of a reanalysis, but got {table!r}."
            )
        return (_part(self.path, table, shard) for shard in self._shards)

    def __repr__(self) -> str:
        return f"Reanalysis({str(self.path)!r}: {self.options})"


def reanalyze(
    run: RunReader,
    *,
    threshold: str | Sequence[str] | None = None,
    schemes: str | Sequence[str] | None = None,
    measures: str | Iterable[str] | None = None,
    size: Size = "image",
    unrelated: bool = True,
    parser: str | Language | None = None,
    progress: bool = False,
) -> Reanalysis:
    """Measure a run again; see `Run.reanalyze`."""
    rules = run.settings.thresholds if threshold is None else threshold
    thresholds = list(dict.fromkeys(str(parse_threshold(rule)) for rule in _listed(rules)))
    if not thresholds:
        raise ThresholdError(
            "Expected at least one threshold, such as 'relative:0.4', but got none."
        )
    sample = _first_parses(run)
    if parser is not None:
        sample = parse_many([sentence.text for sentence in sample], parser)
    checked = list(check_schemes(run.settings.schemes if schemes is None else schemes, sample))
    more: dict[str, Any] = {"size": size, "unrelated": unrelated}
    if measures is not None:
        more["measures"] = _listed(measures)
    options = {
        "threshold": thresholds,
        "schemes": checked,
        "parser": sample[0].parser if sample else run.settings.parser,
        **more,
    }
    name = hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:8]
    path = make_folder(run.path, "analyses", name)
    for table in _TABLES:
        make_folder(path, table)
    n_images = sum(record.n_images for record in run.records)
    # Not the lock of the run: one can measure the finished shards of a run that goes on.
    with locked(path), show_progress(progress, n_images, label="Measuring") as bar:
        for record in run.records:
            tables = _measure_shard(
                run, record, parser, thresholds=thresholds, schemes=checked, **more
            )
            for table, parts in tables.items():
                _write(parts, table, _part(path, table, record.shard))
            bar.advance(record.n_images)
    with whole_file(path / "analysis.json") as partial:
        partial.write_text(json.dumps(options, indent=2, ensure_ascii=False), encoding="utf-8")
    return Reanalysis(run, path, options)


def _part(path: Path, table: str, shard: int) -> Path:
    """Return the path of the rows of a shard; named by it, because another reanalysis may have other shards."""
    return path / table / f"part-{shard:05d}.parquet"


def _listed(values: str | Iterable[str]) -> list[str]:
    return [values] if isinstance(values, str) else list(values)


def _measure_shard(
    run: RunReader, record: ShardRecord, parser: str | Language | None, **options: Any
) -> dict[str, list[pa.Table]]:
    """Return the tables of a shard, each in parts."""
    tables: dict[str, list[pa.Table]] = {table: [] for table in _TABLES}
    for batch in _batches(run.shard_maps(record)):
        numbers = [number for number, _ in batch]
        maps = [each for _, each in batch]
        if parser is not None:
            maps = _parsed_again(maps, parser)
        for table, frame in measure_images(maps, numbers, **options):
            tables[table].append(from_frame(frame, table))
    return tables


def _batches(maps: Iterator[tuple[int, HeatMaps]]) -> Iterator[list[tuple[int, HeatMaps]]]:
    while batch := list(islice(maps, _AT_ONCE)):
        yield batch


def _first_parses(run: RunReader) -> list[Sentence]:
    """Return the parse of the first prompt, which has the schemes of all, unless nothing was drawn yet."""
    return [maps.sentence for maps in islice(run.maps(), 1)]


def _parsed_again(maps: Sequence[HeatMaps], parser: str | Language) -> list[HeatMaps]:
    texts = list(dict.fromkeys(each.prompt for each in maps))
    sentences = dict(zip(texts, parse_many(texts, parser), strict=True))
    return [
        each
        if each.sentence == sentences[each.prompt]
        else each.with_sentence(sentences[each.prompt])
        for each in maps
    ]


def _write(parts: list[pa.Table], table: str, path: Path) -> None:
    """Write the rows of a shard; a shard without rows has the usual columns."""
    rows = (
        pa.concat_tables(parts) if parts else with_identity(schema_of(table), table).empty_table()
    )
    with whole_file(path) as partial:
        pq.write_table(rows, partial, compression="zstd")
