"""Which libraries a piece of code loads, and which modules of the package import which."""

import ast
import subprocess
import sys
from pathlib import Path

import networkx as nx

ROOT = Path(__file__).parents[2]
PACKAGE = "daam_syntax"


def loaded_by(code, libraries):
    """Return which of these libraries a fresh interpreter has loaded after running the code."""
    report = f"import sys; print(sorted({set(libraries)!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; {report}"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return done.stdout.strip()


MODEL_LIBRARIES = ("torch", "diffusers", "transformers", "spacy")


def module_files(root=ROOT, package=PACKAGE):
    """Return the file of every module of a package by dotted name; a package's is its ``__init__.py``."""
    files = {}
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return files


def import_graph(root=ROOT, package=PACKAGE):
    """Return the graph of imports within a package, those in functions and for type checking included.

    A name that a package only passes on, in its ``__init__.py`` or its stub, counts as an import of the module that
    defines it, so lazily loaded packages hide nothing.
    """
    files = module_files(root, package)
    imports = {module: list(_imports(path, module, files)) for module, path in files.items()}
    passed_on = {
        module: _names_of_stub(path, module, files) or _names_passed_on(path, imports[module])
        for module, path in files.items()
        if path.name == "__init__.py"
    }

    def resolved(source, name):
        if f"{source}.{name}" in files:
            return f"{source}.{name}"
        return resolved(*found) if (found := passed_on.get(source, {}).get(name)) else source

    graph = nx.DiGraph()
    graph.add_nodes_from(files)
    for module, found in imports.items():
        for source, name, alias in found:
            target = resolved(source, name)
            if alias not in passed_on.get(module, {}) and target != module:
                graph.add_edge(module, target)
    return graph


def imports_of_own_packages(root=ROOT, package=PACKAGE):
    """Return the modules that import names through a package that they lie in."""
    files = module_files(root, package)
    return sorted(
        f"{module} -> {source}.{name}"
        for module, path in files.items()
        for source, name, _ in _imports(path, module, files)
        if module.startswith(f"{source}.") and f"{source}.{name}" not in files
    )


def _imports(path, module, files):
    """Yield the imports from within the package: module, name, and the name that it is bound to."""
    package = module.split(".")[0]
    is_package = path.name.startswith("__init__.")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                parts = module.split(".") if is_package else module.split(".")[:-1]
                base = parts[: len(parts) - (node.level - 1)]
                source = ".".join([*base, source] if source else base)
            if source in files:
                for alias in node.names:
                    yield source, alias.name, alias.asname or alias.name
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in files and alias.name != package:
                    source, _, name = alias.name.rpartition(".")
                    yield source, name, alias.asname or alias.name


def _names_of_stub(path, module, files):
    stub = path.with_suffix(".pyi")
    if not stub.exists():
        return {}
    return {alias: (source, name) for source, name, alias in _imports(stub, module, files)}


def _names_passed_on(path, imports):
    """Return the names that an ``__init__.py`` imports and does not use itself."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return {alias: (source, name) for source, name, alias in imports if alias not in used}
