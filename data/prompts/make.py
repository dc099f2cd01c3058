"""Make the sets of prompts for the embedded model; ``real-models.csv`` is written by hand.

python data/prompts/make.py [FOLDER]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from string import Formatter
from typing import Any, Final

import numpy as np

from daam_syntax.emoji.grammar import ObjectSpec, Pattern, SceneSpec, write_caption
from daam_syntax.emoji.vocabulary import (
    ANIMATE,
    BACKGROUNDS,
    CATEGORIES,
    COLORS,
    NOUNS,
    PREPOSITIONS,
    SIZES,
    VERB_OBJECTS,
    is_reserved_color,
)
from daam_syntax.language import Prompt, PromptSet, Sentence, parse_many
from daam_syntax.language.prompt_sets.articles import fit_articles
from daam_syntax.studies.cohyponyms.word_pairs import KINDS, word_pair
from daam_syntax.studies.syntax.paper import PAPER_RELATIONS

HERE: Final = Path(__file__).parent
PER_RELATION: Final = 6
PATTERNS: Final[tuple[Pattern, ...]] = (
    *("phrase", "finite", "progressive", "relative", "existential", "picture", "scene"),
)

ADJECTIVES: Final = """
red car, blue house; yellow duck, purple hat; green chair, pink cat; blue dog, red apple; white horse, black sheep;
pink whale, yellow crab; yellow robot, green tree; purple guitar, white owl; red violin, green fish;
orange bus, blue shirt; black cat, red drum; green bicycle, orange tiger; blue mirror, yellow rabbit;
pink castle, green cactus; white shoe, purple octopus; orange couch, black penguin
"""
MINIMAL_PAIRS: Final = """
a red {cat|dog} and a blue car; a small owl on a {green|pink} bed; a dog chasing a yellow {duck|mouse};
a pink house next to a {tree|cactus}; a {penguin|duck} in the snow; a {big|tiny} elephant in a field;
a purple {hat|shoe} on a chair; a robot {above|below} a horse; a white {castle|church} and a truck;
an orange fish and a {crab|whale}; a black sheep in a {field|forest}; a {green|yellow} apple and a guitar;
a tiger wearing a red {hat|dress}; a {small|huge} pizza on a bed; a cow next to a {bus|bicycle};
a blue {ghost|alien} in a city
"""
SCENES: Final = """
a red cat and a blue car; a small owl on a green bed; a dog chasing a yellow duck; a pink house next to a tree;
a penguin holding a banana; a big elephant in the snow; a purple hat on a chair; a robot riding a horse;
a white castle and a truck; a strawberry and a guitar; a black sheep in a field; an orange fish and a crab
"""
OPEN: Final = """
a bird; a pet in a room; a fruit; a wild animal in a field; a vehicle in a city; a cat; a red car; a house in the snow;
a farm animal; a big sea animal; a guitar on a bed; a small tree at night
"""


CROSSED: Final = """
cat red beside car; dog black near bench; bag blue on chair; horse white behind fence; cup green on table;
bird yellow above house; boat wooden under bridge; boy tall beside gate; vase old on shelf; truck dirty near barn;
kite purple above tent; girl happy behind window; book thick on desk; bicycle rusty beside wall; lamp bright near sofa;
cow brown in field; bowl empty on counter; towel wet beside pool; sheep small behind bush; guitar shiny on bed;
bus yellow near building; hat gray on box; rabbit white beside rock; plate round on tray; train yellow under bridge;
car muddy behind hotel; umbrella open beside door; pillow soft on couch
"""
"""Head, dependent, preposition, and another noun."""

CROSSED_EMBEDDED: Final = """
cat on bed, dog; owl below chair, hat; horse above bus, tree; guitar on couch, crab; apple below mirror, whale;
robot above house, banana; penguin on drum, shoe; truck below castle, duck; fish on house, violin;
tiger above guitar, car; strawberry on chair, cow; mouse below bicycle, octopus
"""
"""Head, preposition, dependent, and a third noun."""


HARD: Final = {
    "three nouns": (25, "a {n0}, a {n1} and a {n2}"),
    "three cohyponyms": (20, "a {n0}, a {n1} and a {n2}"),
    "three colors": (25, "a {c0} {n0}, a {c1} {n1} and a {c2} {n2}"),
    "one color of three": (10, "a {n0}, a {c1} {n1} and a {n2}"),
    "two colored cohyponyms": (10, "a {c0} {n0} and a {c1} {n1}"),
    "colors without and": (10, "a {c0} {n0}, a {c1} {n1}"),
    "no and, no comma": (15, "a {n0} a {n1}"),
    "predicates, two colors": (25, "the {n0} is {c0} and the {n1} is {c1}"),
    "predicates, color and size": (25, "the {n0} is {c0} and the {n1} is {size}"),
    "predicate after a landmark": (25, "the {n0} {place} a {c1} {n1} is {c0}"),
}
"""Number of prompts of each kind that the embedded model finds hard, and their form: nouns, their colors, a place, a
size."""

PLACES: Final = """
cat left dog; car right house; owl left tree; horse right elephant; pizza left apple; robot right snowman;
duck left penguin; chair right guitar; zebra left cactus; bus right bicycle; pig left rabbit; castle right ghost
"""
"""First noun, word of place, and last noun."""


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.replace("\n", " ").split(";")]


def adjectives() -> PromptSet:
    """Return prompts with two nouns, each with a color."""
    rows = []
    for scene in _list(ADJECTIVES):
        words = scene.replace(",", "").split()
        slots = dict(
            zip(("adjective", "noun", "other_adjective", "other_noun"), words, strict=True)
        )
        text = "a {} {} and a {} {}".format(*words)
        template = "a {adjective} {noun} and a {other_adjective:adjective} {other_noun:noun}"
        rows.append(Prompt(fit_articles(text), template=template, slots=slots))
    return PromptSet(tuple(rows))


def contextless() -> PromptSet:
    """Return prompts with colors, and as many prompts in which one thing is left or right of another.

    The default parser finds the noun of both colors.
    """
    colored = adjectives().rows
    parses = parse_many([row.text for row in colored])
    read = [
        replace(row, category="color")
        for row, parse in zip(colored, parses, strict=True)
        if sum(edge.relation == "amod" for edge in parse.edges_of("ud")) == 2
    ]
    rows = read[: len(_list(PLACES))]
    for scene in _list(PLACES):
        first, word, last = scene.split()
        rows.append(Prompt(fit_articles(f"a {first} to the {word} of a {last}"), category="place"))
    return PromptSet(tuple(rows))


def cohyponyms() -> PromptSet:
    """Return 24 pairs per level; each of 48 nouns occurs once per level, always in the same position.

    Levels therefore differ only in which nouns are combined.
    """
    categories = [[CATEGORIES[name] for name in kind] for kind in KINDS.values() if len(kind) > 1]
    alike = [(nouns[i], nouns[i + 1]) for kind in categories for nouns in kind for i in (0, 2)]
    of_kind = [
        (nouns[i], kind[(place + 1) % len(kind)][i + 1])
        for kind in categories
        for place, nouns in enumerate(kind)
        for i in (0, 2)
    ]
    firsts, seconds = zip(*alike, strict=True)
    # No kind has more than 20 of the 48 nouns, so a shift by ten pairs every noun with one of another kind.
    unlike = list(zip(firsts, seconds[10:] + seconds[:10], strict=True))
    rows = []
    for pair in (word_pair(*nouns) for nouns in (*alike, *of_kind, *unlike)):
        rows.append(
            Prompt(
                pair.prompt,
                category=pair.category,
                slots={"first": pair.first, "second": pair.second},
                metadata={"similarity": f"{pair.similarity:g}", "level": pair.level},
            )
        )
    return PromptSet(tuple(rows))


def minimal_pairs() -> PromptSet:
    """Return pairs that differ in one word; the category is its class."""
    kinds: dict[str, Any] = {"color": COLORS, "size": SIZES, "place": BACKGROUNDS, "noun": NOUNS}
    rows = []
    for number, frame in enumerate(_list(MINIMAL_PAIRS), 1):
        before, words, after = frame.replace("{", "}").split("}")
        for role, word in zip(("first", "second"), words.split("|"), strict=True):
            kind = next((kind for kind, known in kinds.items() if word in known), "preposition")
            text = f"{before}{word}{after}"
            rows.append(Prompt(text, pair=f"pair-{number:02}", role=role, category=kind))
    prompts = PromptSet(tuple(rows))
    prompts.pairs(minimal=True)
    return prompts


def crossed() -> PromptSet:
    """Return pairs of prompts with the same two words at the same places: joined by a dependency, and not joined.

    The embedded model does not know "that is". For it, the words are two nouns: in "a picture of a cat on a bed next to
    a dog" a dependency joins cat and bed; in "a dog, a cat and a bed" both belong to the first noun.
    """
    rows = []
    for number, frame in enumerate(_list(CROSSED), 1):
        head, dependent, preposition, other = frame.split()
        texts = (
            f"a {head} that is {dependent} {preposition} a {other}",
            f"a {head} {preposition} a {dependent} {other}",
        )
        rows += _crossed_rows(f"clause-{number:02}", texts, (head, dependent), "relative clause")
    for number, frame in enumerate(_list(CROSSED_EMBEDDED), 1):
        head, preposition, dependent, third = frame.replace(",", "").split()
        first, second, other = (ObjectSpec(noun) for noun in (head, dependent, third))
        scenes = (
            SceneSpec((first, second, other), preposition, pattern="picture"),
            SceneSpec((other, first, second), "and"),
        )
        captions = [write_caption(scene)[0].text for scene in scenes]
        rows += _crossed_rows(f"place-{number:02}", captions, (head, dependent), "preposition")
    _check_crossed(rows)
    return PromptSet(tuple(rows))


def _crossed_rows(
    pair: str, texts: Sequence[str], words: tuple[str, str], category: str
) -> list[Prompt]:
    slots = dict(zip(("head", "dependent"), words, strict=True))
    return [
        Prompt(fit_articles(text), pair=pair, role=role, category=category, slots=slots)
        for role, text in zip(("related", "unrelated"), texts, strict=True)
    ]


def _check_crossed(rows: Sequence[Prompt]) -> None:
    """Check that the words of a pair have the same places and parts of speech, and that only one side joins them."""
    found: dict[str, set[tuple[Any, ...]]] = {}
    for row, parse in zip(rows, parse_many([row.text for row in rows]), strict=True):
        places = tuple(parse.index(row.slots[word]) for word in ("head", "dependent"))
        found.setdefault(row.pair, set()).add((*places, *(parse[i].pos for i in places)))
        edges = {frozenset((e.head, e.dependent)) for e in parse.edges_of("enhanced")}
        edges |= {frozenset((e.head, e.dependent)) for e in parse.edges_of("ud")}
        if (frozenset(places) in edges) != (row.role == "related"):
            raise RuntimeError(f"{row.text!r} is not {row.role}: {parse.edges_of('enhanced')}")
    different = [pair for pair, places in found.items() if len(places) > 1]
    if different:
        raise RuntimeError(f"Other places or parts of speech: {different}")


def hard() -> PromptSet:
    """Return prompts whose images the embedded model often gets wrong, the kinds mixed; the category is the kind.

    The color of every second noun is withheld from training for that noun, if there is such a color. Prompts are used
    only if the default parser finds their nouns, and the noun of every color.
    """
    rng = np.random.default_rng(54)
    found: list[Prompt] = []
    for kind, (n, form) in HARD.items():
        candidates = dict.fromkeys(_hard_prompt(kind, form, rng) for _ in range(2 * n))
        parsed = zip(candidates, parse_many([text for text, *_ in candidates]), strict=True)
        fitting = [text for (text, *asked), parse in parsed if _is_read(parse, *asked)]
        found += [Prompt(text, category=kind) for text in fitting[:n]]
        if len(fitting) < n:
            raise RuntimeError(f"Too few prompts of {kind!r}: {len(fitting)} of {n}.")
    return PromptSet(tuple(found[place] for place in rng.permutation(len(found))))


def _hard_prompt(
    kind: str, form: str, rng: np.random.Generator
) -> tuple[str, tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Return the text of a prompt, its nouns, and its pairs of a color and a noun."""
    slots = [name for _, name, _, _ in Formatter().parse(form) if name]
    n = sum(name.startswith("n") for name in slots)
    pool = CATEGORIES[str(rng.choice(list(CATEGORIES)))] if "cohyponyms" in kind else NOUNS
    nouns = tuple(str(noun) for noun in rng.choice(pool, n, replace=False))
    colors: dict[int, str] = {}
    for place in sorted(int(name[1]) for name in slots if name[0] == "c"):
        free = [color for color in COLORS if color not in colors.values()]
        withheld = [color for color in free if is_reserved_color(color, nouns[place])]
        colors[place] = str(rng.choice(withheld if withheld and place % 2 else free))
    words = {
        **{f"n{place}": noun for place, noun in enumerate(nouns)},
        **{f"c{place}": color for place, color in colors.items()},
        "size": str(rng.choice(list(SIZES))),
        "place": str(rng.choice(["on", "above", "below", "next to"])),
    }
    pairs = tuple((color, nouns[place]) for place, color in colors.items())
    return fit_articles(form.format(**words)), nouns, pairs


