from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daam_syntax.errors import FileError
from daam_syntax.language import Edge, Sentence, Token, conllu, parse

PLAIN = """# text = A cat, sleeping.
1	A	a	DET	DT	Definite=Ind	2	det	_	_
2	cat	cat	NOUN	NN	_	0	root	_	SpaceAfter=No
3	,	,	PUNCT	,	_	4	punct	_	_
4	sleeping	sleep	VERB	VBG	_	2	acl	_	SpaceAfter=No
5	.	.	PUNCT	.	_	2	punct	_	SpaceAfter=No

"""

SPANISH = """1-2	vámonos	_	_	_	_	_	_	_	_
1	vamos	ir	VERB	_	_	0	root	0:root	_
2	nos	nosotros	PRON	_	_	1	obj	1:obj	_
3-4	al	_	_	_	_	_	_	_	_
3	a	a	ADP	_	_	5	case	5:case	_
4	el	el	DET	_	_	5	det	5:det	_
5	mar	mar	NOUN	_	_	1	obl	1:obl:a	SpacesAfter=\\s\\n
6-7	don't	_	_	_	_	_	_	_	SpaceAfter=No
6	do	do	AUX	_	_	1	dep	1:dep	_
7	n't	not	PART	_	_	1	dep	1:dep	_
"""

AL, A = SPANISH.splitlines(keepends=True)[3:5]

ELLIPSIS = """# text = Ann eats pears, Bob figs
1	Ann	Ann	PROPN	_	_	2	nsubj	2:nsubj	_
2	eats	eat	VERB	_	_	0	root	0:root	_
3	pears	pear	NOUN	_	_	2	obj	2:obj	SpaceAfter=No
4	,	,	PUNCT	_	_	5	punct	5.1:punct	_
5	Bob	Bob	PROPN	_	_	2	conj	5.1:nsubj	_
5.1	eats	eat	VERB	_	_	_	_	2:conj	CopyOf=2
6	figs	fig	NOUN	_	_	5	orphan	5.1:obj	_
"""


def crowded(n):
    """Return a sentence whose empty nodes depend on each other, which makes more paths than can be followed."""
    nodes = [f"1.{i}" for i in range(1, n + 1)]
    deps = {node: "|".join(f"{other}:dep" for other in nodes if other != node) for node in nodes}
    lines = ["1\tcat\tcat\tNOUN\t_\t_\t0\troot\t1.1:dep\t_"]
    lines += [f"{node}\tx\tx\tX\t_\t_\t_\t_\t{deps[node]}\t_" for node in nodes]
    return "\n".join(lines)


def test_a_sentence_with_its_offsets_and_schemes():
    (sentence,) = conllu.loads(PLAIN)
    assert sentence.text == "A cat, sleeping."
    assert [(t.start, t.end, t.lemma, t.pos, t.tag) for t in sentence.tokens][1] == (
        2,
        5,
        "cat",
        "NOUN",
        "NN",
    )
    assert sentence.edges["ud"] == sentence.edges["native"]
    assert Edge(1, 3, "acl") in sentence.edges["enhanced"]  # made from the tree
    assert sentence.roots("ud") == sentence.roots("enhanced") == (1,)


def test_without_a_comment_the_text_follows_the_spacing():
    lines = [line for line in PLAIN.splitlines() if not line.startswith("#")]
    assert conllu.loads("\n".join(lines))[0].text == "A cat, sleeping."


def test_other_white_space_may_be_escaped_by_its_code_point():
    lines = PLAIN.replace("# text = A cat, sleeping.\n", "").replace(
        "2	det	_	_", "2	det	_	SpacesAfter=\\u00A0"
    )
    (sentence,) = conllu.loads(lines)
    assert sentence.text == "A\u00a0cat, sleeping."
    assert conllu.loads(conllu.dumps([sentence]))[0].text == sentence.text


def test_white_space_in_misc_must_agree_with_the_comment():
    odd = PLAIN.replace("_\tSpaceAfter=No", "_\tSpacesAfter=abc")
    assert conllu.loads(odd)[0].text == "A cat, sleeping."
    blanks = PLAIN.replace(
        "2	det	_	_", "2	det	_	SpacesAfter=\\s\\n"
    )  # as UDPipe writes
    assert conllu.loads(blanks)[0].text == "A \ncat, sleeping."


