"""Diffusers pipelines as this package uses them: loading, drawing settings, and the identity of a model.

Imports ``emoji`` (for the embedded model), ``util`` and ``errors``.
"""

from daam_syntax.pipelines.devices import execution_device
from daam_syntax.pipelines.loading import load_pipeline
from daam_syntax.pipelines.settings import DrawingSettings

__all__ = ["DrawingSettings", "execution_device", "load_pipeline"]


def __dir__() -> list[str]:
    """Return the public names, so that completion offers no module beside the functions that it holds."""
    return __all__
