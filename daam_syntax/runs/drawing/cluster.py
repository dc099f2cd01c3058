"""Draw shards on several processes or machines with Dask, with one model and at most one GPU per worker.

Workers write into the work folder of the run, which all machines must be able to access. Only the process that holds
the run's lock moves finished files to their final places. If a worker dies, its shard is given to another one.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from daam_syntax.errors import DaamSyntaxError
from daam_syntax.language import Sentence
from daam_syntax.pipelines.settings import DrawingSettings
from daam_syntax.runs.drawing.parses import Parses
from daam_syntax.runs.drawing.preparing import PreparedModel
from daam_syntax.runs.drawing.sessions import DrawnShard
from daam_syntax.runs.drawing.worker_tasks import ModelSource, ShardTask, draw_shard, prepare_model
from daam_syntax.runs.problems import Problem
from daam_syntax.runs.run_settings import RunSettings
from daam_syntax.runs.store.shard_store import Planned
from daam_syntax.runs.store.shards import ShardPlan
from daam_syntax.util.extras import install_hint
from daam_syntax.util.wording import one_line

if TYPE_CHECKING:
    from distributed import Client, Future

_FIRST_REPORT: Final = 2.0  # seconds without a worker until the user is informed
_NEXT_REPORT: Final = 60.0  # seconds until the report is repeated
_GUARD: Final = (
    'In a script, start a run below the line `if __name__ == "__main__":`, because worker '
    "processes import the script."
)
_INSTALL: Final = f"install it with {install_hint('cluster')}"


def check_main() -> None:
    """Raise in a new process that is still importing the script of the process which started it.

    Raises
    ------
    DaamSyntaxError
        If that script starts a run when it is imported: each worker process would start the run again.
    """
    # Set by `multiprocessing` while it imports the script, and not otherwise.
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise DaamSyntaxError(_GUARD)


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
        except (OSError, ValueError, RuntimeError) as error:
            hint = f" {_GUARD}" if cluster == "local" else ""
            raise DaamSyntaxError(
                f'Expected "local", "slurm" or the address of a reachable Dask scheduler, but '
                f"{cluster!r} failed: {one_line(error)}{hint}"
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


class RunOnWorkers:
    """A run whose shards are drawn by the workers of a cluster.

    Parameters
    ----------
    client
        The client of the cluster.
    source
        From where each worker loads the model.
    folder
        The folder of the run, absolute.
    """

    def __init__(self, client: Client, source: ModelSource, folder: Path) -> None:
        self.client = client
        self.source = source
        self.folder = folder
        # New for each start, because workers and what they loaded can outlive a run.
        self.session = uuid.uuid4().hex

    def prepare(
        self,
        settings: DrawingSettings,
        texts: Sequence[str],
        longest: Sentence,
        batch_size: int | None,
        relations: Sequence[str],
        relation_axes: Sequence[str],
    ) -> PreparedModel:
        """Let a worker identify its model, and choose the batch size if it is None.

        Raises
        ------
        DaamSyntaxError
            If the scheduler stopped, or workers died.
        """
        from distributed import KilledWorker

        task = self.client.submit(
            prepare_model,
            self.source,
            self.session,
            settings,
            list(texts),
            longest,
            batch_size,
            tuple(relations),
            tuple(relation_axes),
            pure=False,
        )
        self._wait([task])
        try:
            with _scheduler_errors():
                prepared: PreparedModel = task.result()
        except KilledWorker as error:
            raise DaamSyntaxError(
                "Expected a worker to load the model, but each worker that tried died: "
                f"{one_line(error)} Their logs say why; often the model needs more memory than a worker has."
            ) from error
        return prepared

    def draw(
        self,
        settings: RunSettings,
        plan: ShardPlan,
        planned: Callable[[int], Planned],
        parses: Parses,
        note: Callable[[Problem], None],
        shards: Sequence[int],
        advance: Callable[[int], None],
    ) -> Iterator[DrawnShard]:
        """Let workers draw shards, and yield each as soon as it is finished.

        Prompts are parsed here, shard by shard, while workers draw. A shard whose workers died repeatedly
        (``distributed.scheduler.allowed-failures``) is skipped and noted.

        Raises
        ------
        DaamSyntaxError
            If the scheduler stopped.
        """
        from distributed import KilledWorker

        left = iter(shards)
        tasks: dict[Future, int] = {}
        try:
            while True:
                with _scheduler_errors():
                    wanted = 2 * max(1, len(self.client.nthreads())) - len(tasks)
                for shard in islice(left, max(0, wanted)):
                    prompts = parses.shard(plan.prompts(shard))
                    task = ShardTask(
                        self.source,
                        self.session,
                        self.folder,
                        settings,
                        plan,
                        planned(shard).stamp,
                        prompts,
                    )
                    tasks[self.client.submit(draw_shard, task, pure=False)] = shard
                if not tasks:
                    return
                for done in self._wait(list(tasks)):
                    shard = tasks.pop(done)
                    try:
                        with _scheduler_errors():
                            drawn = done.result()
                    except KilledWorker as error:
                        note(_died(error, shard))
                    else:
                        yield drawn
                    advance(plan.size(shard))
        finally:
            self.client.cancel(list(tasks))

    def _wait(self, tasks: Sequence[Future]) -> list[Future]:
        """Wait until a task is finished, and return the finished ones; report on stderr if there is no worker."""
        from distributed import wait

        reported = time.monotonic() - _NEXT_REPORT + _FIRST_REPORT
        while True:
            try:
                with _scheduler_errors():
                    return list(
                        wait(tasks, timeout=_FIRST_REPORT, return_when="FIRST_COMPLETED").done
                    )
            except TimeoutError:
                with _scheduler_errors():
                    is_alone = not self.client.nthreads()
            if is_alone and time.monotonic() - reported >= _NEXT_REPORT:
                reported = time.monotonic()
                address = self.client.scheduler_info()["address"]
                print(
                    f"Waiting for a worker: the scheduler at {address} has none; start one (`dask worker {address}`), "
                    "or press Ctrl-C and repeat the command later.",
                    file=sys.stderr,
                )


def _died(error: BaseException, shard: int) -> Problem:
    return Problem(
        "draw",
        "workers died",
        one_line(error),
        "The shard is missing; run the same command again to draw it.",
        shard,
    )


@contextmanager
def _scheduler_errors() -> Iterator[None]:
    """Explain the errors that Dask raises if the scheduler lost a task, or is gone."""
    from distributed import CancelledError
    from distributed.comm import CommClosedError

    try:
        yield
    except (CancelledError, CommClosedError) as error:
        raise DaamSyntaxError(
            f"Expected the Dask scheduler to keep running, but it stopped: {one_line(error)} Finished "
            "shards are kept; start a scheduler, and run the same command again."
        ) from error
