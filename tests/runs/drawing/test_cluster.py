"""Shards drawn by workers of a real Dask cluster on this machine, and the script of a SLURM job."""

import copy
import os
import re
import shutil
import signal
import threading
import time
from pathlib import Path

import dask
import distributed  # puts its settings into dask.config, before a test changes them
import pytest
import torch

from daam_syntax import runs
from daam_syntax.errors import DaamSyntaxError, FileError, ModelError
from daam_syntax.runs.drawing import cluster
from daam_syntax.runs.drawing.cluster import (
    RunOnWorkers,
    open_client,
    slurm_cluster,
    visible_gpus,
)
from daam_syntax.runs.drawing.parses import Parses
from daam_syntax.runs.drawing.worker_tasks import ModelSource
from daam_syntax.runs.store.run_folder import RunFolder
from helpers.commands import run, run_here
from helpers.small_runs import N_IMAGES, PROMPTS, SETTINGS, assert_same
from helpers.synthetic_run import write_run

pytestmark = pytest.mark.slow  # starts a Dask cluster

SMALL = SETTINGS | {"shard_size": 1, "batch_size": 1}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Run workers with one thread, because sums in another order differ in their last bits."""
    before = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "PYTHONPATH")}
    root = str(Path(runs.__file__).parents[2])
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": root}
    yield
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


def test_tables_equal_those_of_one_process_even_if_a_worker_is_killed(tmp_path, emoji_pipe):
    alone = runs.run(PROMPTS, tmp_path / "alone", emoji_pipe, **SMALL)
    out = tmp_path / "spread"
    with open_client("local", workers=2, gpus=["0", "1"]) as client:
        # Each worker sees its own GPU, even if this machine has none.
        pinned = client.run(os.getenv, "CUDA_VISIBLE_DEVICES")
        assert sorted(pinned.values()) == ["0", "1"]
        before = set(client.run(os.getpid).values())
        killed = []

        def kill_one_that_draws():
            while not list(out.glob("committed/*.json")):
                time.sleep(0.02)
            killed.append(min(before))
            os.kill(min(before), signal.SIGKILL)

        killer = threading.Thread(target=kill_one_that_draws)
        killer.start()
        assert isinstance(client, distributed.Client)
        address = client.scheduler_info()["address"]
        run = runs.run(PROMPTS, out, cluster=address, **SMALL)
        killer.join()
        assert killed
        deadline = time.monotonic() + 60
        while len(now := set(client.run(os.getpid).values())) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert len(now) == 2  # it was replaced
        assert killed[0] not in now
    assert run.is_complete, run.problems().to_dict("records")
    assert not list(out.glob(".work/*"))
    assert run.sessions[-1]["images"] == N_IMAGES
    assert_same(run, alone)


def test_the_command_spreads_a_run_over_local_workers(tmp_path):
    (tmp_path / "prompts.txt").write_text("a cat\nan owl\n", encoding="utf-8")
    options = ["--steps", "1", "--guidance", "1", "--batch-size", "1", "--shard-size", "1"]
    command = ["run", "prompts.txt", *options, "--out"]
    spread = run(*command, "spread", "--cluster", "local", "--workers", 2, cwd=tmp_path)
    assert spread.returncode == 0, spread.stderr
    assert run_here(*command, "alone", cwd=tmp_path).returncode == 0
    assert_same(runs.open_run(tmp_path / "spread"), runs.open_run(tmp_path / "alone"))


def test_a_model_in_memory_cannot_be_sent_to_workers(tmp_path, emoji_pipe):
    with pytest.raises(ModelError, match="name or folder of a model"):
        runs.run(PROMPTS, tmp_path, emoji_pipe, cluster="local")


def test_an_unreachable_scheduler(tmp_path):
    with (
        pytest.raises(DaamSyntaxError, match=r"tcp://127\.0\.0\.1:9"),
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
    ):
        runs.run(PROMPTS, tmp_path, cluster="tcp://127.0.0.1:9")


def wait(*arguments):
    time.sleep(2)


def test_a_scheduler_that_stopped(tmp_path, monkeypatch):
    """Cancel the tasks, which is what a client sees after it lost its scheduler."""
    run = write_run(tmp_path, ["a cat"])
    planned = RunFolder(run.path).planned(run.prompts)
    parses = Parses(run.prompts, given={"a cat": run.sentences[0]})
    monkeypatch.setattr(cluster, "draw_shard", wait)
    options = {"processes": False, "n_workers": 1, "dashboard_address": None}
    with distributed.Client(**options) as client:

        def cancel():
            client.cancel([distributed.Future(key, client) for key in client.futures])

        threading.Timer(0.5, cancel).start()
        on_workers = RunOnWorkers(client, ModelSource("emoji"), run.path)
        with pytest.raises(DaamSyntaxError, match=r"it stopped: .*the same command again"):
            next(on_workers.draw(run.settings, run.plan, planned, parses, print, [0], print))


def test_a_scheduler_that_lives_on_draws_what_is_asked_for_now(tmp_path, emoji_pipe):
    """The folder is given to another run, with other prompts and settings, while the workers live on."""
    out, model = tmp_path / "out", tmp_path / "model"
    emoji_pipe.save_pretrained(model)
    small = SMALL | {"seeds": 1, "guidance": 4.0}
    options = {"processes": False, "n_workers": 1, "threads_per_worker": 1}
    with distributed.Client(**options, dashboard_address=None) as client:
        address = client.scheduler_info()["address"]
        first = runs.run(["a cat"], out, model, cluster=address, **small)
        identity = first.settings.model["fingerprint"]
        shutil.rmtree(out)
        changes = small | {"steps": 1, "threshold": "absolute:0.1"}
        run = runs.run(["a dog", "an owl"], out, model, cluster=address, **changes)
        assert run.images()["prompt"].tolist() == ["a dog", "an owl"]
        assert (run.settings.drawing.steps, run.settings.thresholds) == (1, ("absolute:0.1",))
        assert_same(run, runs.run(["a dog", "an owl"], tmp_path / "alone", model, **changes))
        # The model changes on disk, under the same name.
        other = copy.deepcopy(emoji_pipe)
        with torch.no_grad():
            next(other.unet.parameters()).flatten()[9:].neg_()
        other.save_pretrained(model)
        with pytest.raises(FileError, match="fingerprint"):
            runs.run(["a dog", "an owl"], out, model, cluster=address, **changes)
        shutil.rmtree(out)
        run = runs.run(["a dog"], out, model, cluster=address, **changes)
        assert run.settings.model["fingerprint"] != identity


def test_waiting_for_workers_is_reported(tmp_path, capsys):
    options = {"processes": False, "n_workers": 0, "dashboard_address": None}
    with distributed.Client(**options) as client:
        on_workers = RunOnWorkers(client, ModelSource("emoji"), tmp_path)
        task = client.submit(abs, -1, pure=False)
        threading.Timer(6, task.cancel).start()
        with pytest.raises(DaamSyntaxError, match="it stopped"):
            on_workers._wait([task])
        address = client.scheduler_info()["address"]
    reported = capsys.readouterr().err
    assert reported.count("Waiting for a worker: the scheduler at") == 1
    assert f"`dask worker {address}`" in reported


def die(*arguments):
    os._exit(1)


def test_workers_that_die_at_their_start_are_one_clear_error(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "prepare_model", die)
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        pytest.raises(DaamSyntaxError, match=r"^Expected a worker to load the model.*died.*$"),
    ):
        runs.run(["a cat"], tmp_path, cluster="local", workers=1, **SMALL)


def test_the_gpus_visible_to_this_process(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, GPU-8a")
    assert visible_gpus() == ["2", "GPU-8a"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []


def test_the_slurm_job_has_one_worker_with_one_thread_and_the_configured_resources(tmp_path):
    with pytest.raises(DaamSyntaxError, match=r"jobqueue\.yaml"):
        slurm_cluster(1)
    # The configuration file shown in the documentation.
    page = (Path(__file__).parents[3] / "docs" / "corpus.md").read_text(encoding="utf-8")
    (tmp_path / "jobqueue.yaml").write_text(re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1])
    configured = dask.config.collect(paths=[str(tmp_path)], env={})
    changed = {
        f"jobqueue.slurm.{name}": value for name, value in configured["jobqueue"]["slurm"].items()
    }
    with dask.config.set(changed), slurm_cluster(0) as jobs:
        script = jobs.job_script()
    for line in ("--gres=gpu:1", "-p gpu", "--cpus-per-task=8", "--mem=30G", "-t 12:00:00"):
        assert f"#SBATCH {line}" in script
    assert "--nthreads 1" in script
    assert "--nworkers" not in script or "--nworkers 1" in script
