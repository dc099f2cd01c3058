"""Drawing a corpus: many prompts times several seeds, taken up wherever it was interrupted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from daam_syntax.attention.text_limits import Overflow
from daam_syntax.drawing.traced_images import DrawingSettings
from daam_syntax.errors import ModelError, PromptError
from daam_syntax.language import PromptSet, check_schemes, parse_many
from daam_syntax.maps import parse_threshold
from daam_syntax.pipelines.loading import EMOJI, load_pipeline
from daam_syntax.runs.drawing import cluster as clusters
from daam_syntax.runs.drawing.drawing_shards import ShardDrawer
from daam_syntax.runs.drawing.preparing import prepare
from daam_syntax.runs.drawing.prompt_reading import gather, measurable
from daam_syntax.runs.drawing.sessions import Draw, Drawn, Session
from daam_syntax.runs.problems import Problem
from daam_syntax.runs.run_settings import RunSettings
from daam_syntax.runs.store.run_folder import RunFolder
from daam_syntax.runs.store.shards import Plan
from daam_syntax.runs.stored_run import Run

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline
    from spacy.language import Language


def run(
    prompts: str | Path | PromptSet | Iterable[str],
    out: str | Path,
    pipe: DiffusionPipeline | str | Path = EMOJI,
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
    """Draw every prompt with every seed, and keep maps, tables, pictures and provenance in a folder.

    Killed at any moment, it goes on where it was when it is called again with the same arguments: finished shards
    are kept if their checksums are right, all others are drawn again, and no row is lost or doubled. The division
    into batches is frozen when the run begins, so that the result is that of an undisturbed run.

    Parameters
    ----------
    prompts
        A file (see `PromptSet.from_file`), a set or its name in the package, or the prompts themselves. Rows of a
        file or a list that cannot be used are left out, and stand in the table of problems.
    out
        The folder, see `daam_syntax.runs.store.run_folder`.
    pipe
        A pipeline, or what `load_pipeline` takes.
    revision, device, dtype
        See `load_pipeline`.
    seeds
        Images per prompt; every prompt has seeds of its own.
    steps, guidance, height, width
        How to draw; None leaves it to the pipeline.
    threshold
        Rule, or rules, that make masks of maps.
    schemes
        Whose dependency edges are measured; those of `measure_pairs` if None.
    parser
        Name, folder or object of a spaCy pipeline; the small English one if None.
    map_size
        Longest side of the stored maps; the recording's own grid if None. Tables are measured on the stored maps, so
        that they can be made again.
    keep_images
        Whether to store the pictures.
    batch_size
        Images drawn together; None finds out how many a GPU has memory for (on a CPU 4, of the embedded model 16).
    shard_size
        Images finished as a whole: what a killed run loses at most.
    retry_failed
        Whether to draw shards with failed images again; else they stay as they are.
    cluster
        Where to draw: None in this process; "local", "slurm" or the address of a Dask scheduler, see
        `daam_syntax.runs.drawing.cluster`. Workers load the model themselves, and must see the folder under the same path.
    workers
        How many workers of a cluster; None: one for each GPU of this machine, or one job.
    progress
        Whether to show progress on stderr.

    Returns
    -------
    Run
        What is there now; its `problems` say what went wrong, and `is_complete` whether shards are missing.

    Raises
    ------
    DaamSyntaxError
        For bad input, for a folder that holds another run or is being written by another process, and where every
        prompt fails.
    """
    chosen = gather(prompts)
    if seeds < 1:
        raise PromptError(f"Expected at least one seed, but got {seeds}.")
    thresholds = [threshold] if isinstance(threshold, str) else list(threshold)
    chosen, sentences, left_out = measurable(chosen, parse_many(chosen, parser))
    wanted_schemes = check_schemes(schemes, sentences)
    drawing = DrawingSettings(steps, guidance, height, width)
    folder = RunFolder(out)
    with folder.locked(), ExitStack() as stack:
        batch_size = batch_size or _frozen_batch_size(folder)
        if cluster is None:
            if isinstance(pipe, str | Path):
                pipe = load_pipeline(pipe, revision=revision, device=device, dtype=dtype)
                pipe.set_progress_bar_config(disable=True)  # one bar is enough: that of all images
            prepared = prepare(pipe, drawing, sentences, revision, batch_size)
        else:
            source = _source(pipe, revision, device, dtype)
            client = stack.enter_context(clusters.open_client(cluster, workers))
            prepared = clusters.prepare_there(client, source, drawing, sentences, batch_size)
        settings = RunSettings(
            drawing=prepared.drawing,
            model=prepared.model,
            parser=sentences[0].parser,
            thresholds=tuple(str(parse_threshold(rule)) for rule in thresholds),
            schemes=wanted_schemes,
            map_size=map_size,
            keep_images=keep_images,
        )
        plan = Plan.of(len(sentences), seeds, prepared.batch_size, shard_size)
        folder.start(settings.as_dict(), plan, chosen, sentences)
        problems = [*map(Problem.of_row, chosen.problems), *left_out, *prepared.problems()]
        session = Session(folder, problems, prepared.limits)
        if progress and prepared.overflow:
            _say_overflow(prepared.overflow)
        draw: Draw
        if cluster is None:
            drawer = ShardDrawer(pipe, settings, plan, sentences)
            draw = partial(_draw_here, folder, drawer)
        else:
            draw = partial(
                clusters.draw_there, client, source, folder, session.number, session.note
            )
        session.draw(draw, progress, retry_failed=retry_failed)
    return Run(out)


def _say_overflow(overflow: Sequence[Overflow]) -> None:
    """Say on stderr, before anything is drawn, that prompts are too long."""
    n = len({found.prompt for found in overflow})
    first = overflow[0]
    print(
        f"{n:,} of the prompts are longer than the text encoder reads; the words left over have no map. "
        f"The first, {first.prompt[:60]!r}, has {first}",
        file=sys.stderr,
    )


def _source(
    pipe: DiffusionPipeline | str | Path,
    revision: str | None,
    device: str | None,
    dtype: str | None,
) -> clusters.ModelSource:
    """Say where the workers of a cluster find the model."""
    if not isinstance(pipe, str | Path):
        raise ModelError(
            "Expected the name or folder of a model, which every worker of a cluster loads itself, but got a "
            f"{type(pipe).__name__}."
        )
    # A folder must be found from wherever a worker runs.
    here = Path(pipe).resolve() if Path(pipe).is_dir() else pipe
    return clusters.ModelSource(str(here), revision, device, dtype)


def _frozen_batch_size(folder: RunFolder) -> int | None:
    """Return the batch size of a run that has begun."""
    return folder.plan.batch_size if folder.is_run() and folder.has_shards() else None


def _draw_here(
    folder: RunFolder, drawer: ShardDrawer, shards: Sequence[int], advance: Callable[[int], None]
) -> Iterator[Drawn]:
    """Draw shards one after the other in this process."""
    for shard in shards:
        work = folder.new_work()
        try:
            yield Drawn(shard, work, drawer.draw(shard, work, advance))
        except OSError as error:
            yield Drawn(shard, work, error)
