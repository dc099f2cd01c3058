"""Drawing shards on several processes or machines through Dask: one model per worker, one GPU per worker.

Workers write into the work folder of the run, which all machines must see; only the process that holds the run's lock
moves finished files to their places. A shard whose worker dies is given to another one.
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

from daam_syntax.drawing.traced_images import DrawingSettings
from daam_syntax.errors import DaamSyntaxError, ModelError
from daam_syntax.language import Sentence
from daam_syntax.pipelines.loading import load_pipeline
from daam_syntax.runs.drawing.drawing_shards import ShardDrawer, is_fatal
from daam_syntax.runs.drawing.preparing import Prepared, prepare
from daam_syntax.runs.drawing.sessions import Drawn
from daam_syntax.runs.problems import Problem
from daam_syntax.runs.run_settings import RunSettings, describe_model
from daam_syntax.runs.store.run_folder import RunFolder

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline
    from distributed import Client

_INSTALL: Final = 'install it with `pip install "daam-syntax[cluster]"`'


@dataclass(frozen=True)
class ModelSource:
    """Where every worker loads the model from; the parameters of `load_pipeline`."""

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
        "local" starts worker processes on this machine; "slurm" submits jobs as dask-jobqueue's own configuration
        file says; anything else is the address of a Dask scheduler.
    workers
        How many; None: one for each GPU ("local") or one job ("slurm"). The scheduler's own if it is an address.
    gpus
        The GPUs of this machine, as CUDA_VISIBLE_DEVICES names them; None finds out.

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
                place: Any = stack.enter_context(_local_cluster(workers, gpus))
            elif cluster == "slurm":
                place = stack.enter_context(slurm_cluster(workers or 1))
            else:
                place = cluster
            client = stack.enter_context(Client(place))
        except (OSError, ValueError) as error:
            raise DaamSyntaxError(
                f'Expected "local", "slurm" or the address of a Dask scheduler that can be reached, but '
                f"{cluster!r} failed: {error}"
            ) from error
        yield client


def _local_cluster(workers: int | None, gpus: Sequence[str] | None) -> Any:
    """Start worker processes with one thread each; GPUs are dealt out among them."""
    from distributed import Nanny, Scheduler, SpecCluster

    found = visible_gpus() if gpus is None else list(gpus)
    n_workers = workers or max(1, len(found))
    specs = {}
    for number in range(n_workers):
        pinned = {"CUDA_VISIBLE_DEVICES": found[number % len(found)]} if found else {}
        options = {
            "nthreads": 1,
            "env": pinned,
            "memory_limit": 0,  # the model is not Dask's to manage
            "silence_logs": logging.WARNING,
        }
        specs[number] = {"cls": Nanny, "options": options}
    quiet = {"host": "127.0.0.1", "dashboard": False, "dashboard_address": ":0"}
    scheduler = {"cls": Scheduler, "options": quiet}
    return SpecCluster(
        workers=specs, scheduler=scheduler, name="daam-syntax", silence_logs=logging.WARNING
    )


def slurm_cluster(jobs: int) -> Any:
    """Submit jobs with one worker process of one thread each, as dask-jobqueue's configuration says.

    Cores, memory, time, partition and the GPU (``job-extra-directives: ["--gres=gpu:1"]``) stand in
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
    """Return the GPUs of this machine, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    return [str(number) for number in range(torch.cuda.device_count())]


# -- on a worker -------------------------------------------------------------------------------------------------


@cache
def _pipeline(source: ModelSource) -> DiffusionPipeline:
    """Load the model, once in the life of a worker."""
    pipe = load_pipeline(
        source.model, revision=source.revision, device=source.device, dtype=source.dtype
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


@cache
def _drawer(source: ModelSource, folder: Path, session: int) -> ShardDrawer:
    """Make what draws the shards of a run, once in a session."""
    run = RunFolder(folder)
    settings = RunSettings.from_dict(run.manifest()["settings"])
    pipe = _pipeline(source)
    here = describe_model(pipe, source.revision)
    if here != settings.model:
        raise ModelError(
            f"Expected the model that the run began with, {dict(settings.model)}, but this worker has {here}."
        )
    return ShardDrawer(pipe, settings, run.plan, run.sentences())


def _prepare(
    source: ModelSource,
    drawing: DrawingSettings,
    sentences: Sequence[Sentence],
    batch_size: int | None,
) -> Prepared:
    return prepare(_pipeline(source), drawing, sentences, source.revision, batch_size)


def _draw(source: ModelSource, folder: Path, session: int, shard: int) -> Drawn:
    """Draw a shard into a work folder."""
    drawer = _drawer(source, folder, session)
    work = RunFolder(folder).new_work()
    try:
        return Drawn(shard, work, drawer.draw(shard, work))
    except OSError as error:
        return Drawn(shard, work, error)
    except Exception as error:
        if is_fatal(error):
            os._exit(
                1
            )  # this process cannot use its GPU any more: Dask starts another and gives it the shard
        raise


# -- where the run was started ----------------------------------------------------------------------------------


def prepare_there(
    client: Client,
    source: ModelSource,
    drawing: DrawingSettings,
    sentences: Sequence[Sentence],
    batch_size: int | None,
) -> Prepared:
    """Ask a worker which model it has, and how many images fit there."""
    task = client.submit(_prepare, source, drawing, sentences, batch_size, pure=False)
    with _scheduled():
        return task.result()


@contextmanager
def _scheduled() -> Iterator[None]:
    """Say it where the scheduler does not know a task any more."""
    from distributed import CancelledError

    try:
        yield
    except CancelledError as error:
        raise DaamSyntaxError(
            f"Expected the Dask scheduler to go on, but it gave up: {' '.join(str(error).split())} What was finished "
            "is kept; start a scheduler, and give the same command again."
        ) from error


def draw_there(
    client: Client,
    source: ModelSource,
    folder: RunFolder,
    session: int,
    note: Callable[[Problem], None],
    shards: Sequence[int],
    advance: Callable[[int], None],
) -> Iterator[Drawn]:
    """Have shards drawn by the workers, and yield each as soon as it is there.

    A shard whose workers died time and again (``distributed.scheduler.allowed-failures``) is left out and noted.

    Raises
    ------
    DaamSyntaxError
        If the scheduler is gone.
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
                with _scheduled():
                    drawn = task.result()
            except KilledWorker as error:
                note(
                    Problem(
                        "draw",
                        "workers died",
                        " ".join(str(error).split()),
                        "The shard is missing; the same command draws it again.",
                        shard,
                    )
                )
            else:
                yield drawn
            advance(plan.size(shard))
    finally:
        client.cancel(list(tasks))
