"""The embedded model: its name, its files, and the settings that suit it.

Importing this module loads neither torch nor diffusers.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from daam_syntax.util.data_files import data_path

if TYPE_CHECKING:
    from daam_syntax.emoji.annotator import Annotator
    from daam_syntax.maps import MapWeights

NAME: Final = "emoji"
"""The name by which `load_pipeline` knows the embedded model."""

STEPS: Final = 20
"""Default number of denoising steps."""

GUIDANCE: Final = 4.0
"""Default classifier-free guidance scale."""


def model_folder() -> Path:
    """Return the folder of the weights, in diffusers format."""
    return data_path("emoji-model")


def is_emoji(pipe: Any) -> bool:
    """Whether a pipeline was loaded from the weights of the embedded model."""
    name = getattr(pipe, "name_or_path", None)
    return name is not None and Path(name).resolve() == model_folder().resolve()


def learned_weights() -> MapWeights:
    """Return the map weights of the layers and attention heads of the embedded model.

    They were learned from exact masks of scenes that no benchmark scores.
    """
    from daam_syntax.maps import MapWeights

    return MapWeights.load(data_path("emoji-model", "map_weights.json"))


def annotator_for(pipe: Any) -> Annotator | None:
    """Return the annotator if it can judge the images of this pipeline, else None.

    The annotator was trained on the embedded world alone, so it can judge only what the embedded model draws.
    """
    if not is_emoji(pipe):
        return None
    from daam_syntax.emoji.annotator import Annotator

    return Annotator.load()
