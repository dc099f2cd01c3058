"""Descriptions of model families: which modules attend to text, how their tokens are laid out, how guidance is done.

A new family is a new `Family`; no code outside this folder distinguishes families. Imports ``errors``, and the type of
a grid from ``maps``.
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
