"""Tables of the checks on a GPU (`tools.device_checks`) for docs/benchmarks.md."""

from __future__ import annotations

from typing import Any, Final

Checks = dict[str, dict[str, dict[str, Any]]]
RELATIONS: Final = "relations"
COLUMNS: Final = (
    "image-text",
    "text-image",
    "text-text",
    "image-image",
    "encoder",
    "concept",
    "outputs",
    "outputs of the concept",
)


def devices(checks: Checks) -> str:
    """Tabulate checks of the trace."""
    lines = [
        "| | images | largest error | denominators | kernel | time | waits |",
        "|---|---|---|---|---|---|---|",
    ]
    runs = {
        name: found
        for part, by_name in checks.items()
        if part != RELATIONS
        for name, found in by_name.items()
    }
    for name, found in runs.items():
        if "error" in found:
            continue
        same = "identical" if found["is_identical"] else "different"
        kernels = ", ".join(found["log_sum_exp"])
        lines.append(
            f"| {name} | {same} | {found['largest_error']:.1e} | {', '.join(found['denominators'])} | {kernels} | "
            f"{found['time_ratio']:.2f} | {sum(found['waits'].values())} in {found['steps']} steps |"
        )
    return "\n".join([*lines, "", _failed(runs)])


def device_relations(checks: Checks) -> str:
    """Tabulate checks of the relations of attention; a family has only some of them."""
    lines = [f"| | images | {' | '.join(COLUMNS)} |", "|---|---|" + "---|" * len(COLUMNS)]
    for name, found in checks[RELATIONS].items():
        if "error" in found:
            continue
        same = "identical" if found["is_identical"] else "different"
        largest = found["largest_difference"]
        cells = " | ".join(f"{largest[c]:.0e}" if c in largest else "" for c in COLUMNS)
        lines.append(f"| {name} | {same} | {cells} |")
    return "\n".join([*lines, "", _failed(checks[RELATIONS])])


def _failed(runs: dict[str, dict[str, Any]]) -> str:
    failed = [f"{name} ({found['error']})" for name, found in runs.items() if "error" in found]
    return f"Could not run there: {'; '.join(failed) or 'none'}."