def test_words_of_a_multiword_token_share_its_characters_unless_written_out():
    (sentence,) = conllu.loads(SPANISH)
    assert sentence.text == "vámonos al mar \ndon't"
    assert sentence.words == ("vámonos", "vámonos", "al", "al", "mar", "do", "n't")
    assert [sentence[i].lemma for i in (2, 3)] == ["a", "el"]
    assert (sentence[5].end, sentence[6].start) == (18, 18)
    assert Edge(0, 4, "obl:a") in sentence.edges["enhanced"]


def test_edges_through_empty_nodes_become_one():
    (sentence,) = conllu.loads(ELLIPSIS)
    enhanced = {(e.head, e.dependent, e.relation) for e in sentence.edges["enhanced"]}
    assert {(1, 4, "conj>nsubj"), (1, 5, "conj>obj"), (1, 3, "conj>punct")} <= enhanced
    assert sentence.roots("enhanced") == (1,)


PRO_DROP = PLAIN.replace("1\tA", "0.1\tpro\t_\t_\t_\t_\t_\t_\t0:root\t_\n1\tA")
UNSORTED = PLAIN.replace("acl\t_", "acl\t2:acl|1:b|2:a")


@pytest.mark.parametrize("text", [PLAIN, SPANISH, ELLIPSIS, PLAIN + SPANISH, PRO_DROP, UNSORTED])
def test_reading_what_was_written_gives_the_same(text):
    once = conllu.loads(text)
    again = conllu.loads(conllu.dumps(once))
    assert [(s.text, s.tokens, s.edges, s.root_indices) for s in again] == [
        (s.text, s.tokens, s.edges, s.root_indices) for s in once
    ]


@pytest.mark.parametrize(
    "prompt",
    [
        "a red cat that sleeps, and a dog",
        " a cat\n on  a\tbed ",
        "a | b\\c 東京 😀 <b>owl</b>",
        "A cat sits. A dog runs!",
    ],
)
def test_parses_survive_a_file(tmp_path, prompt):
    sentence = parse(prompt)
    path = tmp_path / "parses.conllu"
    conllu.write([sentence], path)
    (read,) = conllu.read(path)
    assert read.text == prompt
    words = [t for t in sentence.tokens if t.text.strip()]
    assert [(t.text, t.start, t.lemma, t.pos, t.tag) for t in read.tokens] == [
        (t.text, t.start, t.lemma, t.pos, t.tag) for t in words
    ]
    place = {t.index: i for i, t in enumerate(words)}
    for scheme in ("ud", "enhanced"):
        expected = {(place[e.head], place[e.dependent], e.relation) for e in sentence.edges[scheme]}
        assert {(e.head, e.dependent, e.relation) for e in read.edges[scheme]} == expected
        assert read.roots(scheme) == tuple(place[i] for i in sentence.roots(scheme))
    assert read.parser == sentence.parser


BLANKS = " \t\n\r\v\f\x1c\x85\xa0\u1680\u2009\u2028\u2029\u202f\u3000\u200b\ufeff"
ODD = st.text(st.sampled_from(BLANKS + "a_|=\\:;#1\u0301😀\ud800é-"), max_size=4)
WORD = ODD.filter(str.strip)


@st.composite
def sentences(draw):
    """Make parses with any blanks, separators and labels; some words share their characters."""
    forms = draw(st.lists(WORD, min_size=1, max_size=4))
    text, tokens = draw(st.text(st.sampled_from(BLANKS), max_size=2)), []
    for form in forms:
        for _ in range(draw(st.sampled_from([1, 1, 2]))):
            values = (draw(ODD), draw(ODD), draw(ODD), len(text), len(text) + len(form))
            tokens.append(Token(len(tokens), form, *values))
        text += form + draw(st.text(st.sampled_from(BLANKS), max_size=2))
    n = len(tokens)
    tree = [Edge(draw(st.integers(0, i - 1)), i, draw(ODD)) for i in range(1, n)]
    more = {
        Edge(head, i, draw(ODD))
        for i, head in draw(st.sets(st.tuples(*[st.integers(0, n - 1)] * 2), max_size=3))
        if head != i
    }
    edges = {"native": tree, "ud": tree, "enhanced": tuple({*tree, *more})}
    return Sentence(text, tuple(tokens), edges, root_indices={"enhanced": (0,)})


