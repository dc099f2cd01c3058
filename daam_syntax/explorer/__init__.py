"""The explorer: a page to click through words, arcs, heat maps and their overlap, in one HTML file without a server.

May import ``figures`` (colors and the levels of arcs), ``maps`` and everything below them.
"""

from daam_syntax.explorer.page import Page, explore

__all__ = ["Page", "explore"]


def __dir__() -> list[str]:
    """Return the public names, so that completion offers no module beside the functions that it holds."""
    return __all__
