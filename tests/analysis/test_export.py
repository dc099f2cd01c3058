"""Tables in Markdown, HTML, CSV and LaTeX, read back by independent means."""

import csv
import io
import re
import shutil
import subprocess
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from daam_syntax import write_table
from daam_syntax.analysis import (
    measure_pairs,
    regress,
    summarize,
    table_notes,
    to_csv,
    to_html,
    to_latex,
    to_markdown,
)
from daam_syntax.analysis.relations.estimates import FEW_STRUCTURES
from daam_syntax.errors import FileError
from helpers.examples import make_maps
from helpers.simulated import random_pairs

NASTY = ["50% of_a & b #1 {x} $y^2~z\\", "=SUM(A1)", "a | b < c > *d* `e`", "[not an option]", "é"]


@pytest.fixture
def nasty():
    numbers = [0.12345, -0.5, np.nan, 2.0, 1e-7]
    return pd.DataFrame({"head & word_1": NASTY, "iou": numbers, "p": numbers, "n": range(5)})


@pytest.fixture(scope="module")
def summary():
    return summarize(random_pairs(np.random.default_rng(0)))


SHOWN = [["0.123", "-0.500", "-", "2.000", "0.000"], ["0.123", "< 0.001", "-", "2.000", "< 0.001"]]


def latex_cells(text):
    """Read the cells of a LaTeX table, undoing every escape."""
    body = text.split(r"\toprule")[1].split(r"\bottomrule")[0].replace("\\midrule\n", "")
    names = {"textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^"}
    names |= {"textless": "<", "textgreater": ">", "textbar": "|"}

    def read(cell):
        if cell == "--":
            return "-"
        cell = re.sub(r"\\(\w+)\{\}|\\([&%$#_{}])|\$-\$", undo, cell)
        return cell.removeprefix("\0")

    def undo(match):
        if match[0] == "$-$":
            return "-"
        return names[match[1]] if match[1] else match[2]

    rows = [line.removesuffix(r" \\") for line in body.strip().splitlines()]
    assert all(row.startswith("{}") for row in rows)
    return [[read(cell) for cell in re.split(r"(?<!\\) & ", row[2:])] for row in rows]


def test_latex_cells_read_back_as_they_were(nasty):
    cells = latex_cells(to_latex(nasty))
    assert cells[0] == ["head & word_1", "iou", "p", "n"]
    assert [row[0] for row in cells[1:]] == NASTY
    assert [[row[i] for row in cells[1:]] for i in (1, 2)] == [
        SHOWN[0],
        ["0.123", "< 0.001", "-", "2.000", "< 0.001"],
    ]


def test_latex_has_booktabs_and_balanced_groups(nasty):
    text = to_latex(nasty, caption="100% of a_b", label="tab:x", notes=["n = 5 & more."])
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert text.count(rule) == 1
    assert r"\begin{tabular}{lrrr}" in text
    assert r"\caption{100\% of a\_b}" in text
    assert r"\label{tab:x}" in text
    assert r"n = 5 \& more." in text
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}")
    assert text.count(r"\begin") == text.count(r"\end") == 2


