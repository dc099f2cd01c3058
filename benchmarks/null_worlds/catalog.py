"""All recipes."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.null_worlds.claims import Recipe
from benchmarks.null_worlds.image_pages import IMAGE_PAGES
from benchmarks.null_worlds.recipes import RECIPES
from benchmarks.null_worlds.study_pages import PAGES


def every_recipe() -> Mapping[str, Recipe]:
    """Return all recipes by name."""
    return {recipe.name: recipe for recipe in (*RECIPES, *PAGES, *IMAGE_PAGES)}
