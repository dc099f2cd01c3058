import copy
import json
import pickle

import pytest

from daam_syntax.errors import WordError
from daam_syntax.language import Edge, Sentence, Span, Token

#        red <- car , red <- house : a repeated word
WORDS = ["red", "car", ",", "red", "house"]


@pytest.fixture
def sentence():
    text = "red car, red house"
    starts = [0, 4, 7, 9, 13]
    tokens = tuple(
        Token(i, w, w, "X", "", s, s + len(w))
        for i, (w, s) in enumerate(zip(WORDS, starts, strict=True))
    )
    edges = (Edge(1, 0, "amod"), Edge(1, 2, "punct"), Edge(1, 4, "appos"), Edge(4, 3, "amod"))
    return Sentence(text, tokens, {"native": edges}, (Span(0, 2, 1), Span(3, 5, 4)), "by hand")


def test_tree_questions(sentence):
    assert sentence.roots("native") == (1,)
    assert sentence.subtree(4, "native") == (3, 4)
    assert sentence.subtree(1, "native") == (0, 1, 2, 3, 4)
    assert sentence.tree_distance(0, 3, "native") == 3
    assert sentence.tree_distance(2, 2, "native") == 0


def test_two_roots_have_no_distance(sentence):
    edges = {"native": (Edge(1, 0, "amod"), Edge(4, 3, "amod"))}
    apart = Sentence(sentence.text, sentence.tokens, edges)
    assert apart.roots("native") == (1, 2, 4)
    assert apart.tree_distance(0, 3, "native") is None


def test_graph_carries_words_and_relations(sentence):
    graph = sentence.graph("native")
    assert graph.nodes[4]["text"] == "house"
    assert graph.edges[4, 3, "amod"]["relation"] == "amod"
    assert sorted(graph.edges()) == [(1, 0), (1, 2), (1, 4), (4, 3)]


def test_a_graph_may_have_several_heads_and_edges_and_circles(sentence):
    # "a cat that ...": the noun heads its relative clause and is the subject in it
    edges = (
        Edge(1, 4, "acl:relcl"),
        Edge(4, 1, "nsubj"),
        Edge(4, 3, "obl:on"),
        Edge(4, 3, "obl:under"),
        Edge(1, 0, "amod"),
    )
    given = {"enhanced": edges}
    graph = Sentence(sentence.text, sentence.tokens, given, root_indices={"enhanced": (1, 2)})
    assert graph.roots("enhanced") == (1, 2)
    assert set(graph.graph("enhanced")[4][3]) == {"obl:on", "obl:under"}
    assert graph.subtree(1, "enhanced") == graph.subtree(4, "enhanced") == (0, 1, 3, 4)
    assert graph.subtree(3, "enhanced") == (3,)
    assert graph.tree_distance(0, 3, "enhanced") == 3
    assert graph.tree_distance(0, 2, "enhanced") is None
    assert Sentence.from_dict(json.loads(json.dumps(graph.to_dict()))) == graph
    assert "root, nsubj ← house" in graph._repr_html_()
    assert '<table style="white-space: nowrap">' in graph._repr_html_()  # also on a phone
    without = Sentence(sentence.text, sentence.tokens, given)
    assert without.roots("enhanced") == (2,)  # the comma; `root_indices` does not list "car"
    assert without != graph


def test_roots_and_edges_that_cannot_be_are_named(sentence):
    edges = {"ud": (Edge(1, 0, "amod"), Edge(1, 0, "amod"))}
    with pytest.raises(ValueError, match=r"an edge is repeated; ud: \(7,\) are not roots"):
        Sentence(sentence.text, sentence.tokens, edges, root_indices={"ud": (7,)})


def test_a_repeated_word_is_ambiguous_by_text_but_not_by_index(sentence):
    assert sentence.index("CAR") == 1
    assert sentence.index(3) == 3
    with pytest.raises(WordError, match="indices 0, 3"):
        sentence.index("red")


def test_unknown_words_and_schemes_name_the_known_ones(sentence):
    with pytest.raises(WordError, match="red, car, ,, red, house"):
        sentence.index("owl")
    with pytest.raises(WordError, match="from 0 to 4"):
        sentence.index(5)
    for index in (5, -6, 10**400):
        with pytest.raises(WordError, match="from 0 to 4"):
            sentence[index]
    assert (list(sentence), sentence[-1]) == (list(sentence.tokens), sentence.tokens[4])
    with pytest.raises(WordError, match="got -1"):
        sentence.subtree(-1, "native")
    with pytest.raises(ValueError, match=r"schemes \(native\), but got 'ud'"):
        sentence.edges_of("ud")


def test_round_trips(sentence):
    assert Sentence.from_dict(json.loads(json.dumps(sentence.to_dict()))) == sentence
    assert pickle.loads(pickle.dumps(sentence)) == copy.deepcopy(sentence) == sentence
    assert hash(copy.copy(sentence)) == hash(sentence)


def test_every_problem_is_in_one_message(sentence):
    token = Token(1, "car", "car", "X", "", 5, 8)
    with pytest.raises(ValueError, match="characters 5-8") as error:
        Sentence(
            sentence.text,
            (sentence[0], token),
            {"native": (Edge(0, 7, "x"), Edge(1, 1, "y"))},
            (Span(0, 9, 1),),
        )
    for part in ("leaves the 2 tokens", "its own head", "is not a span around its root"):
        assert part in str(error.value)


def test_the_value_cannot_be_changed(sentence):
    with pytest.raises(TypeError):
        sentence.edges["ud"] = ()


def test_notebook_view_escapes(sentence):
    text = "<b>"
    view = Sentence(text, (Token(0, text, text, "X", "", 0, 3),), {"native": ()})._repr_html_()
    assert "&lt;b&gt;" in view
    assert "<b><b>" not in view


def test_offsets_from_the_end_are_no_offsets():
    # Python would slice them: "red car"[-7:-4] is "red".
    with pytest.raises(ValueError, match="not at characters -7--4"):
        Sentence("red car", (Token(0, "red", "red", "X", "", -7, -4),))


def test_the_order_of_schemes_does_not_affect_equality_or_hash(sentence):
    edges = sentence.edges["native"]
    one = Sentence(sentence.text, sentence.tokens, {"native": edges, "ud": ()})
    other = Sentence(sentence.text, sentence.tokens, {"ud": (), "native": edges})
    assert one == other
    assert len({one, other}) == 1


def test_the_parse_can_be_read_in_a_terminal(sentence):
    assert repr(sentence) == "Sentence('red car, red house': 5 tokens; native)"
    head, *rows = str(sentence).splitlines()
    assert head.split() == ["word", "lemma", "pos", "native"]
    assert [row.split()[:2] for row in rows] == [[str(t.index), t.text] for t in sentence.tokens]
    assert "amod \u2190 car" in rows[0]
    assert sentence["car"] == sentence[1]


def test_a_fraction_is_no_index(sentence):
    with pytest.raises(TypeError, match="as its text, but got float"):
        sentence.index(1.5)
