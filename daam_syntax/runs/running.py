"""Draw many prompts with several seeds each into a folder, and resume an interrupted run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from daam_syntax.attention.prompt_overflow import Overflow
from daam_syntax.errors import ModelError, PromptError
from daam_syntax.language import PromptSet, check_schemes, parse_many
from daam_syntax.maps import parse_threshold
from daam_syntax.pipelines.loading import DEFAULT_MODEL, load_pipeline
from daam_syntax.pipelines.settings import DrawingSettings
from daam_syntax.runs.drawing import cluster as clusters
from daam_syntax.runs.drawing.preparing import prepare
from daam_syntax.runs.drawing.prompt_reading import leave_out_long_prompts, read_prompts
from daam_syntax.runs.drawing.sessions import DrawnShard, DrawShards, Session
from daam_syntax.runs.drawing.shard_drawer import ShardDrawer
from daam_syntax.runs.problems import Problem
from daam_syntax.runs.run_settings import RunSettings
from daam_syntax.runs.store.run_folder import RunFolder
from daam_syntax.runs.store.shards import ShardPlan
from daam_syntax.runs.stored_run import Run

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline
    from spacy.language import Language


def run(
    prompts: str | Path | PromptSet | Iterable[str],
    out: str | Path,
    pipe: DiffusionPipeline | str | Path = DEFAULT_MODEL,
    *,
    revision: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    seeds: int = 1,
    steps: int | None = None,
    guidance: float | None = None,
    height: int | None = None,
    width: int | None = None,
    threshold: str | Sequence[str] = "relative:0.4",
    schemes: str | Sequence[str] = ("ud",),
    parser: str | Language | None = None,
    map_size: int | None = None,
    keep_images: bool = True,
    batch_size: int | None = None,
    shard_size: int = 64,
    retry_failed: bool = False,
    cluster: str | None = None,
    workers: int | None = None,
    progress: bool = False,
) -> Run:
    """Draw every prompt with every seed, and store maps, tables, images and provenance in a folder.

    A run that was interrupted, even by a crash, resumes when this function is called again with the same arguments.
    Finished shards are kept if their checksums are correct, and the other shards are drawn again; no row is lost or
    duplicated. The division into batches is fixed when the run starts, so the result equals that of a run that was
    never interrupted.

    Parameters
    ----------
    prompts
        A file (see `PromptSet.from_file`), a set of prompts, the name of a set of the package, or a list of prompts.
        Rows that cannot be used are left out, and are listed in the table of problems.
    out
        The folder, see `daam_syntax.runs.store.run_folder`.
    pipe
        A pipeline, or a name or folder for `load_pipeline`.
    revision, device, dtype
        See `load_pipeline`.
    seeds
        Number of images per prompt: a count, not seed numbers. The same seed index gives different noise for different
        prompts.
    steps, guidance, height, width
        Settings of the pipeline calls; None leaves a setting to the pipeline.
    threshold
        Threshold rules that turn maps into masks, one or several.
    schemes
        Dependency schemes whose edges are measured.
    parser
        Name, folder or object of a spaCy pipeline; the small English one if None.
    map_size
        Longest side of the stored maps; None keeps the grid of the recording. Tables are measured on the stored maps,
        so that they can be reproduced.
    keep_images
        Whether to store the images.
    batch_size
        Images to draw together. If None, as many as fit into the memory of the GPU; on a CPU 4, or 16 of the embedded
        model.
    shard_size
        Images of a shard. A run that is killed loses at most one shard per worker.
    retry_failed
        Whether to draw shards with failed images again.
    cluster
        None to draw in this process; or "local", "slurm" or the address of a Dask scheduler, see
        `daam_syntax.runs.drawing.cluster`. Each worker loads the model, and needs access to the folder under the same
        path.
    workers
        Number of workers of a cluster; if None, one per GPU of this machine, or one job.
    progress
        Whether to show progress on stderr.

    Returns
    -------
    Run
        The finished shards. Its `problems` lists failures, and `is_complete` tells whether shards are missing.

    Raises
    ------
    DaamSyntaxError
        If the input is unusable, the folder holds another run or is being written by another process, or every prompt
        fails.
    """
    chosen = read_prompts(prompts)
    if seeds < 1:
        raise PromptError(f"Expected at least one seed, but got {seeds}.")
    thresholds = [threshold] if isinstance(threshold, str) else list(threshold)
    chosen, sentences, left_out = leave_out_long_prompts(chosen, parse_many(chosen, parser))
    wanted_schemes = check_schemes(schemes, sentences)
    drawing_settings = DrawingSettings(steps, guidance, height, width)
    folder = RunFolder(out)
    with folder.locked(), ExitStack() as stack:
        batch_size = batch_size or _frozen_batch_size(folder)
        if cluster is None:
            if isinstance(pipe, str | Path):
                pipe = load_pipeline(pipe, revision=revision, device=device, dtype=dtype)
                pipe.set_progress_bar_config(disable=True)  # the bar of the run is enough
            prepared = prepare(pipe, drawing_settings, sentences, revision, batch_size)
        else:
            source = _source(pipe, revision, device, dtype)
            client = stack.enter_context(clusters.open_client(cluster, workers))
            prepared = clusters.prepare_on_worker(
                client, source, drawing_settings, sentences, batch_size
            )
        settings = RunSettings(
            drawing=prepared.settings,
            model=prepared.model,
            parser=sentences[0].parser,
            thresholds=tuple(str(parse_threshold(rule)) for rule in thresholds),
            schemes=wanted_schemes,
            map_size=map_size,
            keep_images=keep_images,
        )
        plan = ShardPlan.of(len(sentences), seeds, prepared.batch_size, shard_size)
        folder.start(settings.as_dict(), plan, chosen, sentences)
        problems = [*map(Problem.of_row, chosen.problems), *left_out, *prepared.problems()]
        session = Session(folder, problems, prepared.limits)
        if progress and prepared.overflow:
            _warn_of_overflow(prepared.overflow)
        draw: DrawShards
        if cluster is None:
            drawer = ShardDrawer(pipe, settings, plan, sentences)
            draw = partial(_draw_here, folder, drawer)
        else:
            draw = partial(
                clusters.draw_on_workers, client, source, folder, session.number, session.note
            )
        session.draw(draw, progress, retry_failed=retry_failed)
    return Run(out)


def _warn_of_overflow(overflow: Sequence[Overflow]) -> None:
    """Report on stderr that prompts are too long, before anything is drawn."""
    n = len({found.prompt for found in overflow})
    first = overflow[0]
    print(
        f"{n:,} {'prompt exceeds' if n == 1 else 'prompts exceed'} the text encoder's limit; words past it have no "
        f"map. The first, {first.prompt[:60]!r}, has {first}",
        file=sys.stderr,
    )


def _source(
    pipe: DiffusionPipeline | str | Path,
    revision: str | None,
    device: str | None,
    dtype: str | None,
) -> clusters.ModelSource:
    """Return the source from which the workers of a cluster load the model."""
    if not isinstance(pipe, str | Path):
        raise ModelError(
            f"Expected the name or folder of a model, but got a {type(pipe).__name__}: every worker of a cluster "
            "loads the model itself, so pass what `load_pipeline` takes."
        )
    # Absolute, because workers run in other working directories.
    here = Path(pipe).resolve() if Path(pipe).is_dir() else pipe
    return clusters.ModelSource(str(here), revision, device, dtype)


def _frozen_batch_size(folder: RunFolder) -> int | None:
    """Return the batch size of a run that has finished shards, else None."""
    return folder.plan.batch_size if folder.is_run() and folder.has_shards() else None


def _draw_here(
    folder: RunFolder, drawer: ShardDrawer, shards: Sequence[int], advance: Callable[[int], None]
) -> Iterator[DrawnShard]:
    """Draw shards one after another in this process."""
    for shard in shards:
        work = folder.new_work()
        try:
            yield DrawnShard(shard, work, drawer.draw(shard, work, advance))
        except OSError as error:
            yield DrawnShard(shard, work, error)
