"""The sets of prompts that ship with the package."""

import re
import runpy
from collections import Counter
from pathlib import Path

import pytest

import daam_syntax as ds
from daam_syntax.emoji import vocabulary
from daam_syntax.errors import PromptError
from daam_syntax.language import parse_many
from daam_syntax.language.prompt_sets import SHIPPED, Template
from daam_syntax.studies.syntax.paper import PAPER_RELATIONS

FOLDER = Path(__file__).parents[3] / "data" / "prompts"


def test_every_set_is_there_and_in_the_readme():
    assert {path.stem for path in FOLDER.glob("*.csv")} == set(SHIPPED)
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name in SHIPPED:
        prompts = ds.prompts(name)
        assert not prompts.problems
        assert re.search(rf"\| `{name}.csv` \| {len(prompts)} \|", readme), name
    with pytest.raises(PromptError, match=r"real-models.*'nothing'"):
        ds.prompts("nothing")


def test_they_are_what_the_script_makes(tmp_path):
    script = runpy.run_path(str(FOLDER / "make.py"))
    script["main"](tmp_path)
    made = list(tmp_path.glob("*.csv"))
    assert {path.stem for path in made} == set(SHIPPED) - {"real-models"}
    for path in made:
        assert path.read_bytes() == (FOLDER / path.name).read_bytes(), path.name


def test_the_embedded_model_knows_every_word():
    known = {"a", "an", "the", "and", "of", "is", "that", "there", "with", "picture", "scene", ","}
    phrases = [*vocabulary.CATEGORIES, *vocabulary.PREPOSITIONS, *vocabulary.BACKGROUNDS]
    known |= {word for phrase in phrases for word in phrase.split()}
    known |= {form for forms in vocabulary.VERB_FORMS.values() for form in forms}
    known |= {where for where, _ in vocabulary.BACKGROUNDS.values()}
    known |= {*vocabulary.NOUNS, *vocabulary.COLORS, *vocabulary.SIZES}
    for name in set(SHIPPED) - {"real-models"}:
        rows = [row for row in ds.prompts(name).rows if row.category != "relative clause"]
        words = {word for row in rows for word in re.findall(r"\w+|,", row.text)}
        assert words <= known, name


@pytest.mark.parametrize(("name", "n"), [("emoji-relations", 6), ("real-models", 22)])
def test_relations_are_balanced_and_in_the_parses(name, n):
    rows = ds.prompts(name).rows
    assert Counter(row.relation for row in rows) == dict.fromkeys(PAPER_RELATIONS, n)
    n_prompts, n_edges = Counter(), Counter()
    for row, sentence in zip(rows, parse_many(row.text for row in rows), strict=True):
        relations = [edge.relation for edge in sentence.edges_of("enhanced")]
        assert row.relation in relations, row.text
        n_prompts.update(set(relations))
        n_edges.update(relations)
    counts = " | ".join(f"{n_prompts[r]}, {n_edges[r]}" for r in PAPER_RELATIONS)
    assert f"| `{name}.csv` | {counts} |" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_minimal_pairs_differ_in_one_word():
    pairs = ds.prompts("minimal-pairs").pairs(minimal=True)
    assert len(pairs) == 16
    assert {pair.first.category for pair in pairs} == {
        "noun",
        "color",
        "size",
        "place",
        "preposition",
    }


def test_crossed_pairs_have_the_same_words_at_the_same_places():
    rows = ds.prompts("crossed").rows
    sides = {}
    for row, parse in zip(rows, parse_many(row.text for row in rows), strict=True):
        places = [parse.index(row.slots[slot]) for slot in ("head", "dependent")]
        words = [(place, parse[place].text, parse[place].pos) for place in places]
        sides.setdefault(row.pair, {})[row.role] = words
        for scheme in ("ud", "enhanced"):
            edges = [{edge.head, edge.dependent} for edge in parse.edges_of(scheme)]
            assert (set(places) in edges) == (row.role == "related"), (row.text, scheme)
    assert all(side["related"] == side["unrelated"] for side in sides.values())
    assert Counter(row.category for row in rows) == {"relative clause": 56, "preposition": 24}


def test_nouns_of_cohyponyms_stand_once_in_each_level_in_the_same_place():
    rows = ds.prompts("cohyponyms").rows
    levels = {"cohyponym": "1", "same kind": "0.5", "unrelated": "0"}
    places = []
    for level, similarity in levels.items():
        chosen = [row for row in rows if row.metadata["level"] == level]
        assert {row.metadata["similarity"] for row in chosen} == {similarity}
        places.append([{row.slots[slot] for row in chosen} for slot in ("first", "second")])
        assert [len(nouns) for nouns in places[-1]] == [24, 24]
    assert places[0] == places[1] == places[2]
    assert all(f" {row.slots['first']} and a" in row.text for row in rows)


def test_adjectives_fill_their_template():
    for row in ds.prompts("adjectives").rows:
        values = {"adjective": vocabulary.COLORS, "noun": vocabulary.NOUNS}
        assert Template(row.template, values).fill(row.slots) == row.text
