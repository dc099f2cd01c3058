"""Imports within the package run in one direction; the layers are contracts in pyproject.toml."""

import networkx as nx

from helpers.imports import import_graph, imports_of_own_packages


def circles(graph):
    return [sorted(part) for part in nx.strongly_connected_components(graph) if len(part) > 1]


def test_no_import_circle():
    assert circles(import_graph()) == []


def test_no_module_imports_through_a_package_that_it_lies_in():
    assert imports_of_own_packages() == []


def write(root, files):
    for name, text in files.items():
        path = root / "pack" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_circle_is_found_in_functions_type_checking_and_lazy_packages(tmp_path):
    write(
        tmp_path,
        {
            "__init__.py": "",
            "a.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pack.room import f",
            "room/__init__.py": "import lazy_loader",
            "room/__init__.pyi": "from .b import f as f",
            "room/b.py": "def f():\n    import pack.c",
            "c.py": "from . import a",
        },
    )
    graph = import_graph(tmp_path, "pack")
    assert sorted(graph.edges) == [
        ("pack.a", "pack.room.b"),
        ("pack.c", "pack.a"),
        ("pack.room.b", "pack.c"),
    ]
    assert circles(graph) == [["pack.a", "pack.c", "pack.room.b"]]


def test_names_that_a_package_passes_on_are_no_circle_but_its_own_modules_do_not_use_them(tmp_path):
    write(
        tmp_path,
        {
            "__init__.py": "from pack.a import x\nfrom pack.b import y",
            "a.py": "x = 1",
            "b.py": "from pack import x\ny = x",
        },
    )
    assert list(import_graph(tmp_path, "pack").edges) == [("pack.b", "pack.a")]
    assert imports_of_own_packages(tmp_path, "pack") == ["pack.b -> pack.x"]
