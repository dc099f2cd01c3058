"""Where is syntax? How far attention between words finds the dependency tree, by layer, head, and relation."""

from daam_syntax.studies.where_is_syntax.study import DESIGN, run

__all__ = ["DESIGN", "run"]
