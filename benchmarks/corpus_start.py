"""How long a run of 100,000 prompts takes until its first image, and how much memory: a part of `benchmarks.corpus`.

The command ``daam-syntax run`` draws 100,000 prompts with two seeds. It is killed as soon as its first two shards are
finished, then half of its other shards are written from copies of the first, and the command is given again.
"""

from __future__ import annotations

import csv
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

N_PROMPTS: Final = 100_000
SEEDS: Final = 2
_THINGS: Final = [
    "cat",
    "dog",
    "owl",
    "cow",
    "pig",
    "car",
    "bus",
    "bed",
    "hat",
    "cup",
    "tree",
    "house",
    "bird",
    "horse",
    "train",
    "boat",
]
_ADJECTIVES: Final = ["red", "tan", "big", "old", "small", "wooden", "yellow", "striped"]
_VERBS: Final = ("sitting on", "next to", "looking at", "under")
_PLACES: Final = ("in the snow", "in a city", "by the lake")


def write_prompts(path: Path, n: int) -> None:
    """Write a file of different prompts, each with an id and a category."""
    texts = (
        f"a {one} {a} {verb} a {other} {b} {place}"
        for a, one, verb, b, other, place in itertools.product(
            _THINGS, _ADJECTIVES, _VERBS, _THINGS, _ADJECTIVES, _PLACES
        )
    )
    step = len(_THINGS) ** 2 * len(_ADJECTIVES) ** 2 * len(_VERBS) * len(_PLACES) // n
    assert step > 0, "so many prompts are not made here"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "prompt", "category"])
        for number, text in enumerate(itertools.islice(texts, 0, n * step, step)):
            writer.writerow([f"p{number:06d}", text, text.split()[2]])


def drawn_until_two_shards(place: Path) -> dict[str, float]:
    """Give the command, and kill it when it finished two shards.

    Returns
    -------
    dict
        Seconds and processor seconds until the first batch is drawn, and the peak of resident memory, bytes.
    """
    command = "-m daam_syntax.cli run prompts.csv --out run --steps 4 --seeds"
    finished = len(list(place.glob("run/committed/*.json")))
    shutil.rmtree(place / "run" / ".work", ignore_errors=True)  # of the process that was killed
    start = time.perf_counter()
    found: dict[str, float] = {}
    process = subprocess.Popen(
        [sys.executable, *command.split(), str(SEEDS)],
        cwd=place,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
    )
    proc = Path("/proc") / str(process.pid)
    while len(list(place.glob("run/committed/*.json"))) < finished + 2:
        assert process.poll() is None, "the command ended"
        if not found and list(place.glob("run/.work/*/images.parquet")):
            ticks = (proc / "stat").read_text().rsplit(")", 1)[1].split()[11:13]
            processor = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
            found = {
                "seconds": time.perf_counter() - start,
                "processor_seconds": processor,
            }
        time.sleep(0.1)
    status = (proc / "status").read_text().splitlines()
    peak = next(line for line in status if line.startswith("VmHWM"))
    process.send_signal(signal.SIGKILL)
    process.wait()
    return {**found, "peak_bytes": int(peak.split()[1]) * 1024}


def copy_shards(path: Path, n: int) -> None:
    """Write so many shards of a run from copies of its first, as large as drawn ones."""
    from daam_syntax.runs.store.run_folder import RunFolder
    from daam_syntax.runs.store.shard_files import ShardFiles
    from daam_syntax.runs.store.tables.schemas import TABLES

    folder = RunFolder(path)
    names = ("image", "prompt_id", "prompt", "seed")
    tables = {table: pq.read_table(folder.shards.file(table, 0)) for table in TABLES[:-1]}
    with folder.locked():
        planned = folder.planned(folder.prompts())
        left = [k for k in range(folder.plan.n_shards) if k not in set(folder.shards.numbers())]
        for shard in left[:n]:
            expected, work = planned(shard), folder.shards.new_work()
            with ShardFiles(work, expected.stamp) as files:
                for table, rows in tables.items():
                    if table == "images":
                        columns = zip(*expected.rows, strict=True)
                        for name, values in zip(names, columns, strict=True):
                            kind = rows.schema.field(name)
                            at = rows.schema.get_field_index(name)
                            rows = rows.set_column(at, kind, pa.array(values, kind.type))
                    files.add(table, rows)
                record = files.finish([], len(expected.rows), 0, 1.0)
            folder.shards.commit(record, work, expected)


def start(n_prompts: int = N_PROMPTS) -> dict[str, Any]:
    """Measure the start of a run, and its resumption when half of it is drawn."""
    from daam_syntax.runs.store.run_folder import RunFolder

    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        write_prompts(place / "prompts.csv", n_prompts)
        first = drawn_until_two_shards(place)
        folder = RunFolder(place / "run")
        copy_shards(folder.path, folder.plan.n_shards // 2)
        finished = folder.shards.numbers()
        n_bytes = sum(path.stat().st_size for path in folder.path.glob("*/part-*"))
        again = drawn_until_two_shards(place)
        return {
            "prompts": n_prompts,
            "images": folder.plan.n_images,
            "start": first,
            "resumption": again,
            "finished_shards": len(finished),
            "finished_bytes": n_bytes,
            "load_average": os.getloadavg()[1],
        }
