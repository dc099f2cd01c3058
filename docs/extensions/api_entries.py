"""The directive ``api``: a table of public names, and an entry for each, under the names that users write.

::

    ```{api}
    ds.trace
    ds.attention.Trace
    ```

``ds.trace`` is documented as ``ds.trace``, not by the module that defines it.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Mapping
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

import daam_syntax

PACKAGE = "daam_syntax"
_FIRST_SENTENCE = re.compile(r"(.+?[.:])(?:\s|$)", re.DOTALL)


def object_of(name: str) -> Any:
    """Return what a public name such as ``ds.analysis.summarize`` means.

    Raises
    ------
    ValueError
        If the name does not begin with ``ds.``.
    """
    first, *rest = name.split(".")
    if first != "ds" or not rest:
        raise ValueError(f"Expected a name that begins with 'ds.', but got {name!r}.")
    found: Any = daam_syntax
    for part in rest:
        if not hasattr(found, part):  # a module that its package does not offer
            importlib.import_module(f"{found.__name__}.{part}")
        found = getattr(found, part)
    return found


def summary_of(name: str, found: Any) -> str:
    """Return the first sentence of a docstring, or of the text below a value."""
    described = inspect.isroutine(found) or inspect.isclass(found)
    text = (inspect.getdoc(found) or "") if described else " ".join(value_text(name, found))
    match = _FIRST_SENTENCE.match(text.strip())
    return " ".join(match.group(1).split()).rstrip(":") if match else ""


def entry(name: str, found: Any) -> list[str]:
    """Return the lines that document one name."""
    target = name.replace("ds", PACKAGE, 1)
    if inspect.isclass(found):
        if issubclass(found, BaseException):
            return [f".. autoexception:: {target}", ""]
        return [f".. autoclass:: {target}", "   :members:", ""]
    if inspect.isroutine(found):
        return [f".. autofunction:: {target}", ""]
    return value_entry(target, found)


def value_entry(target: str, found: Any) -> list[str]:
    """Return the lines that document a value: the text below its definition, and the names that it holds."""
    lines = [*value_text(target.rpartition(".")[2], found)]
    if isinstance(found, Mapping | tuple | list | frozenset) and all(
        isinstance(key, str) for key in found
    ):
        lines += ["", ", ".join(f"``{key}``" for key in found)]
    elif isinstance(found, str):
        lines += ["", f"``{found!r}``"]
    return [f".. py:data:: {target}", "", *(f"   {line}" for line in lines), ""]


def value_text(name: str, found: Any) -> list[str]:
    """Return the docstring of a value, which stands below it in the module that defines it."""
    for module in [m for m in sys.modules if m.startswith(f"{PACKAGE}.")]:
        if vars(sys.modules[module]).get(name) is found and hasattr(
            sys.modules[module], "__file__"
        ):
            known = ModuleAnalyzer.for_module(module).find_attr_docs()
            if ("", name) in known:
                return list(known["", name])
    return []


class ApiDirective(SphinxDirective):
    """Table and entries of the names in the directive's content."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the nodes of the table and of the entries."""
        names = [line.strip() for line in self.content if line.strip()]
        objects = {name: object_of(name) for name in names}
        lines = [".. list-table::", "   :class: api-summary", ""]
        for name, found in objects.items():
            target = name.replace("ds", PACKAGE, 1)
            lines += [
                f"   * - :py:obj:`{name} <{target}>`",
                f"     - {summary_of(name.rpartition('.')[2], found)}",
            ]
        lines.append("")
        for name, found in objects.items():
            lines += entry(name, found)
        container = nodes.section()
        container.document = self.state.document
        source = ["```{eval-rst}", *lines, "```"]
        self.state.nested_parse(StringList(source, "api"), self.content_offset, container)
        return container.children


def shorten(app: Sphinx, doctree: nodes.document) -> None:
    """Show ``ds.`` in place of the package's name, and link no literal value of a type, such as "prompt"."""
    for reference in doctree.findall(addnodes.pending_xref):
        if reference["reftype"] == "obj" and re.search("[A-Z]", str(reference["reftarget"])):
            reference["refspecific"] = True  # `HeatMaps.select` from any page
        if reference.hasattr("refspecific") and str(reference["reftarget"]).islower():
            del reference["refspecific"]
    for node in doctree.findall(addnodes.desc_addname):
        text = node.astext()
        if text.startswith(f"{PACKAGE}."):
            node.children = [nodes.Text(text.replace(PACKAGE, "ds", 1))]


def prepare(app: Sphinx, what: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
    """Protect docstrings from what reStructuredText and napoleon would take for markup.

    Bars of formulas such as |H| would be substitutions, and the text before a colon in the first line of a property
    would be its type.
    """
    lines[:] = [line if "`" in line else line.replace("|", "\\|") for line in lines]
    if what == "property":
        lines.insert(0, "\\ ")  # an escaped space, which shows nothing


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.connect("autodoc-process-docstring", prepare, priority=400)  # before napoleon
    app.add_directive("api", ApiDirective)
    app.connect("doctree-read", shorten)
    return {"parallel_read_safe": True}
