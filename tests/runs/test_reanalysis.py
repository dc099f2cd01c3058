"""Stored runs: reanalysis, cost estimates, and robustness to untrusted prompts and files."""

import re
import shutil
import tempfile
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from daam_syntax import runs
from daam_syntax.analysis import measure_pairs, summarize, word_table, write_table
from daam_syntax.errors import FileError, ParserError, ThresholdError
from daam_syntax.language import PromptSet
from daam_syntax.runs.store.locking import locked
from helpers.commands import run_here
from helpers.imports import MODEL_LIBRARIES, loaded_by
from helpers.synthetic_run import write_run

PROMPTS = ["a red cat", "one", "a red red house in the snow"]
LAST = "problems/part-00001.parquet"
"""The file of a shard that is written last, and has a copy of its record."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run") / "run", PROMPTS, seeds=3)


@pytest.fixture(scope="module")
def with_metadata(tmp_path_factory):
    """A run of prompts with metadata, except the last one."""
    rows = [
        {"prompt": "a red cat", "category": "pets", "slot.noun": "cat", "pair": "1", "id": "x"},
        {"prompt": "a red dog", "category": "pets", "slot.noun": "dog", "pair": "1"},
        {"prompt": "a big red house", "category": "=1+1", "relation": "amod"},
        {"prompt": "a house in the snow"},
    ]
    path = tmp_path_factory.mktemp("metadata") / "run"
    return write_run(path, PromptSet.from_records(rows), seeds=2)


def test_a_run_is_reanalyzed_without_drawing(run):
    again = run.reanalyze(threshold=["relative:0.3", "absolute:0.5"], measures=["iod", "soft_iou"])
    maps = list(run.maps())
    rules = ["relative:0.3", "absolute:0.5"]
    expected = measure_pairs(maps, schemes="ud", threshold=rules, measures=["iod", "soft_iou"])
    pd.testing.assert_frame_equal(again.pairs(), expected, check_dtype=False)
    words = pd.concat([word_table(maps, threshold=rule) for rule in rules])
    keys = ["threshold", "image", "index"]
    pd.testing.assert_frame_equal(
        again.words().sort_values(keys, ignore_index=True),
        words.sort_values(keys, ignore_index=True),
        check_dtype=False,
    )
    summary = again.summarize()
    pd.testing.assert_frame_equal(summary, summarize(expected, measure="iod"), check_dtype=False)
    pd.testing.assert_frame_equal(run.pairs(), measure_pairs(maps, schemes="ud"), check_dtype=False)


def test_reanalysis_with_the_same_rules_gives_the_same_tables(run):
    pd.testing.assert_frame_equal(run.reanalyze().pairs(), run.pairs())


def test_two_reanalyses_of_a_run_that_goes_on_do_not_mix(tmp_path):
    """The second finds a shard between those of the first, which a worker finished later."""
    whole = write_run(tmp_path / "run", PROMPTS, seeds=3, batch_size=1, shard_size=3)
    paths = [whole.path / name for name in ("committed/part-00001.json", LAST)]
    for path in paths:
        path.rename(tmp_path / path.name)
    first = runs.open_run(whole.path).reanalyze(threshold="absolute:0.2")
    before = first.words()
    assert sorted(before["image"].unique()) == [0, 1, 2, 6, 7, 8]
    for path in paths:
        (tmp_path / path.name).rename(path)
    second = runs.open_run(whole.path).reanalyze(threshold="absolute:0.2")
    assert first.path == second.path
    assert sorted(second.words()["image"].unique()) == list(range(9))
    pd.testing.assert_frame_equal(first.words(), before)
    with locked(first.path), pytest.raises(FileError, match="another process is writing there"):
        whole.reanalyze(threshold="absolute:0.2")


def test_reanalysis_with_another_parse(run):
    again = run.reanalyze(parser="en_core_web_sm")
    assert set(run.pairs()["relation"]) == {"dep", "unrelated"}
    assert {"det", "amod"} <= set(again.pairs()["relation"])
    assert again.pairs()["image"].nunique() == 6  # a single word is no pair


def test_unknown_rules_are_refused(run):
    with pytest.raises(ThresholdError, match="median"):
        run.reanalyze(threshold="median")
    with pytest.raises(ThresholdError, match="at least one threshold"):
        run.reanalyze(threshold=[])
    with pytest.raises(ParserError, match="'mine'"):
        run.reanalyze(schemes="mine")
    with pytest.raises(ValueError, match="color"):
        run.reanalyze(measures="color")
    with pytest.raises(ValueError, match="Expected prompts as clusters"):
        run.summarize(cluster="seed")


@pytest.mark.parametrize("by", [["category"], ["slot.noun", "relation", "pair"]])
def test_groups_by_prompt_metadata(with_metadata, by):
    pairs = with_metadata.table("pairs").merge(
        with_metadata.prompts.to_frame().drop(columns="relation"), on="prompt"
    )
    own = ["category", "slot.noun", "pair"]
    pd.testing.assert_frame_equal(with_metadata.pairs()[own], pairs[own])
    again = with_metadata.reanalyze(measures=["iod", "ioh", "phi"])
    for each, measure in ((with_metadata, "iou"), (again, "iod")):
        expected = summarize(pairs, by, measure=measure)
        found = each.summarize(by)
        pd.testing.assert_frame_equal(found, expected[list(found.columns)], check_dtype=False)
    page = (runs.report(with_metadata, by=by) / "index.html").read_text()
    assert f"Grouped by {', '.join(by)}." in page


def test_an_unknown_column_is_refused(with_metadata):
    with pytest.raises(
        ValueError, match=r"of its prompts \(.*category, slot\.noun\), but got color"
    ):
        with_metadata.summarize(["category", "color"])
    done = run_here("report", ".", "--by", "color", cwd=with_metadata.path)
    assert done.returncode == 1
    assert "category, slot.noun), but got color" in done.stderr
    done = run_here(
        "report", ".", "--by", "category", "--measure", "soft_iou", cwd=with_metadata.path
    )
    assert done.returncode == 0, done.stderr
    assert "Summary by category" in done.stdout
    assert "soft_iou" in done.stdout


def test_a_report_shows_the_columns_that_one_reads(with_metadata):
    folder = runs.report(with_metadata, by="relation", accept="place")
    page = BeautifulSoup((folder / "index.html").read_text(), "html.parser")
    shown, every = page.find_all("table")[:2]
    summary = with_metadata.summarize("relation", accept="place")
    assert [cell.text.strip() for cell in shown.find_all("th")] == list(summary.view().columns)
    assert every.find_parent("details")
    assert [cell.text for cell in every.find_all("th")] == [
        name for name in summary.columns if name != "note"
    ]
    for note in set(summary["note"]) - {""}:
        assert note in page.text
    assert "may also be due to place" in " ".join(page.text.split())
    assert page.find("meta", attrs={"name": "viewport"})
    done = run_here("report", ".", "--accept", "place", cwd=with_metadata.path)
    assert done.returncode == 0, done.stderr
    assert run_here("report", ".", "--accept", "x", cwd=with_metadata.path).returncode == 1


def test_reanalysis_needs_no_model(run):
    code = (
        f"from daam_syntax import runs; run = runs.open_run({str(run.path)!r}); "
        "runs.report(run, tables=run.reanalyze(threshold='absolute:0.5'))"
    )
    assert loaded_by(code, MODEL_LIBRARIES) == "[]"
    page = next(run.path.glob("analyses/*/report/index.html")).read_text()
    assert "absolute:0.5" in page


class Texts(HTMLParser):
    """The elements, attributes and texts of an HTML page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.texts = set(), set(), []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.texts.append(data)


