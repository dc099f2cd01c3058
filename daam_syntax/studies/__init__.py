"""Studies: each asks one question and answers it by drawing images, measuring them, and estimating over prompts.

A study is a module here, or a folder whose module `study` is it. It has a ``DESIGN`` (a `StudyDesign`) and a function
``run``, which takes a `Setup` or a `StoredSetup` with the study's own options and returns a `StudyResult`. What studies
share lives in `framework/`, which imports no study; `running` finds studies by name and runs them. Studies may import
every package except `daam_syntax.cli`, and no study imports another.
"""

from daam_syntax.studies.framework.design import StudyDesign
from daam_syntax.studies.framework.findings import Finding
from daam_syntax.studies.framework.result import StudyResult
from daam_syntax.studies.running import STUDIES, load_study, run_study

__all__ = ["STUDIES", "Finding", "StudyDesign", "StudyResult", "load_study", "run_study"]


def __dir__() -> list[str]:
    """Return the public names, so that completion offers no module beside the functions that it holds."""
    return __all__