@settings(max_examples=120, deadline=None)
@given(sentences())
def test_whatever_a_parse_holds_is_read_back(tmp_path_factory, sentence):
    path = tmp_path_factory.getbasetemp() / "any.conllu"
    conllu.write([sentence, sentence], path)
    for read in conllu.read(path):
        assert (read.text, read.tokens) == (sentence.text, sentence.tokens)
        assert read.edges["ud"] == sentence.edges["ud"]
        assert set(read.edges["enhanced"]) == set(sentence.edges["enhanced"])
        assert read.roots("enhanced") == (0,)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 2000), st.sampled_from([*"\t\n|:_-.#\\", "\xa0", "", "99999999999", "\u2028"])
)
def test_a_damaged_file_is_read_or_refused_with_a_line(place, put):
    text = SPANISH + "\n" + ELLIPSIS
    place %= len(text)
    with suppress(FileError):
        conllu.loads(text[:place] + put + text[place + 1 :])


@pytest.mark.parametrize("relation", ["obl:2+gen", "nmod:24/7", "acl:relcl>nsubj"])
def test_any_relation_in_deps_is_read(relation):
    (sentence,) = conllu.loads(PLAIN.replace("acl\t_", f"acl\t2:{relation}"))
    assert Edge(1, 3, relation) in sentence.edges["enhanced"]


def test_a_no_break_space_is_part_of_a_word_or_of_the_text_between():
    (read,) = conllu.loads(conllu.dumps([parse("10\u00a0km \u00a0 a red cat\u00a0")]))
    assert read.text == "10\u00a0km \u00a0 a red cat\u00a0"
    assert "None" not in read.words


def test_a_sentence_that_no_file_can_hold_is_refused():
    two = (Token(0, "a", "a", "", "", 0, 1), Token(1, " ", " ", "", "", 1, 2))
    cases = [
        ({"ud": [Edge(0, 1, "dep")]}, "white space"),
        ({"ud": [Edge(1, 0, "dep")]}, "white space"),
    ]
    for edges, message in cases:
        with pytest.raises(ValueError, match=message):
            conllu.dumps([Sentence("a ", two, edges)])
    words = (Token(0, "a", "", "", "", 0, 1), Token(1, "b", "", "", "", 1, 2))
    empty = {"ud": [Edge(0, 1, "dep")], "enhanced": ()}
    with pytest.raises(ValueError, match="a root or an edge in 'enhanced'"):
        conllu.dumps([Sentence("ab", words, empty, root_indices={"enhanced": ()})])
    many = {"ud": [Edge(0, 1, "dep"), Edge(0, 1, "obj")]}
    with pytest.raises(ValueError, match="one head per word"):
        conllu.dumps([Sentence("ab", words, many)])
    back = (Token(0, "b", "", "", "", 1, 2), Token(1, "a", "", "", "", 0, 1))
    with pytest.raises(ValueError, match="reversed"):
        conllu.dumps([Sentence("ab", back, {"ud": [Edge(0, 1, "dep")]})])


def test_other_labels_stay_native():
    (sentence,) = conllu.loads(PLAIN.replace("acl", "partmod"))
    assert list(sentence.edges) == ["native"]
    with pytest.raises(ValueError, match="schemes"):
        conllu.dumps([sentence])


