"""Draw many prompts with several seeds each into a folder, and resume an interrupted run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from daam_syntax.language import PromptSet
from daam_syntax.pipelines.loading import DEFAULT_MODEL
from daam_syntax.pipelines.settings import DrawingSettings
from daam_syntax.runs.arguments import check_whole
from daam_syntax.runs.drawing.prompt_reading import Given, read_prompts
from daam_syntax.runs.drawing.starting import RunOptions, draw_run
from daam_syntax.runs.drawing.worker_tasks import ModelSource
from daam_syntax.runs.stored_run import Run
from daam_syntax.util.arguments.checks import OWN, checked

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline
    from spacy.language import Language


@checked(
    prompts=OWN,
    seeds=OWN,
    steps=OWN,
    guidance=OWN,
    height=OWN,
    width=OWN,
    map_size=OWN,
    batch_size=OWN,
    shard_size=OWN,
    workers=OWN,
)
def run(
    prompts: str | Path | PromptSet | Given | Iterable[Given],
    out: str | Path,
    pipe: DiffusionPipeline | str | Path = DEFAULT_MODEL,
    *,
    revision: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    format: str | None = None,
    seeds: int | Sequence[int] = 1,
    steps: int | None = None,
    guidance: float | None = None,
    height: int | None = None,
    width: int | None = None,
    threshold: str | Sequence[str] = "relative:0.4",
    schemes: str | Sequence[str] = ("ud",),
    parser: str | Language | None = None,
    map_size: int | None = None,
    keep_images: bool = True,
    relations: Sequence[str] | str = (),
    relation_axes: Sequence[str] | str = (),
    batch_size: int | None = None,
    shard_size: int = 64,
    retry_failed: bool = False,
    overwrite: bool = False,
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
        A file (see `PromptSet.from_file`), also of CoNLL-U; a set of prompts, or the name of a set of the package; or a
        list of texts, sentences, spaCy Docs and Spans, and files of CoNLL-U. Rows that cannot be used are left out, and
        are listed in the table of problems. Parses that are given are used as they are.
    out
        The folder, see `daam_syntax.runs.store.run_folder`.
    pipe
        A pipeline, or a name or folder for `load_pipeline`.
    revision, device, dtype
        See `load_pipeline`; refused if `pipe` is a pipeline, which is loaded already.
    format
        Format of the file of prompts; inferred from its name if None.
    seeds
        Number of images per prompt, or a list of seeds. The same seed gives different noise for different prompts.
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
    relations
        Relations of attention between words to store, too, averaged over steps: "encoder" (each text encoder),
        "text-text" (joint attention), "refiner" (blocks of the denoiser that read text alone), or several; see
        `Run.word_attention`.
    relation_axes
        Axes that the relations keep, "layer", "head", or both; they are averaged over the others. Their size is
        multiplied by the number of layers and heads, see `plan`.
    batch_size
        Images to draw together. If None, as many as fit into the memory of the GPU; on a CPU 4.
    shard_size
        Images of a shard. A run that is killed loses at most one shard per worker.
    retry_failed
        Whether to draw shards with failed images again.
    overwrite
        Whether to replace another run in that folder.
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
    source = ModelSource(pipe, revision, device, dtype)
    draw_run(
        partial(read_prompts, prompts, format),
        out,
        source,
        DrawingSettings(steps, guidance, height, width),
        RunOptions(
            seeds=seeds,
            thresholds=(threshold,) if isinstance(threshold, str) else tuple(threshold),
            schemes=schemes,
            parser=parser,
            map_size=map_size,
            keep_images=keep_images,
            relations=relations,
            relation_axes=relation_axes,
            batch_size=batch_size,
            shard_size=check_whole("shard_size", shard_size),
            retry_failed=retry_failed,
            overwrite=overwrite,
            cluster=cluster,
            workers=workers,
            progress=progress,
        ),
    )
    return Run(out)
