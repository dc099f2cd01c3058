"""The words of the embedded world, and the combinations that are withheld from training.

Fifty-six nouns form fourteen categories of four cohyponyms each. Captions contain no content words except nouns and
their categories, colors, sizes, backgrounds, relations, and the words of the caption patterns.
"""

from __future__ import annotations

import zlib
from types import MappingProxyType
from typing import Final

CATEGORIES: Final = MappingProxyType(
    {
        "pet": ("cat", "dog", "rabbit", "mouse"),
        "farm animal": ("horse", "cow", "pig", "sheep"),
        "wild animal": ("elephant", "giraffe", "zebra", "tiger"),
        "bird": ("duck", "penguin", "owl", "rooster"),
        "sea animal": ("fish", "whale", "crab", "octopus"),
        "fruit": ("apple", "pear", "banana", "strawberry"),
        "vehicle": ("car", "bus", "truck", "bicycle"),
        "snack": ("pizza", "burger", "cake", "donut"),
        "building": ("house", "castle", "church", "tent"),
        "instrument": ("guitar", "drum", "violin", "trumpet"),
        "plant": ("tree", "cactus", "sunflower", "tulip"),
        "household item": ("chair", "bed", "couch", "mirror"),
        "character": ("robot", "ghost", "snowman", "alien"),
        "garment": ("hat", "shirt", "shoe", "dress"),
    }
)
"""Maps each category phrase (the hypernym, as captions write it) to its four nouns (cohyponyms)."""

NOUNS: Final = tuple(noun for nouns in CATEGORIES.values() for noun in nouns)
"""All nouns; the annotator's class of ``NOUNS[i]`` is ``i + 1``, because 0 is the background."""

CATEGORY_OF: Final = MappingProxyType(
    {noun: category for category, nouns in CATEGORIES.items() for noun in nouns}
)

COLORS: Final = MappingProxyType(
    {
        "red": (220, 30, 30),
        "blue": (40, 80, 230),
        "green": (30, 170, 50),
        "yellow": (245, 210, 30),
        "purple": (140, 50, 190),
        "pink": (250, 130, 190),
        "orange": (250, 130, 20),
        "black": (35, 35, 40),
        "white": (245, 245, 245),
    }
)
"""Maps each color word to the RGB triple (0 to 255) of its tint."""

SIZES: Final = MappingProxyType(
    {"tiny": 0.55, "small": 0.72, "big": 1.22, "large": 1.22, "huge": 1.4}
)
"""Maps each size word to its factor on the ordinary size of a sprite."""

BACKGROUNDS: Final = MappingProxyType(
    {
        "beach": ("on", "a"),
        "field": ("in", "a"),
        "snow": ("in", "the"),
        "night": ("at", ""),
        "city": ("in", "a"),
        "forest": ("in", "a"),
        "room": ("in", "a"),
        "desert": ("in", "the"),
    }
)
"""Maps each background noun to its preposition and article ("" if it has none)."""

ANIMATE: Final = frozenset(
    noun
    for category in ("pet", "farm animal", "wild animal", "bird", "sea animal", "character")
    for noun in CATEGORIES[category]
)
"""Nouns that can ride, chase, wear, or hold something."""


def _nouns(*categories: str) -> frozenset[str]:
    return frozenset(noun for category in categories for noun in CATEGORIES[category])


VERB_OBJECTS: Final = MappingProxyType(
    {
        "ride": _nouns("farm animal", "wild animal", "vehicle"),
        "chase": ANIMATE,
        "wear": _nouns("garment"),
        "hold": _nouns("fruit", "snack", "instrument") | {"tulip", "sunflower"},
    }
)
"""Maps each verb's lemma to its possible objects; the subject is always animate."""

VERB_FORMS: Final = MappingProxyType(
    {
        "ride": ("rides", "riding"),
        "chase": ("chases", "chasing"),
        "wear": ("wears", "wearing"),
        "hold": ("holds", "holding"),
    }
)
"""Maps each verb's lemma to its third person singular and its present participle."""

PREPOSITIONS: Final = ("on", "above", "below", "next to", "to the left of", "to the right of")
"""Spatial relations between two nouns, as captions write them."""

RESERVED_SHARE: Final = 8
"""One in this many noun pairs, and one in this many color-noun pairs, is withheld from training."""


def is_reserved_pair(first: str, second: str) -> bool:
    """Whether two nouns never occur in one training scene (symmetric; decided by a checksum)."""
    key = "|".join(sorted((first, second)))
    return zlib.crc32(key.encode()) % RESERVED_SHARE == 0


def is_reserved_color(color: str, noun: str) -> bool:
    """Whether `noun` never has `color` in a training scene (decided by a checksum)."""
    return zlib.crc32(f"{color} {noun}".encode()) % RESERVED_SHARE == 0
