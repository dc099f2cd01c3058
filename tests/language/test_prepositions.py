import pytest

from daam_syntax.language import Sentence, conllu, parse, related_things


def related(sentence):
    return [
        (sentence[pair.first].text, pair.preposition, sentence[pair.second].text)
        for pair in related_things(sentence)
    ]


@pytest.mark.parametrize(
    ("prompt", "pairs"),
    [
        ("a cat to the left of a dog", [("cat", "to the left of", "dog")]),
        ("the cat is to the left of the dog", [("cat", "to the left of", "dog")]),
        ("there is a cat to the left of a dog", [("cat", "to the left of", "dog")]),
        ("a cat in front of a dog", [("cat", "in front of", "dog")]),
        ("a cat on top of a table", [("cat", "on top of", "table")]),
        ("a dog next to a cat", [("dog", "next to", "cat")]),
        ("a cat sitting on the left side of a table", [("cat", "on the left side of", "table")]),
        ("a cat that is in front of a dog", [("cat", "in front of", "dog")]),
        ("on the left of a cat there is a dog", [("dog", "on the left of", "cat")]),
        ("a cat inside of a box", [("cat", "inside of", "box")]),
        ("a cat far from a dog", [("cat", "far from", "dog")]),
        ("the dog is close to the cat", [("dog", "close to", "cat")]),
        ("a cat on a table", [("cat", "on", "table")]),
        ("the cat is on a table", [("cat", "on", "table")]),
        ("a cat that sits on a bed", [("cat", "on", "bed")]),
        ("a boy wants to sit on a horse", [("boy", "on", "horse")]),
        ("a dog and a cat sit on a sofa", [("dog", "on", "sofa"), ("cat", "on", "sofa")]),
        (
            "a cat on a bed and under a lamp",
            [("cat", "on", "bed"), ("cat", "under", "lamp")],
        ),
        (
            "a dog in between a cat and a bird",
            [("dog", "in between", "cat"), ("dog", "in between", "bird")],
        ),
        # An image is not to the right of what it shows.
        (
            "a photo of a robot to the right of a pizza",
            [("photo", "of", "robot"), ("robot", "to the right of", "pizza")],
        ),
        ("a lamp in the corner", [("lamp", "in", "corner")]),
        ("a woman in a red top", [("woman", "in", "top")]),
    ],
)
def test_prepositions_relate_two_things(prompt, pairs):
    assert related(parse(prompt)) == pairs


@pytest.mark.parametrize(
    "prompt",
    ["a cat on the left", "a cat chased by a dog", "the dog's bone", "a cat", "in the snow"],
)
def test_a_preposition_without_two_things_relates_nothing(prompt):
    assert related(parse(prompt)) == []


def test_words_are_indices_so_repeated_nouns_are_kept_apart():
    sentence = parse("a cat to the left of a cat")
    ((first, preposition, second, words),) = related_things(sentence)
    assert (first, second, words) == (1, 7, (2, 3, 4, 5))
    assert preposition == "to the left of"


def test_a_tree_from_conllu():
    lines = [
        "1\tBob\tBob\tPROPN\tNNP\t_\t0\troot\t_\t_",
        "2\tin\tin\tADP\tIN\t_\t3\tcase\t_\t_",
        "3\tfront\tfront\tNOUN\tNN\t_\t1\tnmod\t_\t_",
        "4\tof\tof\tADP\tIN\t_\t5\tcase\t_\t_",
        "5\tthem\tthey\tPRON\tPRP\t_\t3\tnmod\t_\t_",
    ]
    assert related(conllu.loads("\n".join(lines))[0]) == [("Bob", "in front of", "them")]


def test_a_possessive_predicate_is_not_a_preposition():
    lines = [
        "1\tit\tit\tPRON\tPRP\t_\t3\tnsubj\t_\t_",
        "2\tis\tbe\tAUX\tVBZ\t_\t3\tcop\t_\t_",
        "3\tAnn\tAnn\tPROPN\tNNP\t_\t0\troot\t_\tSpaceAfter=No",
        "4\t's\t's\tPART\tPOS\t_\t3\tcase\t_\t_",
    ]
    assert related(conllu.loads("\n".join(lines))[0]) == []


def test_it_needs_universal_dependencies():
    with pytest.raises(ValueError, match="'ud'"):
        related_things(Sentence("", ()))