def _is_read(parse: Sentence, nouns: Sequence[str], pairs: Sequence[tuple[str, str]]) -> bool:
    """Whether a parse has these nouns as words of their own, and each color as the modifier of its noun."""
    edges = parse.edges_of("ud")
    parts = {edge.dependent for edge in edges if edge.relation == "compound"}
    found = {t.text for t in parse.tokens if t.pos == "NOUN" and t.index not in parts}
    ends = [(parse[edge.dependent].text, parse[edge.head].text, edge.relation) for edge in edges]
    modified = {(word, head) for word, head, relation in ends if relation == "amod"}
    predicated = {
        (head, word) for word, head, relation in ends if relation == "nsubj" and head in COLORS
    }
    return found == set(nouns) and modified | predicated == set(pairs)


def emoji_relations() -> PromptSet:
    """Return correctly parsed captions, balanced over the relations that Tang et al. (2023) report."""
    captions = list(_captions(np.random.default_rng(2023), 500))
    parses = parse_many([caption.text for caption in captions])
    right = [
        Prompt(caption.text, source="emoji grammar")
        for caption, parse in zip(captions, parses, strict=True)
        if _tree(caption) == _tree(parse)
    ]
    sample = PromptSet(tuple(right)).stratify(
        PER_RELATION, by="relation", groups=PAPER_RELATIONS, seed=1
    )
    if sample.missing:
        raise RuntimeError(f"Too few captions: {sample.missing}")
    return sample.prompts


