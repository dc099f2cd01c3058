"""A page to click through: words, arcs, maps and their overlap, in one file that needs no server."""

from daam_syntax.explorer.page import Page, explore

__all__ = ["Page", "explore"]
