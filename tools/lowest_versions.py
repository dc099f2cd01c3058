"""Write constraints-lowest.txt, the lowest versions that pyproject.toml allows: ``python -m tools.lowest_versions``.

The gate installs them in a second environment and tests the package with them.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILE = ROOT / "constraints-lowest.txt"
EXTRAS = ("cluster", "transport", "wordnet", "test")  # all that tests need, except for the website
_BOUND = re.compile(r"(?P<name>[\w.-]+)>=(?P<version>[\d.]+)")


def constraints(pyproject: str | None = None) -> str:
    """Return the constraints: each requirement of the package and of its quick tests, at its lower bound."""
    text = pyproject or (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    extras = project["optional-dependencies"]
    requirements = [
        *project["dependencies"],
        *(each for extra in EXTRAS for each in extras.get(extra, ())),
    ]
    lines = ["# The lowest versions that pyproject.toml allows, from tools/lowest_versions.py."]
    for requirement in sorted(requirements, key=str.lower):
        if requirement.startswith("daam-syntax"):
            continue
        bound = _BOUND.match(requirement)
        if bound is None:
            raise ValueError(
                f"Expected a lower bound in the requirement {requirement!r}: add >=VERSION."
            )
        lines.append(f"{bound['name']}=={bound['version']}")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the file."""
    FILE.write_text(constraints(), encoding="utf-8")


if __name__ == "__main__":
    main()
