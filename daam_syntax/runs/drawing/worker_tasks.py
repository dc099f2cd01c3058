"""Tasks of a worker of a cluster: load the model once for each start of a run, and draw shards."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from daam_syntax.errors import ModelError
from daam_syntax.language import Sentence
from daam_syntax.pipelines.identity import identify_on_device
from daam_syntax.pipelines.loading import check_dtype, load_pipeline
from daam_syntax.pipelines.settings import DrawingSettings
from daam_syntax.runs.drawing.parses import ShardPrompts
from daam_syntax.runs.drawing.preparing import PreparedModel, prepare
from daam_syntax.runs.drawing.sessions import DrawnShard
from daam_syntax.runs.drawing.shard_drawer import ShardDrawer, is_fatal
from daam_syntax.runs.run_settings import RunSettings
from daam_syntax.runs.store.shard_store import ShardStore
from daam_syntax.runs.store.shards import ShardPlan
from daam_syntax.runs.store.tables.schemas import Stamp

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

_pipelines: Final[dict[str, Any]] = {}
_drawers: Final[dict[str, ShardDrawer]] = {}
"""What this worker has loaded, by the session that asked for it; only the last is kept."""


@dataclass(frozen=True)
class ModelSource:
    """Where a model comes from: a pipeline, or the arguments with which `load_pipeline` is called.

    Raises
    ------
    ModelError
        If a pipeline comes with such an argument, which would have no effect, or the number format is unknown.
    """

    model: Any
    revision: str | None = None
    device: str | None = None
    dtype: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.model, str | Path):
            check_dtype(self.dtype)
            return
        options = {"revision": self.revision, "device": self.device, "dtype": self.dtype}
        if given := {name: value for name, value in options.items() if value is not None}:
            shown = ", ".join(f"{name}={value!r}" for name, value in given.items())
            raise ModelError(
                f"Expected {shown} with the name or folder of a model, which is loaded with it, but got a "
                f"{type(self.model).__name__}, which is loaded already: leave it out, or change the pipeline with "
                "pipe.to(...)."
            )

    def load(self) -> DiffusionPipeline:
        """Return the pipeline, or load it without a progress bar of its own, because runs have one."""
        if not isinstance(self.model, str | Path):
            return self.model
        pipe = load_pipeline(
            self.model, revision=self.revision, device=self.device, dtype=self.dtype
        )
        pipe.set_progress_bar_config(disable=True)
        return pipe

    def for_workers(self) -> ModelSource:
        """Return the source for other processes, which run in other working directories.

        Raises
        ------
        ModelError
            If it is a pipeline, which cannot be sent to them.
        """
        if not isinstance(self.model, str | Path):
            raise ModelError(
                f"Expected the name or folder of a model, but got a {type(self.model).__name__}: every worker of a "
                "cluster loads the model itself, so pass what `load_pipeline` takes."
            )
        is_folder = Path(self.model).is_dir()
        return replace(self, model=str(Path(self.model).resolve() if is_folder else self.model))


@dataclass(frozen=True)
class ShardTask:
    """Everything that a worker must know to draw a shard; it takes nothing from the folder of the run.

    Attributes
    ----------
    source
        From where to load the model.
    session
        Identity of this start of the run.
    folder
        The folder of the run.
    settings, plan
        Settings and plan of the run.
    stamp
        Run and number of the shard.
    prompts
        The prompts of the shard.
    """

    source: ModelSource
    session: str
    folder: Path
    settings: RunSettings
    plan: ShardPlan
    stamp: Stamp
    prompts: ShardPrompts


def prepare_model(
    source: ModelSource,
    session: str,
    settings: DrawingSettings,
    texts: Sequence[str],
    longest: Sentence,
    batch_size: int | None,
    relations: Sequence[str],
    relation_axes: Sequence[str],
) -> PreparedModel:
    """Load the model, and check settings and prompts against it."""
    pipe = _pipeline(source, session)
    return prepare(
        pipe, settings, texts, longest, source.revision, batch_size, relations, relation_axes
    )


def draw_shard(task: ShardTask) -> DrawnShard:
    """Draw a shard into a work folder."""
    drawer, shard = _drawer(task), task.stamp.shard
    work = ShardStore(task.folder).new_work()
    try:
        return DrawnShard(shard, work, drawer.draw(task.stamp, task.prompts, work))
    except OSError as error:
        return DrawnShard(shard, work, error)
    except Exception as error:
        if is_fatal(error):
            # This process can no longer use its GPU; Dask starts another one and gives it the shard.
            os._exit(1)
        raise


def _pipeline(source: ModelSource, session: str) -> DiffusionPipeline:
    """Return the model as it is now; it may have changed on disk since an earlier session loaded it."""
    if session not in _pipelines:
        _drawers.clear()
        _pipelines.clear()  # before another model takes its memory
        _pipelines[session] = source.load()
    return _pipelines[session]


def _drawer(task: ShardTask) -> ShardDrawer:
    """Return the drawer of a session, made once per worker."""
    if task.session not in _drawers:
        pipe = _pipeline(task.source, task.session)
        here = identify_on_device(pipe, task.source.revision)
        if here != dict(task.settings.model):
            raise ModelError(
                f"Expected the model with which the run started, {dict(task.settings.model)}, but this worker has "
                f"{here}; give all workers the same model and kind of device, or start another run."
            )
        _drawers[task.session] = ShardDrawer(pipe, task.settings, task.plan)
    return _drawers[task.session]
