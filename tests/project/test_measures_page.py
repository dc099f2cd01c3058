"""docs/measures.md agrees with the declarations of measures and threshold rules."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from daam_syntax.maps.measures import (
    BINDING_MEASURES,
    BREADTH_MEASURES,
    DEFAULT_PAIR_MEASURES,
    MASK_MEASURES,
    PAIR_MEASURES,
)
from daam_syntax.maps.thresholds import RULES, parse_threshold

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "measures.md").read_text(encoding="utf-8")


def rows_of(title):
    """The cells of the first table under a heading."""
    lines = PAGE.split(f"## {title}\n")[1].split("\n## ")[0].splitlines()
    table = [line for line in lines if line.startswith("| `")]
    return [[c.strip().replace("\\|", "|") for c in re.split(r"(?<!\\)\|", r)[1:-1]] for r in table]


def invariances(claimed):
    return ", ".join(i for i in ("scale", "shift", "pixels") if i in claimed) or "-"


def test_the_page_is_up_to_date():
    tool = runpy.run_path(str(ROOT / "tools" / "measures_page.py"))
    assert tool["updated"](PAGE) == PAGE, "run python -m tools.measures_page"


def test_every_measure_of_a_pair_is_listed_as_declared():
    assert rows_of("Measures of a pair") == [
        [
            f"`{m.name}`",
            m.formula,
            m.range,
            m.unit,
            m.higher,
            m.chance_text,
            m.mirror_text,
            invariances(m.invariant),
            m.undefined,
            m.zero_mass_text,
            m.use,
            m.source,
        ]
        for m in PAIR_MEASURES.values()
    ]
    assert ", ".join(f"`{name}`" for name in DEFAULT_PAIR_MEASURES) in PAGE
    by_name = {row[0].strip("`"): row for row in rows_of("Measures of a pair")}
    assert by_name["phi"][5:7] == ["0", "the same"]
    assert by_name["iod"][5:7] == ["-", "`ioh`"]
    assert by_name["offset_x"][5:7] == ["0", "-`offset_x`"]


@pytest.mark.parametrize(
    ("title", "registry"),
    [
        ("Measures of one map", BREADTH_MEASURES),
        ("Binding of modifiers", BINDING_MEASURES),
        ("Maps against masks", MASK_MEASURES),
    ],
)
def test_every_other_measure_is_listed_as_declared(title, registry):
    area_free = any(m.area_free for m in registry.values())
    assert rows_of(title) == [
        [
            f"`{m.name}`",
            m.formula,
            m.range,
            m.unit,
            m.higher,
            *([m.chance_text] if area_free else []),
            invariances(m.invariant),
            m.undefined,
            m.zero_mass_text,
            m.use,
            m.source,
        ]
        for m in registry.values()
    ]


def test_every_rule_is_listed_as_declared():
    rows = rows_of("Masks")
    assert rows[:-2] == [
        [
            f"`{rule.example}`",
            rule.formula,
            invariances({how for how in ("scale", "shift") if getattr(rule, how)}),
            rule.source,
        ]
        for rule in RULES.values()
    ]
    for preset, cut, *_ in rows[-2:]:
        assert f"`{parse_threshold(preset.strip('`'))}`" in cut


@pytest.fixture(scope="module")
def examples():
    """What the page's examples compute, run in order."""
    scope = {}
    for source in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(source, "measures.md", "exec"), scope)
    return scope


def test_the_dominance_example_gives_the_printed_numbers(examples):
    printed = {
        rule.strip("`"): float(value)
        for rule, value, _ in rows_of("The threshold decides who dominates")
    }
    assert printed == pytest.approx(examples["dominance"], abs=0.005)
    assert min(printed.values()) < 1 < max(printed.values())  # the rule decides the direction


def test_the_numbers_of_words_that_share_a_place(examples):
    section = PAGE.split("## Words that share a place\n")[1].split("\n## ")[0]
    rows = re.findall(r"\| (\d+) and (\d+) \| ([\d.]+) \| ([\d.]+) \|", section)
    printed = {(int(a), int(b)): (float(phi), float(lift)) for a, b, phi, lift in rows}
    assert list(printed) == [(120, 120), (120, 600), (600, 600)]
    for areas, found in examples["shared_place"].items():
        assert printed[areas] == pytest.approx(found, abs=0.0051)
    # An independent check found these.
    found = np.array(list(printed.values()))
    np.testing.assert_allclose(found, [[0.11, 1.81], [0.17, 1.39], [0.29, 1.20]], atol=0.04)
