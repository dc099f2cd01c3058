"""Start or resume a run: lock its folder, check prompts and options, and draw the missing images."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from daam_syntax.attention.prompt_overflow import Overflow
from daam_syntax.language import PromptSet, Sentence, check_schemes
from daam_syntax.maps import parse_threshold
from daam_syntax.pipelines.settings import DrawingSettings
from daam_syntax.pipelines.vocabulary import warn_of_untrained_words
from daam_syntax.runs.arguments import (
    check_optional,
    check_relation_axes,
    check_seeds,
    check_stored_relations,
    count_of,
)
from daam_syntax.runs.drawing import cluster as clusters
from daam_syntax.runs.drawing.parses import Parses
from daam_syntax.runs.drawing.preparing import PreparedModel, prepare
from daam_syntax.runs.drawing.prompt_reading import leave_out_long_prompts
from daam_syntax.runs.drawing.sessions import DrawnShard, DrawShards, Session
from daam_syntax.runs.drawing.shard_drawer import ShardDrawer
from daam_syntax.runs.drawing.worker_tasks import ModelSource
from daam_syntax.runs.problems import Problem
from daam_syntax.runs.run_settings import RunSettings
from daam_syntax.runs.store.manifest import DamagedManifestError
from daam_syntax.runs.store.records import ShardRecord
from daam_syntax.runs.store.run_folder import RunFolder, Wanted
from daam_syntax.runs.store.shard_store import Planned
from daam_syntax.runs.store.shards import ShardPlan

if TYPE_CHECKING:
    from spacy.language import Language

_MOST_SHARDS: Final = 100

ReadPrompts = Callable[[], tuple[PromptSet, Mapping[str, Sentence]]]
"""Function that reads the prompts, and parses that were given with them."""


@dataclass(frozen=True)
class RunOptions:
    """Options of `run` except prompts, model, and drawing settings; and some that only `analyze` needs.

    Attributes
    ----------
    shard_size
        Images of a shard; if None, one batch, or as many as make about a hundred shards.
    map_dtype
        Number format of the stored maps.
    keep_rules
        Whether a run that is resumed keeps its threshold rules and schemes; others are applied to its stored maps.
    on_shard
        Called with the record of each shard when it is in its place.
    """

    seeds: int | Sequence[int] = 1
    thresholds: Sequence[str] = ("relative:0.4",)
    schemes: str | Sequence[str] = ("ud",)
    parser: str | Language | None = None
    map_size: int | None = None
    map_dtype: str = "float16"
    relations: Sequence[str] | str = ()
    relation_axes: Sequence[str] | str = ()
    keep_images: bool = True
    batch_size: int | None = None
    shard_size: int | None = 64
    retry_failed: bool = False
    overwrite: bool = False
    cluster: str | None = None
    workers: int | None = None
    progress: bool = False
    keep_rules: bool = False
    on_shard: Callable[[ShardRecord], None] = lambda record: None

    def checked(self) -> RunOptions:
        """Return the options in their plain form.

        Raises
        ------
        ValueError
            If one of them is unusable; the message has its name.
        """
        check_schemes(self.schemes)
        return replace(
            self,
            seeds=check_seeds(self.seeds),
            thresholds=tuple(dict.fromkeys(str(parse_threshold(r)) for r in self.thresholds)),
            map_size=check_optional("map_size", self.map_size),
            relations=check_stored_relations(self.relations),
            relation_axes=check_relation_axes(self.relation_axes, self.relations),
            batch_size=check_optional("batch_size", self.batch_size),
            shard_size=check_optional("shard_size", self.shard_size),
            workers=check_optional("workers", self.workers),
        )


def draw_run(
    read: ReadPrompts,
    out: str | Path,
    source: ModelSource,
    drawing: DrawingSettings,
    options: RunOptions,
) -> None:
    """Draw a run, or the images that it lacks; see `daam_syntax.runs.run`."""
    options = options.checked()
    drawing.check()
    folder = RunFolder(out)
    # The lock comes first: a second process must not read and parse all prompts before it is refused.
    with folder.locked():
        draw_locked(folder, read, source, drawing, options)


def draw_locked(
    folder: RunFolder,
    read: ReadPrompts,
    source: ModelSource,
    drawing: DrawingSettings,
    options: RunOptions,
) -> None:
    """Draw a run into a folder that the caller has locked, with checked options; see `draw_run`."""
    clusters.check_main()
    with ExitStack() as stack:
        started = _Start(folder, read, options)
        if options.cluster is None:
            pipe = source.load()
            warn_of_untrained_words(pipe, started.parses.prompts.texts)
            prepared = prepare(
                pipe,
                drawing,
                *started.of_model(),
                source.revision,
                started.batch_size,
                options.relations,
                options.relation_axes,
            )
        else:
            source = source.for_workers()
            client = stack.enter_context(clusters.open_client(options.cluster, options.workers))
            on_workers = clusters.RunOnWorkers(client, source, folder.path.resolve())
            prepared = on_workers.prepare(
                drawing,
                *started.of_model(),
                started.batch_size,
                options.relations,
                options.relation_axes,
            )
        settings, plan, session = started.begin(prepared)
        draw: DrawShards
        if options.cluster is None:
            drawer = ShardDrawer(pipe, settings, plan)
            draw = partial(_draw_here, folder, drawer, session.planned, started.parses)
        else:
            draw = partial(
                on_workers.draw, settings, plan, session.planned, started.parses, session.note
            )
        session.draw(draw, options.progress, retry_failed=options.retry_failed)


class _Start:
    """A run whose prompts and folder were read, but whose model is not loaded yet."""

    def __init__(self, folder: RunFolder, read: ReadPrompts, options: RunOptions) -> None:
        self.folder = folder
        self.options = options
        prompts, given = read()
        prompts, self.left_out = leave_out_long_prompts(prompts, given, options.parser)
        self.parses = Parses(prompts, options.parser, given)
        self.sample = self.parses.sample()
        self.schemes = check_schemes(options.schemes, self.sample)
        self.stored = _stored_manifest(folder)
        self.batch_size = options.batch_size
        if self.batch_size is None and self.stored is not None:
            self.batch_size = ShardPlan.from_dict(self.stored["plan"]).batch_size

    def of_model(self) -> tuple[Sequence[str], Sentence]:
        """Return what the check of a model needs: the texts, and the parse of the longest."""
        return self.parses.prompts.texts, self.parses.longest()

    def begin(self, prepared: PreparedModel) -> tuple[RunSettings, ShardPlan, Session]:
        """Start or resume the run in its folder."""
        options, prompts = self.options, self.parses.prompts
        settings = RunSettings(
            drawing=prepared.settings,
            model=prepared.model,
            parser=self.sample[0].parser,
            thresholds=tuple(options.thresholds),
            schemes=self.schemes,
            map_size=options.map_size,
            keep_images=options.keep_images,
            map_dtype=options.map_dtype,
            relations=tuple(options.relations),
            relation_axes=tuple(options.relation_axes),
        )
        if options.keep_rules and self.stored is not None:
            before = RunSettings.from_dict(self.stored["settings"])
            settings = replace(settings, thresholds=before.thresholds, schemes=before.schemes)
        seeds = check_seeds(options.seeds)
        size = options.shard_size or max(1, len(prompts) * count_of(seeds) // _MOST_SHARDS)
        plan = ShardPlan.of(len(prompts), seeds, prepared.batch_size, size)
        wanted = Wanted(settings.as_dict(), plan, prompts, self.parses.digest(self.sample))
        found = self.folder.start(wanted, overwrite=options.overwrite)
        problems = [*map(Problem.of_row, prompts.problems), *self.left_out, *prepared.problems()]
        if options.progress and prepared.overflow:
            _warn_of_overflow(prepared.overflow)
        session = Session(self.folder, prompts, problems, prepared.limits, found, options.on_shard)
        return settings, plan, session


def _stored_manifest(folder: RunFolder) -> Mapping[str, Any] | None:
    """Return the manifest of a run with finished shards; None if there are none, or the manifest must be restored."""
    try:
        return folder.manifest() if folder.has_shards() else None
    except DamagedManifestError:
        return None


def _warn_of_overflow(overflow: Sequence[Overflow]) -> None:
    """Report on stderr that prompts are too long, before anything is drawn."""
    n = len({found.prompt for found in overflow})
    first = overflow[0]
    print(
        f"{n:,} {'prompt exceeds' if n == 1 else 'prompts exceed'} the text encoder's limit; words past it have no "
        f"map. The first, {first.prompt[:60]!r}, has {first}",
        file=sys.stderr,
    )


def _draw_here(
    folder: RunFolder,
    drawer: ShardDrawer,
    planned: Callable[[int], Planned],
    parses: Parses,
    shards: Sequence[int],
    advance: Callable[[int], None],
) -> Iterator[DrawnShard]:
    """Draw shards one after another in this process."""
    for shard in shards:
        prompts = parses.shard(drawer.plan.prompts(shard))
        work = folder.shards.new_work()
        try:
            record = drawer.draw(planned(shard).stamp, prompts, work, advance)
            yield DrawnShard(shard, work, record)
        except OSError as error:
            yield DrawnShard(shard, work, error)
