"""Draw shards on several processes or machines with Dask, with one model and at most one GPU per worker.

Workers write into the work folder of the run, which all machines must be able to access. Only the process that holds
the run's lock moves finished files to their final places. If a worker dies, its shard is given to another one.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from daam_syntax.errors import DaamSyntaxError, ModelError
from daam_syntax.language import Sentence
from daam_syntax.pipelines.identity import identify_on_device
from daam_syntax.pipelines.loading import load_pipeline
from daam_syntax.pipelines.settings import DrawingSettings
from daam_syntax.runs.drawing.preparing import PreparedModel, prepare
from daam_syntax.runs.drawing.sessions import DrawnShard
from daam_syntax.runs.drawing.shard_drawer import ShardDrawer, is_fatal
from daam_syntax.runs.problems import Problem
from daam_syntax.runs.run_settings import RunSettings
from daam_syntax.runs.store.run_folder import RunFolder

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline
    from distributed import Client

_INSTALL: Final = 'install it with `pip install "daam-syntax[cluster]"`'


@dataclass(frozen=True)
class ModelSource:
    """The arguments with which every worker calls `load_pipeline`."""

    model: str
    revision: str | None
    device: str | None
    dtype: str | None = None


# -- the cluster -------------------------------------------------------------------------------------------------


@contextmanager
def open_client(
    cluster: str, workers: int | None = None, gpus: Sequence[str] | None = None
) -> Iterator[Client]:
    """Connect to a cluster.

    Parameters
    ----------
    cluster
        "local" starts worker processes on this machine; "slurm" submits jobs as configured in the file of
        dask-jobqueue; anything else is the address of a Dask scheduler.
    workers
        Number of workers; if None, one per GPU ("local") or one job ("slurm"). Ignored for an address, whose scheduler
        has its own workers.
    gpus
        GPUs of this machine, as named in CUDA_VISIBLE_DEVICES; detected if None.

    Raises
    ------
    DaamSyntaxError
        If Dask is not installed, or the cluster cannot be reached.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise DaamSyntaxError(f"Expected Dask for cluster={cluster!r}; {_INSTALL}.") from error
    with ExitStack() as stack:
        try:
            if cluster == "local":
                target: Any = stack.enter_context(_local_cluster(workers, gpus))
            elif cluster == "slurm":
                target = stack.enter_context(slurm_cluster(workers or 1))
            else:
                target = cluster
            client = stack.enter_context(Client(target))
        except (OSError, ValueError) as error:
            raise DaamSyntaxError(
                f'Expected "local", "slurm" or the address of a reachable Dask scheduler, but '
                f"{cluster!r} failed: {error}"
            ) from error
        yield client


def _local_cluster(workers: int | None, gpus: Sequence[str] | None) -> Any:
    """Start worker processes with one thread each, and distribute the GPUs among them."""
    from distributed import Nanny, Scheduler, SpecCluster

    found = visible_gpus() if gpus is None else list(gpus)
    n_workers = workers or max(1, len(found))
    specs = {}
    for number in range(n_workers):
        pinned = {"CUDA_VISIBLE_DEVICES": found[number % len(found)]} if found else {}
        options = {
            "nthreads": 1,
            "env": pinned,
            "memory_limit": 0,  # Dask does not manage the memory of the model
            "silence_logs": logging.WARNING,
        }
        specs[number] = {"cls": Nanny, "options": options}
    quiet = {"host": "127.0.0.1", "dashboard": False, "dashboard_address": ":0"}
    scheduler = {"cls": Scheduler, "options": quiet}
    return SpecCluster(
        workers=specs, scheduler=scheduler, name="daam-syntax", silence_logs=logging.WARNING
    )


def slurm_cluster(jobs: int) -> Any:
    """Submit jobs with one worker process of one thread each, as configured in the file of dask-jobqueue.

    Cores, memory, time, partition and the GPU (``job-extra-directives: ["--gres=gpu:1"]``) are set in
    ``~/.config/dask/jobqueue.yaml`` under ``jobqueue: slurm:``. Jobs that end are submitted again.
    """
    try:
        import dask
        import dask_jobqueue
    except ImportError as error:
        raise DaamSyntaxError(f'Expected dask-jobqueue for cluster="slurm"; {_INSTALL}.') from error
    cores = dask.config.get("jobqueue.slurm.cores", None)
    if not cores or not dask.config.get("jobqueue.slurm.memory", None):
        raise DaamSyntaxError(
            "Expected cores and memory of a SLURM job under `jobqueue: slurm:` in ~/.config/dask/jobqueue.yaml, but "
            "they are not set; see https://jobqueue.dask.org."
        )
    cluster = dask_jobqueue.SLURMCluster(cores=1, processes=1, job_cpu=cores)
    cluster.adapt(minimum_jobs=jobs, maximum_jobs=jobs)
    return cluster


