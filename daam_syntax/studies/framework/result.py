"""The result of a study, and the files it is written to."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jinja2
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from daam_syntax.analysis.export import to_html, to_latex, write_table
from daam_syntax.emoji import model as embedded
from daam_syntax.errors import FileError
from daam_syntax.studies.framework.design import StudyDesign
from daam_syntax.studies.framework.displayed_estimates import estimates_view
from daam_syntax.studies.framework.findings import Finding, estimates_table, sentences
from daam_syntax.studies.framework.plots import draw_findings
from daam_syntax.util.whole_files import whole_file
from daam_syntax.util.wording import plural

if TYPE_CHECKING:
    from daam_syntax.studies.framework.setup import Setup
    from daam_syntax.studies.framework.stored_setup import StoredSetup

_SHOWN_ROWS: Final = 40
_DPI: Final = 150
_PAPER_ROWS, _PAPER_LINE = 40, 90
"""Most rows, and most characters of a row, of a table that fits on a page of a paper."""


@dataclass(frozen=True)
class StudyResult:
    """The result of a study.

    Attributes
    ----------
    design
        The design of the study.
    findings
        Maps the title of each finding to its sentences, with effects, intervals and n.
    tables
        Tables by name; "estimates" has the numbers of the findings.
    figures
        Figures by name; "estimates" shows the estimates of the findings.
    prompts
        The prompts of the study.
    provenance
        Model, settings, seeds and versions; all values can be written as JSON.
    view
        The estimates as the report shows them: those columns that one reads, as text.
    footnotes
        The footnotes of `view`.
    """

    design: StudyDesign
    findings: Mapping[str, tuple[str, ...]]
    tables: Mapping[str, pd.DataFrame]
    figures: Mapping[str, Figure]
    prompts: tuple[str, ...]
    provenance: Mapping[str, Any]
    view: pd.DataFrame
    footnotes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        design: StudyDesign,
        setup: Setup | StoredSetup,
        findings: Sequence[Finding],
        tables: Mapping[str, pd.DataFrame],
        figures: Mapping[str, Figure],
        **settings: Any,
    ) -> StudyResult:
        """Make the result of a study, with its findings as sentences, as a table and as a figure.

        Parameters
        ----------
        design, setup
            The design of the study, and its setup.
        findings
            The findings, in the order of the report.
        tables, figures
            Tables and figures other than those of the estimates.
        **settings
            The study's own options, for the provenance.
        """
        estimates = estimates_table(findings)
        drawn = {"estimates": draw_findings(findings), **figures}
        for figure in drawn.values():
            plt.close(figure)  # else pyplot would keep it in memory; the result holds it
        view, footnotes = estimates_view(findings, estimates)
        return cls(
            design,
            {finding.title: sentences(finding, estimates) for finding in findings},
            {"estimates": estimates, **tables},
            drawn,
            setup.prompts,
            setup.provenance() | settings,
            view,
            tuple(footnotes),
        )

    def write(self, out: str | Path) -> Path:
        """Write tables, figures (PNG, PDF), ``report.html`` and ``study.json`` into a folder.

        Every table is written as CSV, with all its columns. Those that fit on a page are also written as LaTeX; that of
        the estimates has the columns of `view`, with its footnotes.

        Parameters
        ----------
        out
            The folder; it is created if it is missing. Files with the same names are replaced.

        Returns
        -------
        pathlib.Path
            The report, a page that needs no other files.

        Raises
        ------
        FileError
            If a file or the folder cannot be written.
        """
        folder = Path(out)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(
                f"Expected a folder that can be created, but got {folder}: {error.strerror}. Choose another folder."
            ) from error
        for name, table in self.tables.items():
            write_table(table, folder / f"{name}.csv")
            if name == "estimates":
                _write_text(folder / f"{name}.tex", self._latex_estimates())
            elif _fits_a_page(table):
                write_table(table, folder / f"{name}.tex", style="paper")
        for name, figure in self.figures.items():
            for kind in ("png", "pdf"):
                with whole_file(folder / f"{name}.{kind}") as partial:
                    figure.savefig(partial, format=kind, dpi=_DPI, metadata=_undated(kind))
        _write_text(folder / "study.json", json.dumps(self._header(), indent=1, ensure_ascii=False))
        report = folder / "report.html"
        _write_text(report, self._page())
        return report

    def _latex_estimates(self) -> str:
        notes = _ended(self.footnotes)
        return to_latex(self.view, notes=notes, caption=self.design.title, compact=True)

    def _header(self) -> dict[str, Any]:
        about = ("name", "title", "question", "method", "limits")
        return {
            **{name: getattr(self.design, name) for name in about},
            "findings": dict(self.findings),
            "prompts": self.prompts,
            "provenance": dict(self.provenance),
        }

    def _page(self) -> str:
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("daam_syntax.studies", "templates"),
            autoescape=True,  # prompts may contain markup
            undefined=jinja2.StrictUndefined,
        )
        made = self.provenance
        return environment.get_template("report.html").render(
            study=self.design,
            sample=f"{plural(len(self.prompts), 'prompt')}, {plural(made['seeds'], 'seed')} each",
            is_embedded=made["model"] == embedded.NAME,
            made=made,
            findings=self.findings,
            tables={
                name: (self._to_page(name, table), len(table), _SHOWN_ROWS)
                for name, table in self.tables.items()
            },
            figures={name: _as_data(figure) for name, figure in self.figures.items()},
            prompts=self.prompts,
            provenance=json.dumps(dict(made), indent=1, ensure_ascii=False),
        )

    def _to_page(self, name: str, table: pd.DataFrame) -> str:
        if name == "estimates":
            return to_html(self.view, notes=self.footnotes)
        return to_html(table.head(_SHOWN_ROWS))

    def __repr__(self) -> str:
        lines = [f"StudyResult({self.design.name}: {len(self.prompts)} prompts)"]
        for title, found in self.findings.items():
            lines += [f"  {title}", *(f"    {each}" for each in found)]
        return "\n".join(lines)


def _fits_a_page(table: pd.DataFrame) -> bool:
    """Whether a table can be printed in a paper; those with a row for each image or word cannot."""
    rounded = table.round(3)
    widths = [
        max(len(str(value)) for value in (name, *rounded.iloc[:, place]))
        for place, name in enumerate(rounded.columns)
    ]
    return len(table) <= _PAPER_ROWS and sum(widths) <= _PAPER_LINE


def _ended(notes: Sequence[str]) -> list[str]:
    return [f"{note}." for note in notes]


def _as_data(figure: Figure) -> str:
    """Return a figure as a data URL (PNG)."""
    held = io.BytesIO()
    figure.savefig(held, format="png", dpi=_DPI, metadata=_undated("png"))
    return "data:image/png;base64," + base64.b64encode(held.getvalue()).decode("ascii")


def _undated(kind: str) -> dict[str, Any]:
    return {"CreationDate": None} if kind == "pdf" else {}


def _write_text(path: Path, text: str) -> None:
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="")
