"""Say which generated files are out of date: ``python -m tools.check``.

python -m tools.check                    # report; exit status 1 if a file is out of date
python -m tools.check --write            # make the cheap ones again
python -m tools.check --make gallery     # make an expensive one again, and record its inputs
python -m tools.check --record gallery   # only record its inputs, after making it in another way
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tools.digests import ROOT, record, recorded
from tools.generated import RECORDED, TEXTS, Recorded, Text

CURRENT, STALE, UNVERIFIED = "current", "OUT OF DATE", "made with other code"
DUE = "of earlier inputs"  # as its pages say


@dataclass(frozen=True)
class Finding:
    """State of one generated file or group of files, and the command that makes it again."""

    name: str
    state: str
    remedy: str


def check_text(entry: Text) -> Iterator[Finding]:
    """Compare the files of an entry with newly made ones."""
    for path, expected in entry.contents().items():
        found = path.read_bytes().decode("utf-8") if path.exists() else None
        state = CURRENT if found == expected else STALE
        yield Finding(str(path.relative_to(ROOT)), state, "python -m tools.check --write")


def state_of(now: Mapping[str, str], then: Mapping[str, str]) -> str:
    """Return the state of files whose digests of inputs and code are `now`, and were `then`."""
    if now["inputs"] != then.get("inputs"):
        return STALE
    return CURRENT if now["code"] == then.get("code") else UNVERIFIED


def check_recorded(entry: Recorded, known: dict[str, dict[str, str]]) -> Finding:
    """Compare the digests of an entry with the recorded ones."""
    state = state_of(entry.digests(), known.get(entry.name, {}))
    remedy = f"python -m tools.check --make {entry.name}" if entry.command else entry.note
    if state == STALE and entry.due:
        return Finding(entry.name, DUE, f"{entry.due}: {remedy}")
    return Finding(entry.name, state, remedy)


def check(texts: Sequence[Text] = TEXTS, others: Sequence[Recorded] = RECORDED) -> list[Finding]:
    """Check every generated file."""
    known = recorded()
    findings = [finding for entry in texts for finding in check_text(entry)]
    return findings + [check_recorded(entry, known) for entry in others]


def write(texts: Sequence[Text] = TEXTS) -> None:
    """Write the cheap files."""
    for entry in texts:
        for path, content in entry.contents().items():
            path.write_bytes(content.encode("utf-8"))


def make(entry: Recorded) -> None:
    """Run the command of an entry, and record its inputs."""
    if entry.command is None:
        raise SystemExit(f"{entry.name} is not made by one command: {entry.note}.")
    subprocess.run([sys.executable, *entry.command], cwd=ROOT, check=True)
    record(entry.name, entry.digests())


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, write, make, or record, and return the exit status."""
    by_name = {entry.name: entry for entry in RECORDED}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="make the cheap files again")
    parser.add_argument("--make", nargs="+", choices=by_name, default=[], metavar="NAME")
    parser.add_argument("--record", nargs="+", choices=by_name, default=[], metavar="NAME")
    given = parser.parse_args(arguments)
    if given.write:
        write()
    for name in given.make:
        make(by_name[name])
    for name in given.record:
        record(name, by_name[name].digests())
    findings = check()
    for finding in findings:
        remedy = "" if finding.state == CURRENT else f": {finding.remedy}"
        print(f"{finding.state:21} {finding.name}{remedy}")
    return int(any(finding.state == STALE for finding in findings))


if __name__ == "__main__":
    sys.exit(main())