def visible_gpus() -> list[str]:
    """Return the GPUs of this machine, as named in CUDA_VISIBLE_DEVICES."""
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    return [str(number) for number in range(torch.cuda.device_count())]


# -- on a worker -------------------------------------------------------------------------------------------------


@cache
def _pipeline(source: ModelSource) -> DiffusionPipeline:
    """Load the model, once per worker."""
    pipe = load_pipeline(
        source.model, revision=source.revision, device=source.device, dtype=source.dtype
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


@cache
def _drawer(source: ModelSource, folder: Path, session: int) -> ShardDrawer:
    """Return the drawer of a run's shards, made once per worker and session."""
    run = RunFolder(folder)
    settings = RunSettings.from_dict(run.manifest()["settings"])
    pipe = _pipeline(source)
    here = identify_on_device(pipe, source.revision)
    if here != settings.model:
        raise ModelError(
            f"Expected the model with which the run started, {dict(settings.model)}, but this worker has {here}; "
            "give all workers the same model and kind of device, or start another run."
        )
    return ShardDrawer(pipe, settings, run.plan, run.sentences())


def _prepare(
    source: ModelSource,
    settings: DrawingSettings,
    sentences: Sequence[Sentence],
    batch_size: int | None,
) -> PreparedModel:
    return prepare(_pipeline(source), settings, sentences, source.revision, batch_size)


def _draw(source: ModelSource, folder: Path, session: int, shard: int) -> DrawnShard:
    """Draw a shard into a work folder."""
    drawer = _drawer(source, folder, session)
    work = RunFolder(folder).new_work()
    try:
        return DrawnShard(shard, work, drawer.draw(shard, work))
    except OSError as error:
        return DrawnShard(shard, work, error)
    except Exception as error:
        if is_fatal(error):
            # This process can no longer use its GPU; Dask starts another one and gives it the shard.
            os._exit(1)
        raise


# -- where the run was started ----------------------------------------------------------------------------------


def prepare_on_worker(
    client: Client,
    source: ModelSource,
    settings: DrawingSettings,
    sentences: Sequence[Sentence],
    batch_size: int | None,
) -> PreparedModel:
    """Let a worker identify its model, and choose the batch size if it is None."""
    task = client.submit(_prepare, source, settings, sentences, batch_size, pure=False)
    with _scheduler_errors():
        return task.result()


@contextmanager
def _scheduler_errors() -> Iterator[None]:
    """Explain the error that Dask raises if the scheduler lost a task."""
    from distributed import CancelledError

    try:
        yield
    except CancelledError as error:
        raise DaamSyntaxError(
            f"Expected the Dask scheduler to keep running, but it stopped: {' '.join(str(error).split())} Finished "
            "shards are kept; start a scheduler, and run the same command again."
        ) from error


def draw_on_workers(
    client: Client,
    source: ModelSource,
    folder: RunFolder,
    session: int,
    note: Callable[[Problem], None],
    shards: Sequence[int],
    advance: Callable[[int], None],
) -> Iterator[DrawnShard]:
    """Let workers draw shards, and yield each as soon as it is finished.

    A shard whose workers died repeatedly (``distributed.scheduler.allowed-failures``) is skipped and noted.

    Raises
    ------
    DaamSyntaxError
        If the scheduler stopped.
    """
    from distributed import KilledWorker, as_completed

    plan = folder.plan
    path = folder.path.resolve()
    tasks = {
        client.submit(_draw, source, path, session, shard, pure=False): shard for shard in shards
    }
    try:
        for task in as_completed(tasks):
            shard = tasks[task]
            try:
                with _scheduler_errors():
                    drawn = task.result()
            except KilledWorker as error:
                note(
                    Problem(
                        "draw",
                        "workers died",
                        " ".join(str(error).split()),
                        "The shard is missing; run the same command again to draw it.",
                        shard,
                    )
                )
            else:
                yield drawn
            advance(plan.size(shard))
    finally:
        client.cancel(list(tasks))
