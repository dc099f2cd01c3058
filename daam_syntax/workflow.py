"""Draw prompts, measure them, and write tables, figures and pages, all in one call."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pandas as pd

from daam_syntax.analysis import measure_tables, summarize
from daam_syntax.analysis.relations.displayed_summary import Summary
from daam_syntax.drawing.traced_images import draw_batch
from daam_syntax.errors import FileError, ModelError
from daam_syntax.language import PromptSet, check_schemes
from daam_syntax.maps import HeatMaps, WordAttention, parse_threshold
from daam_syntax.pipelines.loading import DEFAULT_MODEL
from daam_syntax.pipelines.settings import DrawingSettings
from daam_syntax.pipelines.vocabulary import warn_of_untrained_words
from daam_syntax.runs.arguments import check_seeds, count_of
from daam_syntax.runs.drawing.parses import Parses
from daam_syntax.runs.drawing.prompt_reading import Given, given_prompts
from daam_syntax.runs.drawing.starting import ReadPrompts, RunOptions, draw_locked
from daam_syntax.runs.drawing.worker_tasks import ModelSource
from daam_syntax.runs.reanalysis import Reanalysis
from daam_syntax.runs.store.run_folder import RunFolder
from daam_syntax.runs.store.shards import ShardPlan
from daam_syntax.runs.store.tables.prompt_metadata import with_prompt_columns
from daam_syntax.runs.stored_run import Run
from daam_syntax.runs.views import TABLES, export_images, stored_images, write_views
from daam_syntax.util.arguments.checks import OWN, checked
from daam_syntax.util.progress import show_progress
from daam_syntax.util.wording import plural

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline
    from PIL.Image import Image
    from spacy.language import Language

_LARGEST_BATCH: Final = 8


@dataclass(frozen=True, repr=False, eq=False)
class Analysis:
    """The result of `analyze`.

    Attributes
    ----------
    images
        The images: all seeds of the first prompt, then those of the second, and so on.
    maps
        Their heat maps, in the same order.
    pairs
        One row per image and pair, see `daam_syntax.analysis.PAIR_COLUMNS`.
    words
        One row per image and token of the parse, including words without a map.
    summary
        One row per relation, the control first.
    attention
        For each image, the attention between its words in each of `relations` and each text encoder.
    """

    images: Sequence[Image]
    maps: Sequence[HeatMaps]
    pairs: pd.DataFrame
    words: pd.DataFrame
    summary: pd.DataFrame
    attention: Sequence[Sequence[WordAttention]] = ()

    def __repr__(self) -> str:
        n_prompts = len({maps.prompt for maps in self.maps})
        n_pairs = int((self.pairs["kind"] == "dependency").sum())
        return (
            f"Analysis({plural(n_prompts, 'prompt')}, {plural(len(self.images), 'image')}, "
            f"{plural(n_pairs, 'dependency pair')}, {plural(len(self.pairs) - n_pairs, 'unrelated pair')}, "
            f"{plural(len(self.words), 'word')})"
        )

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>{_as_page(self.summary)}"


def _as_page(summary: pd.DataFrame) -> str:
    return summary.to_page() if isinstance(summary, Summary) else summary.to_html()


@checked(prompts=OWN, seeds=OWN, steps=OWN, guidance=OWN, height=OWN, width=OWN)
def analyze(
    prompts: str | PromptSet | Given | Iterable[Given],
    pipe: DiffusionPipeline | str | Path = DEFAULT_MODEL,
    *,
    revision: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    seeds: int | Sequence[int] = 1,
    steps: int | None = None,
    guidance: float | None = None,
    height: int | None = None,
    width: int | None = None,
    threshold: str = "relative:0.4",
    schemes: str | Sequence[str] = ("ud",),
    parser: str | Language | None = None,
    relations: Sequence[str] | str = (),
    relation_axes: Sequence[str] | str = (),
    out: str | Path | None = None,
    overwrite: bool = False,
    overviews: bool = True,
    progress: bool = False,
) -> Analysis:
    """Draw prompts, record the map of every word, and measure every pair of head and dependent.

    Parameters
    ----------
    prompts
        One prompt, or several different ones: texts, sentences, spaCy Docs or Spans, CoNLL-U (files, or its text); or a
        set or list of prompts with columns, which come along in the tables. Given parses are used as they are; names of
        sentences in CoNLL-U (``# sent_id``) are the ids of their prompts.
    pipe
        A pipeline, or a name or folder for `load_pipeline`.
    revision, device, dtype
        See `load_pipeline`; refused if `pipe` is a pipeline, which is loaded already.
    seeds
        Number of images per prompt, or a list of seeds. The same seed gives different noise for different prompts.
    steps, guidance, height, width
        Settings of the pipeline calls. None leaves a setting to the pipeline (the embedded model: 20 steps, guidance
        4).
    threshold
        Rule that turns a map into a mask: "relative:0.4" (times the map's maximum) or "absolute:0.15" (mean attention
        probability).
    schemes
        Dependency schemes whose edges are measured, one or several: "ud" (Universal Dependencies), "enhanced" (their
        enhanced graph), "native" (the parser's own labels).
    parser
        Name, folder or object of a spaCy pipeline; the small English one if None.
    relations
        Relations of attention between words to record, too, averaged over steps: "encoder" (each text encoder),
        "text-text" (joint attention), "refiner" (blocks of the denoiser that read text alone), or several.
    relation_axes
        Axes that the relations keep, "layer", "head", or both; they are averaged over the others.
    out
        Folder in which to store everything: a run (see `daam_syntax.runs.store.run_folder`), and tables, images, and
        pages to look at (see `daam_syntax.runs.views`). An interrupted analysis is resumed, and a finished one is read.
    overwrite
        Whether to replace another analysis in that folder.
    overviews
        Whether to draw an overview figure of each image into the folder.
    progress
        Whether to show a progress bar.

    Returns
    -------
    Analysis
        Images, maps and tables.

    Raises
    ------
    DaamSyntaxError
        If the input is unusable; the message says what to do. Images that were drawn before an error are in `out`.
    """
    source = ModelSource(pipe, revision, device, dtype)
    drawing = DrawingSettings(steps, guidance, height, width)
    options = RunOptions(
        seeds=seeds,
        thresholds=[threshold],
        schemes=schemes,
        parser=parser,
        map_dtype="float32",
        relations=relations,
        relation_axes=relation_axes,
        batch_size=_batch_size(seeds),
        shard_size=None,
        retry_failed=True,
        overwrite=overwrite,
        progress=progress,
        keep_rules=True,
    ).checked()
    drawing.check()
    read = partial(given_prompts, prompts)
    if out is None:
        return _in_memory(read, source, drawing, options)
    folder = RunFolder(out)
    drawn = replace(options, on_shard=partial(export_images, folder.path))
    with folder.locked():  # until the views are written, too
        draw_locked(folder, read, source, drawing, drawn)
        return _stored(
            folder, threshold=threshold, schemes=schemes, overviews=overviews, progress=progress
        )


def stored_analysis(
    out: str | Path,
    *,
    threshold: str | None = None,
    schemes: str | Sequence[str] | None = None,
    overviews: bool = True,
    progress: bool = False,
) -> Analysis:
    """Return the analysis in the folder of a run, measured with the given rules, and write its views.

    Parameters
    ----------
    out
        The folder of `analyze` or `run`.
    threshold, schemes
        Rules of the tables; those of the run if None.
    overviews
        Whether to draw an overview figure of each image.
    progress
        Whether to show progress on stderr.

    Raises
    ------
    FileError
        If a file is damaged, or has no images.
    ModelError
        If an image could not be drawn; the others are in the folder.
    """
    Run(out)  # which says that there is no run, before a lock is made there
    folder = RunFolder(out)
    with folder.locked():
        return _stored(
            folder, threshold=threshold, schemes=schemes, overviews=overviews, progress=progress
        )


def _stored(
    folder: RunFolder,
    *,
    threshold: str | None,
    schemes: str | Sequence[str] | None,
    overviews: bool,
    progress: bool,
) -> Analysis:
    """Return the analysis in a folder that the caller has locked; see `stored_analysis`."""
    run = Run(folder.path)
    rule = run.settings.thresholds[0] if threshold is None else str(parse_threshold(threshold))
    wanted = check_schemes(run.settings.schemes if schemes is None else schemes)
    images = stored_images(run)
    if not images:
        raise _no_images(run)
    source: Run | Reanalysis = run
    if run.settings.thresholds != (rule,) or run.settings.schemes != wanted:
        source = run.reanalyze(threshold=rule, schemes=wanted, progress=progress)
    pairs, words = source.pairs(), source.words()
    tables = (pairs, words, summarize(pairs, by="relation"))
    write_views(
        run,
        images,
        dict(zip(TABLES, tables, strict=True)),
        threshold=rule,
        schemes=wanted,
        overviews=overviews,
    )
    _refuse_failures(run)
    attention = [each.attention for each in images]
    return Analysis(
        [each.image for each in images], [each.maps for each in images], *tables, attention
    )


def _no_images(run: Run) -> FileError | ModelError:
    failed = sum(record.n_failed for record in run.records)
    if failed:
        return _failure(run, failed)
    return FileError(
        f"Expected stored images in {run.path}, but there are none: run the same command again to draw them, with "
        "images (`run` without --no-images)."
    )


def _refuse_failures(run: Run) -> None:
    failed = sum(record.n_failed for record in run.records)
    if failed:
        raise _failure(run, failed)


def _failure(run: Run, n_failed: int) -> ModelError:
    rows = run.images()
    first = rows[rows["status"] == "failed"].iloc[0]
    return ModelError(
        f"Expected to draw {run.plan.n_images} images, but {n_failed} failed; the first is {first['prompt'][:80]!r}, "
        f"seed {first['seed']}: {first['reason'].rstrip('.')}. The others are in {run.path}; the same command draws "
        "those that failed again."
    )


def _batch_size(seeds: object) -> int:
    """Return how many images are drawn together: the seeds of a prompt, at most 8."""
    return min(_LARGEST_BATCH, count_of(check_seeds(seeds)))


def _in_memory(
    read: ReadPrompts,
    source: ModelSource,
    drawing: DrawingSettings,
    options: RunOptions,
) -> Analysis:
    """Draw and measure without a folder, in the same batches."""
    prompts, given = read()
    parses = Parses(prompts, options.parser, given)
    sentences = parses.of(range(len(prompts)))
    schemes = check_schemes(options.schemes, sentences)
    pipe = source.load()
    warn_of_untrained_words(pipe, prompts.texts)  # of all at once, before anything is drawn
    settings = drawing.for_pipeline(pipe)
    seeds = check_seeds(options.seeds)
    plan = ShardPlan.of(len(prompts), seeds, options.batch_size or 1, options.shard_size or 1)
    images: list[Image] = []
    maps: list[HeatMaps] = []
    attention: list[Sequence[WordAttention]] = []
    with show_progress(options.progress, plan.n_images) as bar:
        for shard in range(plan.n_shards):
            for batch in plan.batches(shard):
                items = [(sentences[each.prompt], each.seed) for each in batch]
                drawn = draw_batch(items, pipe, settings, options.relations, options.relation_axes)
                for each, traced in zip(batch, drawn, strict=True):
                    name = prompts.rows[each.prompt].id
                    images.append(traced.image)
                    maps.append(traced.maps.with_provenance(prompt_id=name))
                    attention.append(
                        [each.with_provenance(prompt_id=name) for each in traced.attention]
                    )
                    bar.advance()
    pairs, words = measure_tables(maps, schemes=schemes, threshold=options.thresholds[0])
    summary = summarize(pairs, by="relation")
    pairs, words = (with_prompt_columns(table, prompts) for table in (pairs, words))
    return Analysis(images, maps, pairs, words, summary, attention)
