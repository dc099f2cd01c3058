"""How findings are shown: as text, HTML, a table, and a line below the maps."""

import json
import pickle
import re

import numpy as np

from benchmarks.diagnosis.page import PAGE, RESULTS, page
from daam_syntax.maps import Diagnosis, Finding
from daam_syntax.maps.diagnosis import recording, shapes
from daam_syntax.maps.diagnosis.findings import KINDS
from helpers.examples import box, make_maps, make_sentence

FLAT = Finding("flat", (0, 3), ("<red>", "red"), "variation", (0.01, 0.02), 0.06, "Means.", "this.")
STEPS = Finding("steps", (), (), "share", (0.05,), 0.25, "Means steps.", "more.")
FOUND = Diagnosis("<red> and red", (FLAT, STEPS), {"border": "few cells"})


def test_a_diagnosis_is_a_sequence():
    assert len(FOUND) == 2
    assert list(FOUND) == [FOUND[0], FOUND[1]] == [FLAT, STEPS]
    assert FOUND[:1] == (FLAT,)
    assert FOUND.kinds == ("flat", "steps")
    assert not Diagnosis("red", ())
    assert pickle.loads(pickle.dumps(FOUND)) == FOUND  # noqa: S301


def test_the_text_has_evidence_meaning_and_remedy():
    assert repr(FOUND).splitlines() == [
        "Diagnosis of '<red> and red': 2 found, 9 kinds checked",
        "- flat: '<red>' (0), 'red' (3)",
        "    variation 0.01, 0.02 (limit 0.06)",
        "    Means.",
        "    Try: this.",
        "- steps",
        "    share 0.05 (limit 0.25)",
        "    Means steps.",
        "    Try: more.",
        "  not checked: border: few cells",
    ]
    assert repr(Diagnosis("red", ())) == "Diagnosis of 'red': nothing found, 10 kinds checked"


def test_the_html_is_escaped():
    view = FOUND._repr_html_()
    assert "<red>" not in view
    assert "&lt;red&gt;" in view
    assert view.count("<li>") == 2


def test_the_table_has_a_row_for_each_word():
    table = FOUND.to_frame()
    assert table["word"].tolist() == [0, 3, -1]
    assert table["value"].tolist() == [0.01, 0.02, 0.05]
    assert table["limit"].tolist() == [0.06, 0.06, 0.25]
    empty = Diagnosis("red", ()).to_frame()
    assert (len(empty), list(empty.columns)) == (0, list(table.columns))
    assert empty.dtypes["word"] == table.dtypes["word"] == np.dtype(int)


def test_the_view_of_maps_has_a_line_only_where_something_is_off():
    good = (
        [box(0, 2, 0, 4, value=0.5)] * 3
        + [box(0, 4, 0, 5)]
        + [box(2, 4, 0, 2)] * 3
        + [box(0, 4, 0, 6)]
    )
    assert "diagnose" not in make_maps(good)._repr_html_()
    good[2] = box(0, 4, 0, 6)
    view = make_maps(good)._repr_html_()
    assert view.count("maps.diagnose()") == 1
    assert "flat: &#x27;car&#x27; (1)" in view


def test_findings_come_in_the_order_of_the_kinds():
    maps = make_maps(
        [np.ones((4, 6), np.float32)] * 7,
        truncated_at=16,
        provenance={"steps": 20, "recorded": [3], "blacked_out": True, "untrained": ["car"]},
    )
    found = maps.diagnose().kinds
    assert found == tuple(kind for kind in KINDS if kind in found)
    assert len(found) == 6  # truncated, untrained, identical, flat, steps, blacked out


def test_the_page_shows_a_finding_as_it_is_printed_and_the_limits():
    shown_page = PAGE.read_text(encoding="utf-8")
    example = re.search(r"    Diagnosis of .*?(?=\n\n)", shown_page, re.DOTALL)[0]
    text = re.search(r"Diagnosis of '(.+?)'", example)[1]
    arrays = [np.ones((4, 6), np.float32)] * 7
    maps = make_maps(
        arrays[:6],
        sentence=make_sentence(text, edges=()),
        provenance={"untrained": ["two", "cats"]},
    )
    (shown,) = [str(each) for each in maps.diagnose() if each.kind == "untrained"]
    for line in shown.splitlines():
        assert line in example
    limits = (recording.SATURATED, shapes.FLAT)
    assert all(f"less than {100 * limit:g}%" in shown_page for limit in limits)
    assert f"below {shapes.SCATTERED:g}" in shown_page
    assert f"more than {shapes.BORDER:g} standard deviations" in shown_page
    assert f"fewer than {recording.FEWEST_STEPS} steps" in shown_page


def test_the_page_has_the_tables_of_the_benchmark():
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(text, results), "results changed: write the page with benchmarks.diagnosis"
    assert all(each["share"] >= 0.95 for each in results["planted"].values())
    assert all(
        each["share"] <= 0.02 for each in (results["good"]["images"], results["good"]["words"])
    )