NASTY = [
    "../../etc/x",
    "=cmd|'/c'!A0",
    "<script>x</script>",
    "{{7*7}}",
    "$(touch",
    "-1+1",
    "\x00",
    "@x",
    "'; drop",
]
WORDS = st.one_of(
    st.sampled_from(NASTY), st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
)
TEXTS = st.lists(WORDS.map(lambda w: "".join(w.split(" ")) or "x"), min_size=1, max_size=3)


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(TEXTS.map(" ".join), min_size=1, max_size=3, unique=True))
def test_untrusted_prompts_are_only_text(prompts):
    # As on the command line, unusable prompts are left out.
    usable = PromptSet.from_records(["a", *prompts], strict=False)
    prompts = list(usable)
    with tempfile.TemporaryDirectory() as place:
        run = write_run(Path(place) / "run", usable)
        assert list(run.prompts) == prompts
        assert run.images()["prompt"].tolist() == prompts
        assert [maps.prompt for maps in run.maps()] == prompts
        words = [word for prompt in prompts for word in prompt.split(" ")]
        assert run.words()["word"].tolist() == words
        page = (runs.report(run, by=["relation", "head"]) / "index.html").read_text()
        inside = Texts(page)
        assert not {"script", "iframe", "img", "a", "link"} & inside.tags
        assert not [name for name in inside.attributes if name.startswith("on")]
        files = [p.relative_to(place) for p in Path(place).glob("**/*") if p.is_file()]
        expected = re.compile(
            r"run/(\.lock|manifest(\.backup)?\.json|(sentences|prompts)\.parquet|report/(index\.html|\w+\.csv)"
            r"|\w+/part-\d{5}\.(parquet|json)|problems/prompts\.parquet)"
        )
        assert all(expected.fullmatch(str(file)) for file in files)


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=5))
@example(["\r", "a\r\nb"])
def test_no_cell_of_a_csv_file_starts_like_a_formula(texts):
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "table.csv"
        write_table(pd.DataFrame({"text": texts, "n": -1.5}), path)
        read = pd.read_csv(path, keep_default_na=False, dtype={"text": str}, engine="c")
    assert read["n"].eq(-1.5).all()
    is_number = read["text"].str.fullmatch(r"[+-]?[\d.]+([eE][+-]?\d+)?")
    texts = read["text"][~is_number]
    assert not texts.str.startswith(("=", "+", "-", "@", "\t", "\r", "\n")).any()


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_an_altered_byte_is_refused_or_makes_no_difference(run, data):
    names = [p for p in sorted(run.path.glob("*")) if p.is_file() and p.name != ".lock"]
    names += sorted(run.path.glob("*/part-00001.*"))
    file = data.draw(st.sampled_from(names))
    content = bytearray(file.read_bytes())
    where = data.draw(st.integers(0, len(content) - 1))
    content[where] ^= data.draw(st.integers(1, 255))
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "run"
        shutil.copytree(run.path, copy, ignore=shutil.ignore_patterns("analyses", "report"))
        (copy / file.relative_to(run.path)).write_bytes(content)
        try:
            altered = runs.open_run(copy)
            tables = [altered.pairs(), altered.words(), altered.images(), altered.problems()]
            prompts = altered.prompts
            maps, images = list(altered.maps()), list(altered.pil_images())
        except FileError:
            return  # any other error fails
    expected = [run.pairs(), run.words(), run.images(), run.problems()]
    for table, reference in zip(tables, expected, strict=True):
        pd.testing.assert_frame_equal(table, reference)
    for each, reference in zip(maps, run.maps(), strict=True):
        np.testing.assert_array_equal(each.data, reference.data)
    assert prompts == run.prompts
    assert len(images) == 9