def test_more_rows_than_a_page_make_a_longtable(nasty):
    long = pd.concat([nasty] * 9, ignore_index=True)
    text = to_latex(long, caption="Many", label="tab:many", notes=["n & m"])
    assert text.startswith("\\begin{longtable}{lrrr}\n\\caption{Many} \\label{tab:many} \\\\\n")
    assert text.count("\\toprule") == 2  # on the first page, and on every further one
    assert text.count("\\endhead") == text.count("\\endfoot") == text.count("\\bottomrule") == 1
    body = text.split("\\endlastfoot\n")[1].split("\\end{longtable}")[0]
    assert body.count("\n") == len(long)
    assert text.endswith("{\\footnotesize n \\& m\\par}\n")
    assert "longtable" not in to_latex(long.head(40))


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX here")
def test_latex_compiles(nasty, summary, tmp_path):
    long = pd.concat([nasty] * 300, ignore_index=True)
    tables = to_latex(nasty, caption="A_b & 5%", label="tab:a") + to_latex(summary.iloc[:, :6])
    tables += to_latex(long, caption="Long", label="tab:b", notes=["n & m"]) + to_latex(long)
    tables += to_latex(long, compact=True)
    signs = pd.DataFrame({"Σ": ["−0.2 to 0.1", "p ≤ 0.05", "A ∩ B ∪ C", "√λ ≥ Δδ ± 1 × 2"]})
    tables += to_latex(signs, notes=["The difference is −0.1."])
    grouped = pd.DataFrame(
        {"mean": ["A heading (a)", "one row"], "n": ["", "12"], "p (Holm)": ["", "0.1"]}
    )
    assert r"\multicolumn{3}{@{}l@{}}{{}A heading (a)} \\" in to_latex(grouped, compact=True)
    tables += to_latex(grouped, compact=True)
    eight = summarize(measure_pairs(make_maps(image_size=(40, 60))), n_resamples=99).assign(
        difference=-0.123,
        difference_low=-0.456,
        difference_high=-0.001,
        corrected=-0.2,
        least_p=0.01,
    )
    assert len(eight.view().columns) == 8
    write_table(eight, tmp_path / "paper.tex", style="paper")
    paper = (tmp_path / "paper.tex").read_text(encoding="utf-8")
    assert "$-$0.456 to $-$0.001" in paper
    tables += f"\\typeout{{PAPER}}{paper}\\typeout{{END}}"
    head = "\\documentclass{article}\\usepackage{booktabs,longtable}\\begin{document}\n"
    (tmp_path / "t.tex").write_text(head + tables + "\\end{document}\n", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    printed = done.stdout.decode("utf-8", "replace").partition("PAPER")[2].partition("END")[0]
    assert "Overfull" not in printed  # it fits the text of an article
    head = "\\documentclass[twocolumn]{article}\\usepackage{booktabs,graphicx}\\begin{document}\n"
    (tmp_path / "t.tex").write_text(head + paper + "\\end{document}\n", encoding="utf-8")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert b"Overfull" not in done.stdout  # and is scaled down to a column


def test_html_is_well_formed_and_escaped(nasty):
    text = to_html(nasty, caption="a < b", notes=["n & m"])
    root = ElementTree.fromstring(f"<div>{text}</div>")
    rows = [["".join(cell.itertext()).strip() for cell in row] for row in root.iter("tr")]
    assert rows[0] == ["head & word_1", "iou", "p", "n"]
    assert [row[0] for row in rows[1:]] == NASTY
    assert [row[1] for row in rows[1:]] == SHOWN[0]
    sides = [
        [cell.get("style", root.find("table").get("style")) for cell in r] for r in root.iter("tr")
    ]
    right = "text-align: right;"
    assert sides == [["text-align: left", right, right, right]] * 6
    assert root.find("table/caption").text == "a < b"
    assert root.find("p/small").text == "n & m"


def test_markdown_keeps_its_columns(nasty):
    lines = to_markdown(nasty, notes=[]).strip().splitlines()
    assert re.fullmatch(r"\|:-{3,}\|-{3,}:\|-{3,}:\|-{3,}:\|", lines[1])
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    assert {len(row) for row in cells} == {4}
    read = [re.sub(r"\\([\\|*_`<>\[\]])", r"\1", row[0].strip()) for row in cells]
    assert read == ["head & word_1", lines[1].split("|")[1], *NASTY]


def test_csv_neutralizes_formulas_and_keeps_numbers(nasty):
    texts = ["=1+1", "+cmd", "-cmd", "@SUM(1)", "-0.5", "\tx"]
    table = pd.DataFrame(
        {"=name": texts, "value": [-0.1, 1 / 3, np.nan, -2, 0, 1], "gap": [None] * 6}
    )
    rows = list(csv.reader(io.StringIO(to_csv(table), newline="")))
    assert rows[0] == ["'=name", "value", "gap"]
    assert [row[0] for row in rows[1:]] == ["'=1+1", "'+cmd", "'-cmd", "'@SUM(1)", "-0.5", "'\tx"]
    assert [row[1] for row in rows[1:]] == ["-0.1", str(1 / 3), "", "-2.0", "0.0", "1.0"]
    assert [row[2] for row in rows[1:]] == [""] * 6
    plain = nasty.drop(index=1)
    assert to_csv(plain) == plain.to_csv(index=False, lineterminator="\n")


def test_notes_describe_sample_intervals_test_and_correction(summary):
    notes = " ".join(table_notes(summary))
    for part in (
        "n = 12 prompts.",
        "Intervals of iou: 95%, symmetric studentized bootstrap, clustered by prompt.",
        "Differences from the same words with exchanged partners in the same images: sign flips,",
        "adjusted by Holm",
    ):
        assert part in notes
    assert table_notes(pd.DataFrame({"a": [1]})) == []
    pairs = random_pairs(np.random.default_rng(0))
    crossed = summarize(pairs, cluster=("prompt_id", "head_lemma"), correction="none")
    notes = " ".join(table_notes(crossed))
    assert "two-way clustered errors, clustered by prompt and head lemma" in notes
    assert "not adjusted" in notes


@pytest.mark.parametrize("suffix", [".md", ".html", ".csv", ".tex", ".TEX"])
def test_the_suffix_names_the_format(summary, suffix, tmp_path):
    path = tmp_path / f"summary{suffix}"
    write_table(summary[["relation", "n_prompts", "iou", "low", "high", "p_adjusted"]], path)
    text = path.read_text(encoding="utf-8")
    assert "amod" in text
    assert ("clustered by prompt" in text) == (suffix != ".csv")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_footnotes_of_a_paper_are_sentences_about_its_columns(summary, tmp_path):
    path = tmp_path / "summary.md"
    few = summary.assign(note=f"5 prompts ({FEW_STRUCTURES})", difference=-1e-9)
    write_table(few, path, style="paper")
    text = path.read_text(encoding="utf-8")
    assert (
        "(a): 5 prompts (prompts share their structures). Means over prompts;" in text
    )  # no advice
    assert "Intervals of iou" not in text  # the interval that is shown is that of the difference
    assert "the 95% interval that they do not reject" in text
    assert "-0.000" not in text


def test_the_table_of_a_regression_is_written(summary, tmp_path):
    fit = regress(random_pairs(np.random.default_rng(0)), reference="unrelated")
    with pytest.raises(TypeError, match="of a regression: its `terms`"):
        write_table(fit, tmp_path / "fit.md")
    write_table(fit.terms, tmp_path / "fit.md", style="paper")
    assert "standard error" in (tmp_path / "fit.md").read_text(encoding="utf-8")


def test_unknown_suffixes_are_refused(summary, tmp_path):
    with pytest.raises(FileError, match=r"\.csv, \.tex, but got 'summary\.xlsx'"):
        write_table(summary, tmp_path / "summary.xlsx")


def test_empty_tables_have_a_header(nasty):
    empty = nasty.iloc[:0]
    assert latex_cells(to_latex(empty)) == [["head & word_1", "iou", "p", "n"]]
    assert len(to_markdown(empty).strip().splitlines()) == 2
    assert to_csv(empty).count("\n") == 1
    assert "\\toprule" in to_latex(pd.DataFrame())
