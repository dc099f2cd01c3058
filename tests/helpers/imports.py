"""Which libraries a piece of code loads."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def loaded_by(code, libraries):
    """Which of these libraries a fresh interpreter has loaded after running the code."""
    report = f"import sys; print(sorted({set(libraries)!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; {report}"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return done.stdout.strip()


MODEL_LIBRARIES = ("torch", "diffusers", "transformers", "spacy")