def test_all_problems_are_listed_with_their_lines(tmp_path):
    path = tmp_path / "bad.conllu"
    broken = PLAIN.replace("\t4\tpunct", "\tfour\tpunct").replace("DT\tDefinite=Ind", "DT")
    path.write_text(broken + PLAIN.replace("\t4\tpunct", "\t9\tpunct"), encoding="utf-8")
    with pytest.raises(FileError) as error:
        conllu.read(path)
    message = str(error.value)
    assert str(path) in message
    for part in (
        "line 2 has 9 columns",
        "line 4: 'four' in HEAD",
        "line 11: word 3 has head 9",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "got none"),
        (PLAIN.replace("A cat, sl", "A dog, sl"), r"'cat' \(line 3\) does not come next"),
        (PLAIN.replace("\n2\t", "\n7\t"), "not numbered"),
        (PLAIN.replace("0\troot", "4\tdep"), "is its own ancestor"),
        (PLAIN.replace("acl\t_", "acl\t8:acl"), "line 5: the head 8 in DEPS is not a word"),
        (PLAIN.replace("acl\t_", "acl\t4:acl"), "line 5: the head 4 in DEPS is the word itself"),
        (PLAIN.replace("2\tdet", "_\tdet"), "line 2: word 1 has head _, which is not"),
        ("a cat\n" * 300, "line 100 has 1 columns .*; and 200 more problems"),
        (PLAIN.replace("acl\t_", "acl\t1:"), "line 5: '1:' in DEPS has no relation"),
        (PLAIN.replace("\n1\tA", "\n1\t"), "line 2: the word is empty"),
        (PLAIN.replace("\n1\tA", "\n1-x\tA"), "line 2: '1-x' in ID"),
        (SPANISH.replace("3-4\t", "1-2\t"), "line 1 has 1-2 twice"),
        (SPANISH.replace("3-4\t", "2-4\t"), "2-4 is not a range"),
        (SPANISH.replace("\n3-4\t", "\n3-9\t"), r"line \d+: 3-9 is not a range of words"),
        (SPANISH.replace(AL, "").replace(A, A + AL), "line 5: 3-4 does not stand before word 3"),
        (SPANISH.replace(AL, "") + AL, "3-4 is not a range of words|3-4 does not stand before"),
        (PLAIN.replace("sleeping.\n", "sleeping. Now.\n"), "goes on after the last word: 'Now.'"),
        (ELLIPSIS + "5.1\teats\teat\tVERB\t_\t_\t_\t_\t2:conj\t_\n", "line 1 has 5.1 twice"),
        (ELLIPSIS.replace("2:conj", "_"), "line 5: the empty nodes in DEPS have no word as their"),
        (
            PLAIN.replace("A cat", "\u00c5 cat").replace("1\tA", "1\tA\u030a"),
            "encoded in another way",
        ),
        (crowded(30), "more than 10,000 paths"),
        (
            "".join(f"{i}\ta\ta\tX\t_\t_\t{i - 1}\tdep\t_\t_\n" for i in range(1, 4002)),
            "4,001 words",
        ),
    ],
)
def test_problems_are_reported(text, problem):
    with pytest.raises(FileError, match=problem):
        conllu.loads(text)


def of_words(heads, relation):
    return "".join(
        f"{i}\ta\ta\tVERB\t_\t_\t{head}\t{relation(i) if head else 'root'}\t_\t_\n"
        for i, head in enumerate(heads, 1)
    )


def test_small_files_do_not_take_minutes():
    """Each of these took from several minutes to hours."""
    n = 3_000
    star = of_words([0] + [1] * (n - 1), lambda i: "conj")
    chain = of_words(range(n), lambda i: "conj" if i % 2 else "nsubj")
    for text in (star, chain):
        (sentence,) = conllu.loads(text)
        assert len(sentence.edges["ud"]) == n - 1
    crowd = of_words([0] + [1] * (n - 1), lambda i: "conj" if i % 2 else "nsubj")
    with pytest.raises(
        FileError, match=r"line 1: Expected an enhanced graph of at most 100,000 edges"
    ):
        conllu.loads(crowd)  # each conjunct has each subject


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FileError, match="cannot be read"):
        conllu.read(tmp_path / "none.conllu")
    (tmp_path / "latin.conllu").write_bytes(b"caf\xe9")
    with pytest.raises(FileError, match="byte 3"):
        conllu.read(tmp_path / "latin.conllu")