def _tree(sentence: Sentence) -> set[tuple[int, int, str]]:
    return {(edge.head, edge.dependent, edge.relation) for edge in sentence.edges_of("enhanced")}


def _captions(rng: np.random.Generator, n: int) -> Iterator[Sentence]:
    seen = set()
    for _ in range(n):
        caption, _ = write_caption(_scene(rng))
        if caption.text not in seen and len(caption) <= 12:
            seen.add(caption.text)
            yield caption


def _scene(rng: np.random.Generator) -> SceneSpec:
    """Sample a scene of one to three nouns of different categories."""
    relation = str(rng.choice(["and", *PREPOSITIONS, *VERB_OBJECTS]))
    verb = relation in VERB_OBJECTS
    n = 2 if verb else int(rng.choice([1, 2, 2, 3])) if relation == "and" else 2
    categories = [CATEGORIES[str(name)] for name in rng.permutation(list(CATEGORIES))]
    nouns = [str(rng.choice(category)) for category in categories]
    if verb:
        subject = next(noun for noun in nouns if noun in ANIMATE)
        nouns = [subject, *(x for x in nouns if x in VERB_OBJECTS[relation] and x != subject)]
    objects = [_described(ObjectSpec(noun), rng) for noun in nouns[:n]]
    background = str(rng.choice(list(BACKGROUNDS))) if rng.random() < 0.3 else None
    return SceneSpec(tuple(objects), relation, background, rng.choice(np.array(PATTERNS)).item())


def _described(spec: ObjectSpec, rng: np.random.Generator) -> ObjectSpec:
    """Describe an object by its color, its size, its category, or not at all."""
    what = rng.integers(5)
    if what == 0:
        return replace(spec, color=str(rng.choice(list(COLORS))))
    if what == 1:
        return replace(spec, size=str(rng.choice(list(SIZES))))
    return replace(spec, by_category=bool(what == 2))


SETS: Final = {
    "adjectives": adjectives,
    "cohyponyms": cohyponyms,
    "contextless": contextless,
    "crossed": crossed,
    "emoji-relations": emoji_relations,
    "hard": hard,
    "minimal-pairs": minimal_pairs,
    "open": lambda: PromptSet.from_records(_list(OPEN)),
    "scenes": lambda: PromptSet.from_records(_list(SCENES)),
}


def main(folder: Path) -> None:
    """Write all sets to a folder."""
    for name, make in SETS.items():
        make().to_file(folder / f"{name}.csv")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
