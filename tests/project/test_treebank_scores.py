import json

import pytest

from benchmarks.parsing import add_treebanks
from benchmarks.treebank_scores import attachment_scores, by_relation, confusions, score_treebank
from daam_syntax.language import conllu, parse

GOLD = """1	a	a	DET	DT	_	3	det	3:det	_
2	red	red	ADJ	JJ	_	3	amod	3:amod	_
3	cat	cat	NOUN	NN	_	4	nsubj	4:nsubj	_
4	sleeps	sleep	VERB	VBZ	_	0	root	0:root	SpaceAfter=No
5	.	.	PUNCT	.	_	4	punct	4:punct	_

"""


def test_a_treebank_that_is_the_parse_has_full_scores(tmp_path):
    path = tmp_path / "own-ud-dev.conllu"
    conllu.write([parse("a red cat in front of a dog."), parse("two dogs sleep")], path)
    scores = score_treebank(path)
    assert (scores["sentences"], scores["words"]) == (2, 12)
    for kind in ("without punctuation", "with punctuation"):
        assert {scores[kind][name] for name in ("uas", "las", "clas")} == {1.0}
    assert scores["elas"] == {"parsed": 1.0, "gold trees": 1.0}
    assert scores["confusions"] == []
    results = tmp_path / "results.json"
    results.write_text('{"other": 1}')
    add_treebanks([path], results)
    assert list(json.loads(results.read_text())) == ["other", "own-ud-dev"]


def test_scores_of_a_hand_made_parse():
    gold, parsed = (
        conllu.loads(GOLD),
        conllu.loads(
            GOLD.replace("3	amod	3:amod", "3	compound	3:compound").replace(
                "3	det	3:det", "4	det	4:det"
            )
        ),
    )
    pairs = list(zip(gold, parsed, strict=True))
    without = attachment_scores(pairs, punctuation=False)
    assert (without["uas"], without["las"], without["words"]) == (3 / 4, 2 / 4, 4)
    assert without["clas"] == pytest.approx(2 / 3)  # red, cat, sleeps
    assert attachment_scores(pairs, punctuation=True)["las"] == 3 / 5
    relations = by_relation(pairs)
    assert relations["amod"] == {"n": 1, "precision": 0.0, "recall": 0.0}
    assert relations["nsubj"] == {"n": 1, "precision": 1.0, "recall": 1.0}
    assert {(c["gold"], c["parsed"], c["same head"], c["n"]) for c in confusions(pairs)} == {
        ("amod", "compound", True, 1),
        ("det", "det", False, 1),
    }
