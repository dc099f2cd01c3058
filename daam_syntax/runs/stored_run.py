"""A run on disk, for reading and reanalysis."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from daam_syntax.analysis.tables.image_batches import (
    Size,  # the check of arguments needs the type itself
)
from daam_syntax.runs.reanalysis import Reanalysis, reanalyze
from daam_syntax.runs.store.run_reader import RunReader
from daam_syntax.util.arguments.checks import checked

if TYPE_CHECKING:
    from spacy.language import Language


@checked
def open_run(path: str | Path) -> Run:
    """Open the folder of a run, finished or not, for reading.

    Raises
    ------
    FileError
        If the folder is not that of a run.
    """
    return Run(path)


class Run(RunReader):
    """The finished shards of a run. Every file is compared with its checksum when it is first read.

    Parameters
    ----------
    path
        The folder that `run` wrote.

    Raises
    ------
    FileError
        If the folder is not that of a run, or is of an unknown version.
    """

    @checked
    def reanalyze(
        self,
        *,
        threshold: str | Sequence[str] | None = None,
        schemes: str | Sequence[str] | None = None,
        measures: str | Iterable[str] | None = None,
        size: Size = "image",
        unrelated: bool = True,
        parser: str | Language | None = None,
        progress: bool = False,
    ) -> Reanalysis:
        """Measure the stored maps again, shard by shard, without drawing.

        Parameters
        ----------
        threshold
            Threshold rules; those of the run if None.
        schemes
            Dependency schemes whose edges are measured; those of the run if None.
        measures, size, unrelated
            See `daam_syntax.measure_pairs`.
        parser
            A spaCy pipeline that parses the prompts again; the stored parses are used if None.
        progress
            Whether to show progress on stderr.

        Returns
        -------
        Reanalysis
            The new tables, which are stored in ``analyses/`` in the folder of the run.

        Raises
        ------
        ThresholdError, ParserError
            If a rule does not exist, or a sentence lacks a scheme.
        FileError
            If a file is damaged, or cannot be written.
        """
        return reanalyze(
            self,
            threshold=threshold,
            schemes=schemes,
            measures=measures,
            size=size,
            unrelated=unrelated,
            parser=parser,
            progress=progress,
        )

    def __repr__(self) -> str:
        done = sum(record.n_images for record in self.records)
        failed = sum(record.n_failed for record in self.records)
        return (
            f"Run({str(self.path)!r}: {done:,} of {self.plan.n_images:,} images, {failed:,} of them failed; "
            f"{self.plan.n_prompts:,} prompts x {self.plan.n_seeds} seeds, model {self.settings.model.get('model')})"
        )
