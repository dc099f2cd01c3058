"""The table of ``docs/benchmarks.md`` on large runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def spread(value: dict[str, float]) -> str:
    """Format a median with the minimum and maximum."""
    return f"{value['median']:.2f} [{value['min']:.2f}, {value['max']:.2f}]"


def megabytes(n_bytes: float) -> str:
    """Format a size."""
    return f"{n_bytes / 1e6:,.0f} MB"


def table(results: Mapping[str, Any]) -> str:
    """Return the memory, disk space, and time of large runs as a Markdown table."""
    lines = ["| | |", "|---|---|"]
    peaks = results["memory"]["peak_bytes"]
    sizes = ", ".join(f"{int(n):,} images {megabytes(peak)}" for n, peak in peaks.items())
    ratio = results["memory"]["ratio"]
    lines.append(f"| peak memory of a run | {sizes}: ratio {ratio:.3f} |")
    of_image = results["disk"]["bytes_per_image"]
    shares = ", ".join(f"{name} {size:,.0f}" for name, size in of_image.items())
    lines.append(f"| bytes per image | {sum(of_image.values()):,.0f}: {shares} |")
    shown = {"one structure": "of one structure", "own structures": "of different structures"}
    for kind, rows in results["pairs"]["stored_pairs"].items():
        for n, row in rows.items():
            took = f"{row['processor_seconds']:.1f} s of processor time, peak memory {megabytes(row['peak_bytes'])}"
            what = f"summary of {int(n):,} stored pairs of prompts {shown[kind]}"
            lines.append(f"| {what}, with intervals and tests | {took} |")
    batching = results["batching"]
    for n, seconds in batching["processor_seconds_per_image"].items():
        gain = spread(batching["one_by_one_over_batched"][n])
        more = "" if n == "1" else f"; {gain} times faster than one by one"
        lines.append(
            f"| {n} drawn together, processor time per image | {1e3 * seconds:.0f} ms{more} |"
        )
    if workers := results.get("workers"):
        rates = ", ".join(f"{n}: {r:.2f} images/s" for n, r in workers["images_per_second"].items())
        lines.append(f"| workers of one thread each | {rates}; ratio {spread(workers['ratio'])} |")
    opened = results["open"]
    took = opened["processor_seconds"]
    folder = f"a finished folder of `analyze` with {opened['images']} images"
    lines.append(
        f"| opening {folder}: all images, maps, tables, and the summary | "
        f"{took['open']:.1f} s of processor time; the same call again, views included: {took['again']:.1f} s |"
    )
    lines += _start_rows(results["start"])
    speed = results["check"]["bytes_per_second"] / 1e9
    lines.append(f"| verifying checksums when a run resumes | {speed:.1f} GB/s |")
    return "\n".join(lines)


def _start_rows(start: dict[str, Any]) -> list[str]:
    """Return rows with what a run of many prompts takes until its first batch is drawn."""
    run = f"a run of {start['prompts']:,} prompts"
    shards = f"{start['finished_shards']:,} finished shards ({megabytes(start['finished_bytes'])})"
    rows = {
        f"{run}, until its first batch": start["start"],
        f"{run}, resumed with {shards}, until its next batch": start["resumption"],
    }
    return [
        f"| {name} | {row['processor_seconds']:.0f} s of processor time, {row['seconds']:.0f} s in all (load average "
        f"{start['load_average']:.1f}), peak memory {megabytes(row['peak_bytes'])} |"
        for name, row in rows.items()
    ]
