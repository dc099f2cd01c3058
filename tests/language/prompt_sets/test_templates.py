"""Templates, pairs and samples of prompts."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daam_syntax.errors import PromptError
from daam_syntax.language import PromptSet, parse
from daam_syntax.language.prompt_sets import Template
from daam_syntax.language.prompt_sets.sampling import choose

COLORS, NOUNS = ["red", "orange"], ["cat", "owl", "hour"]


def test_all_fillings_in_order_with_articles_that_fit():
    prompts = PromptSet.from_template(
        "a {color} {noun} on a {noun}", {"color": [*COLORS, ""], "noun": NOUNS}
    )
    assert list(prompts) == [
        "a red cat on a cat",
        "a red owl on an owl",
        "a red hour on an hour",
        "an orange cat on a cat",
        "an orange owl on an owl",
        "an orange hour on an hour",
        "a cat on a cat",
        "an owl on an owl",
        "an hour on an hour",
    ]
    assert prompts.rows[6].values() == {
        "id": prompts.rows[6].id,
        "prompt": "a cat on a cat",
        "template": "a {color} {noun} on a {noun}",
        "slot.noun": "cat",
    }


def test_slots_of_one_list_never_have_the_same_value():
    template = Template("a {first:noun} and a {second:noun}, {{x}}", {"noun": NOUNS})
    found = [(row.slots["first"], row.slots["second"]) for row in template.prompts()]
    assert found == list(itertools.permutations(NOUNS, 2))
    assert next(template.prompts()).text == "a cat and an owl, {x}"


@settings(max_examples=30)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=4), st.integers(0, 2**32))
def test_every_filling_is_there_once(lists, seed):
    values = {f"l{n}": [f"w{n}{i}" for i in range(n + 2)] for n in range(3)}
    text = " ".join(f"{{s{i}:l{n}}}" for i, n in enumerate(lists))
    if any(lists.count(n) > n + 2 for n in lists):
        with pytest.raises(PromptError, match="at least as many values"):
            Template(text, values)
        return
    template = Template(text, values)
    texts = [row.text for row in template.prompts()]
    expected = math.prod(math.perm(n + 2, lists.count(n)) for n in set(lists))
    assert len(texts) == len(set(texts)) == template.n_fillings == expected
    sampled = [row.text for row in template.prompts(expected, seed)]
    assert sorted(sampled) == sorted(texts)


def test_samples_are_seeded():
    values = {"noun": [f"noun{n}" for n in range(10_000)]}
    options = {"n": 20, "seed": 1}
    text = "{a:noun} {b:noun} {c:noun} {d:noun} {e:noun}"  # more fillings than 64 bits can count
    prompts = PromptSet.from_template(text, values, **options)
    assert prompts == PromptSet.from_template(text, values, **options)
    assert prompts != PromptSet.from_template(text, values, n=20, seed=2)
    assert len(prompts) == 20
    with pytest.raises(PromptError, match="choose how many to sample"):
        PromptSet.from_template(text, values)
    with pytest.raises(PromptError, match="1 to 3 prompts, but got 4"):
        PromptSet.from_template("{noun}", {"noun": NOUNS}, n=4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a cat", "with slots"),
        ("a {verb}", r"slot 'verb', but got only the lists: noun"),
        ("a {noun.__class__}", "in the braces"),
        ("a {noun[0]}", "in the braces"),
        ("a {noun!r}", "in the braces"),
        ("a {noun:>10}", "in the braces"),
        ("a {0}", "in the braces"),
        ("a {noun:{noun}}", "in the braces"),
        ("a {noun", "is not one"),
        ("a {empty}", "values for the slot"),
    ],
)
def test_other_templates_are_refused_and_nothing_in_them_is_run(text, message):
    with pytest.raises(PromptError, match=message):
        Template(text, {"noun": NOUNS, "empty": []})


def test_minimal_pairs_of_a_template():
    values = {"color": COLORS, "noun": ["cat", "owl", "elephant", "dog"]}
    prompts = PromptSet.from_template("a {color} {noun}", values, exchange="noun", n=4, seed=3)
    pairs = prompts.pairs(minimal=True)
    assert len(pairs) == 4
    for pair in pairs:
        assert pair.exchanged == ((pair.first.slots["noun"], pair.second.slots["noun"]),)
        assert pair.first.slots["color"] == pair.second.slots["color"]
        assert (pair.first.role, pair.second.role) == ("first", "second")
    with pytest.raises(PromptError, match="found only 4"):
        PromptSet.from_template("a {color} {noun}", values, exchange="noun", n=5)
    with pytest.raises(PromptError, match="one of the slots"):
        PromptSet.from_template("a {color} {noun}", values, exchange="verb", n=1)


def pair_of(first, second):
    rows = [{"prompt": first, "pair": "p"}, {"prompt": second, "pair": "p"}]
    return PromptSet.from_records(rows).pairs()[0]


@pytest.mark.parametrize(
    ("first", "second", "exchanged", "is_minimal"),
    [
        ("a red cat, asleep", "a red dog, asleep", (("cat", "dog"),), True),
        ("a cat", "an owl", (("cat", "owl"),), True),
        (
            "a red car and a blue cup",
            "a blue car and a red cup",
            (("red", "blue"), ("blue", "red")),
            False,
        ),
        ("a cat", "A cat", (), False),
        ("a cat", "the cat", (("a", "the"),), True),
        ("a cat", "a cat here", None, False),
    ],
)
def test_what_a_pair_differs_in(first, second, exchanged, is_minimal):
    pair = pair_of(first, second)
    assert pair.exchanged == exchanged
    assert pair.is_minimal == is_minimal


def test_all_pairs_that_are_not_minimal_are_named():
    rows = [("a", "cat"), ("a", "big dog"), ("b", "cow"), ("b", "pig"), ("c", "x y"), ("c", "y x")]
    prompts = PromptSet.from_records({"prompt": text, "pair": pair} for pair, text in rows)
    assert len(prompts.pairs()) == 3
    with pytest.raises(PromptError, match="2 do not: a: 'cat' and 'big dog'; c: "):
        prompts.pairs(minimal=True)
    with pytest.raises(PromptError, match="there are none"):
        PromptSet.from_records(["a cat"]).pairs()
    assert [row.pair for row in prompts.where(lambda row: row.text != "cat").rows][:2] == ["", "b"]


# -- samples ---------------------------------------------------------------------------------------------------------


def test_a_sample_is_seeded_and_in_order():
    prompts = PromptSet.from_records(str(number) for number in range(100))
    sample = prompts.sample(10, seed=4)
    assert sample == prompts.sample(10, seed=4)
    assert sample != prompts.sample(10, seed=5)
    assert [int(text) for text in sample] == sorted(int(text) for text in sample)
    with pytest.raises(PromptError, match="1 to 100"):
        prompts.sample(101)


def test_balanced_by_a_column():
    rows = [{"prompt": str(n), "category": "even" if n % 2 == 0 else "odd"} for n in range(9)]
    rows.append({"prompt": "x", "category": "letter"})
    prompts = PromptSet.from_records(rows)
    sample = prompts.stratify(3, by="category", seed=1)
    assert sample.counts == {"even": 3, "odd": 3, "letter": 1}
    assert sample.missing == {"letter": 2}
    assert "letter: 1, 2 too few" in str(sample)
    assert sample.prompts.to_frame()["category"].value_counts().to_dict() == sample.counts
    assert sample.prompts != prompts.stratify(3, by="category", seed=2).prompts
    only = prompts.stratify(2, by="category", groups=["odd", "none"])
    assert (only.counts, only.missing) == ({"odd": 2, "none": 0}, {"none": 2})
    with pytest.raises(PromptError, match="but got 'template'"):
        prompts.stratify(1, by="template")


def test_balanced_by_relation_parses_and_says_what_each_prompt_is_for():
    texts = [
        "a red cat",
        "a big blue car",
        "a cat and a dog",
        "a dog and a cow",
        "a picture of a dog",
    ]
    wanted = ["amod", "conj:and", "nmod:of", "acl"]
    sample = PromptSet.from_records(texts).stratify(2, by="relation", groups=wanted)
    assert sample.counts == {"amod": 2, "conj:and": 2, "nmod:of": 1, "acl": 0}
    assert sample.missing == {"nmod:of": 1, "acl": 2}
    for row in sample.prompts.rows:
        assert row.relation in {edge.relation for edge in parse(row.text).edges_of("enhanced")}


def best_by_brute_force(groups, n, names):
    options = [[None, *(name for name in names if name in each)] for each in groups]
    return max(
        sum(choice is not None for choice in choices)
        for choices in itertools.product(*options)
        if all(choices.count(name) <= n for name in names)
    )


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.frozensets(st.sampled_from("abc")), min_size=1, max_size=6),
    st.integers(1, 3),
    st.integers(0, 99),
)
def test_as_many_places_are_filled_as_can_be(groups, n, seed):
    chosen, missing = choose(groups, n, list("abc"), seed)
    assert all(name in groups[number] for number, name in chosen.items())
    assert len(chosen) == best_by_brute_force(groups, n, "abc")
    for name in "abc":
        assert list(chosen.values()).count(name) + missing.get(name, 0) == n
