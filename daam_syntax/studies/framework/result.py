"""What a study found, and writing it down."""

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

from daam_syntax.analysis.export import to_html, write_table
from daam_syntax.errors import FileError
from daam_syntax.pipelines.loading import EMOJI
from daam_syntax.studies.framework.design import StudyDesign
from daam_syntax.studies.framework.findings import Finding, estimates_table, sentences
from daam_syntax.studies.framework.plots import draw_answers
from daam_syntax.util.whole_files import whole_file
from daam_syntax.util.wording import plural

if TYPE_CHECKING:
    from daam_syntax.studies.framework.setup import Setup
    from daam_syntax.studies.framework.stored_setup import StoredSetup

_SHOWN_ROWS: Final = 40
_DPI: Final = 150
_HIDDEN: Final = ["answer", "level", "standard_error"]
"""Columns of the estimates that the page says elsewhere."""


@dataclass(frozen=True)
class StudyResult:
    """The result of a study.

    Attributes
    ----------
    design
        What was asked, and how.
    findings
        The answers in sentences: title to effects, intervals and n.
    tables
        Tables by name; "estimates" holds what the findings say.
    figures
        Figures by name; "estimates" draws what the findings say.
    prompts
        The prompts that were used.
    provenance
        Model, settings, seeds, versions; all values can be written as JSON.
    """

    design: StudyDesign
    findings: Mapping[str, tuple[str, ...]]
    tables: Mapping[str, pd.DataFrame]
    figures: Mapping[str, Figure]
    prompts: tuple[str, ...]
    provenance: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        design: StudyDesign,
        setup: Setup | StoredSetup,
        answers: Sequence[Finding],
        tables: Mapping[str, pd.DataFrame],
        figures: Mapping[str, Figure],
        **settings: Any,
    ) -> StudyResult:
        """Make the result of a study: its estimates as sentences, table and figure, and what it drew.

        Parameters
        ----------
        design, setup
            What was asked, and what was drawn.
        answers
            What was found.
        tables, figures
            Beside those of the estimates.
        **settings
            The study's own options, for the provenance.
        """
        estimates = estimates_table(answers)
        drawn = {"estimates": draw_answers(answers), **figures}
        for figure in drawn.values():
            plt.close(figure)  # the result holds it: pyplot would keep it for good
        return cls(
            design,
            {answer.title: sentences(answer, estimates) for answer in answers},
            {"estimates": estimates, **tables},
            drawn,
            setup.prompts,
            setup.provenance() | settings,
        )

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
            autoescape=True,  # prompts and their words are other people's text
            undefined=jinja2.StrictUndefined,
        )
        made = self.provenance
        return environment.get_template("report.html").render(
            study=self.design,
            sample=f"{plural(len(self.prompts), 'prompt')}, {plural(made['seeds'], 'seed')} each",
            is_embedded=made["model"] == EMOJI,
            made=made,
            findings=self.findings,
            tables={
                name: (_to_page(name, table), len(table), _SHOWN_ROWS)
                for name, table in self.tables.items()
            },
            figures={name: _as_data(figure) for name, figure in self.figures.items()},
            prompts=self.prompts,
            provenance=json.dumps(dict(made), indent=1, ensure_ascii=False),
        )

    def __repr__(self) -> str:
        lines = [f"StudyResult({self.design.name}: {len(self.prompts)} prompts)"]
        for title, found in self.findings.items():
            lines += [f"  {title}", *(f"    {each}" for each in found)]
        return "\n".join(lines)


def _to_page(name: str, table: pd.DataFrame) -> str:
    shown = table.drop(columns=_HIDDEN) if name == "estimates" else table
    return to_html(shown.head(_SHOWN_ROWS))


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
