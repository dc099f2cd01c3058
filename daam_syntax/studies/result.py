"""What a study found, and writing it down."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jinja2
import pandas as pd

from daam_syntax.analysis.reports import to_html, write_table
from daam_syntax.errors import FileError
from daam_syntax.whole_files import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN_ROWS: Final = 60
_DPI: Final = 150


@dataclass(frozen=True)
class StudyResult:
    """The result of a study.

    Attributes
    ----------
    name, title, question
        What was asked.
    findings
        Sentences made from the numbers: effect, interval, n.
    tables
        Tables by name; "estimates" holds what the findings say.
    figures
        Figures by name.
    prompts
        The prompts that were used.
    provenance
        Model, settings, seeds, versions; all values can be written as JSON.
    """

    name: str
    title: str
    question: str
    findings: tuple[str, ...]
    tables: Mapping[str, pd.DataFrame]
    figures: Mapping[str, Figure]
    prompts: tuple[str, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def write(self, out: str | Path) -> Path:
        """Write tables (CSV, LaTeX), figures (PNG, PDF), ``report.html`` and ``study.json`` into a folder.

        Parameters
        ----------
        out
            The folder; made where it is missing. Files of the same names are replaced.

        Returns
        -------
        pathlib.Path
            The report, a page that needs no other file.

        Raises
        ------
        FileError
            If something cannot be written.
        """
        folder = Path(out)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(
                f"Expected a folder that can be made, but {folder} cannot: {error.strerror}."
            ) from error
        for name, table in self.tables.items():
            for suffix in (".csv", ".tex"):
                write_table(table, folder / f"{name}{suffix}")
        for name, figure in self.figures.items():
            for kind in ("png", "pdf"):
                with whole_file(folder / f"{name}.{kind}") as partial:
                    figure.savefig(partial, format=kind, dpi=_DPI, metadata=_undated(kind))
        _write_text(folder / "study.json", json.dumps(self._header(), indent=1, ensure_ascii=False))
        report = folder / "report.html"
        _write_text(report, self._page())
        return report

    def _header(self) -> dict[str, Any]:
        names = ("name", "title", "question", "findings", "prompts")
        return {name: getattr(self, name) for name in names} | {"provenance": dict(self.provenance)}

    def _page(self) -> str:
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("daam_syntax.studies", "templates"),
            autoescape=True,  # prompts and their words are other people's text
            undefined=jinja2.StrictUndefined,
        )
        return environment.get_template("report.html").render(
            study=self,
            tables={
                name: (to_html(table.head(_SHOWN_ROWS)), len(table), _SHOWN_ROWS)
                for name, table in self.tables.items()
            },
            figures={name: _as_data(figure) for name, figure in self.figures.items()},
            provenance=json.dumps(dict(self.provenance), indent=1, ensure_ascii=False),
        )

    def __repr__(self) -> str:
        found = "\n".join(f"  {finding}" for finding in self.findings)
        return f"StudyResult({self.name}: {len(self.prompts)} prompts)\n{found}"


def _as_data(figure: Figure) -> str:
    """Return a figure as a data URL."""
    held = io.BytesIO()
    figure.savefig(held, format="png", dpi=_DPI, metadata=_undated("png"))
    return "data:image/png;base64," + base64.b64encode(held.getvalue()).decode("ascii")


def _undated(kind: str) -> dict[str, Any]:
    return {"CreationDate": None} if kind == "pdf" else {}


def _write_text(path: Path, text: str) -> None:
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="")
