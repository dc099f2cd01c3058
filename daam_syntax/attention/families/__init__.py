"""What a trace must know about each family of models, written down as descriptions.

A new family is a new `Family`; no other code knows one family from another.
"""

from daam_syntax.attention.families.description import Family, TextEncoder
from daam_syntax.attention.families.grids import halved_grid
from daam_syntax.attention.families.layouts import TokenLayout, cross, image_first, text_first
from daam_syntax.attention.families.registry import FAMILIES, family_of, register_family
from daam_syntax.attention.families.unets import UNET

__all__ = [
    "FAMILIES",
    "UNET",
    "Family",
    "TextEncoder",
    "TokenLayout",
    "cross",
    "family_of",
    "halved_grid",
    "image_first",
    "register_family",
    "text_first",
]
