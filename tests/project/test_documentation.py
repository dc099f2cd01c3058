"""The website is built by the one command that README and CONTRIBUTING name, without a warning or a broken link."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup

import daam_syntax as ds

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ROOMS = ("analysis", "attention", "figures", "language", "maps", "maps.measures", "runs", "studies")


def public_names():
    """Every public name that a user can write, with those that packages offer at their own level only."""
    top = {name for name in ds.__all__ if not hasattr(getattr(ds, name), "__path__")}
    yield from (f"ds.{name}" for name in sorted(top - {"__version__"}))
    for room in ROOMS:
        package = ds
        for part in room.split("."):
            package = getattr(package, part)
        yield from (f"ds.{room}.{name}" for name in sorted(package.__all__))


def meaning_of(name):
    value = ds
    for part in name.split(".")[1:]:
        if not hasattr(value, part):  # a module that its package does not offer
            __import__(f"{value.__name__}.{part}")
        value = getattr(value, part)
    return value


def test_every_public_name_has_an_entry():
    text = "\n".join(page.read_text(encoding="utf-8") for page in DOCS.glob("api/*.md"))
    entries = re.findall(r"^(ds\.[\w.]+)$", text, re.MULTILINE)
    assert len(entries) == len(set(entries))
    documented = [meaning_of(name) for name in entries]
    missing = [
        name
        for name in public_names()
        if name not in entries
        and not any(meaning_of(name) is value for value in documented)
        and not hasattr(meaning_of(name), "__path__")
        and type(meaning_of(name)).__name__ != "module"
    ]
    assert missing == []


def test_readme_has_the_command_with_the_extra_that_it_needs():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    extra, command = re.search(
        r'`pip install [^`]*"\.\[(\w+)\]" && (python -m sphinx [^`]*)`', readme
    ).groups()
    assert f"`{command}` (extra `{extra}`)" in (ROOT / "CONTRIBUTING.md").read_text(
        encoding="utf-8"
    )
    assert (
        command == "python -m sphinx -W docs docs/_build/html"
    )  # as `site` runs it, to another folder
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    packages = {re.match(r"[\w-]+", each)[0] for each in project["optional-dependencies"][extra]}
    configuration = (DOCS / "conf.py").read_text(encoding="utf-8")
    used = re.findall(r'^    "(myst_nb|sphinx_\w+)"', configuration, re.MULTILINE)
    theme = re.search(r'html_theme = "(\w+)"', configuration)[1]
    assert packages == {"sphinx", theme, *(name.replace("_", "-") for name in used)}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    before = untracked()
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "docs", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert untracked() == before
    return out


def untracked():
    command = ["git", "ls-files", "--others", "--exclude-standard", "docs"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout


@pytest.mark.slow
def test_no_internal_link_is_broken(site):
    pages = {
        path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in site.rglob("*.html")
    }
    assert len(pages) > 40
    anchors = {path: {tag["id"] for tag in soup.find_all(id=True)} for path, soup in pages.items()}
    broken = []
    for path, soup in pages.items():
        if path.name == "explorer.html":
            continue
        for tag, attribute in (("a", "href"), ("img", "src"), ("iframe", "src"), ("script", "src")):
            for element in soup.find_all(tag, **{attribute: True}):
                address = urlsplit(element[attribute])
                if address.scheme or address.netloc:
                    continue
                target = (path.parent / unquote(address.path)).resolve() if address.path else path
                if not target.exists() or (
                    address.fragment
                    and target in anchors
                    and unquote(address.fragment) not in anchors[target]
                ):
                    broken.append((str(path.relative_to(site)), element[attribute]))
    assert broken == []


@pytest.mark.slow
def test_the_reference_shows_the_names_that_users_write(site):
    page = BeautifulSoup((site / "api" / "tracing.html").read_text(encoding="utf-8"), "html.parser")
    (signature,) = [s for s in page.find_all("dt") if s.get("id") == "daam_syntax.trace"]
    assert re.match(r"\s*ds\.trace\(\s*pipe,", signature.text)
    assert "attention.tracing" not in signature.text
    described = signature.find_next_sibling("dd").text
    assert "whether to record the negative prompts" in described.lower()
    assert "bool" in described  # types stand beside the parameters


@pytest.mark.slow
def test_search_finds_negative_prompts(site):
    text = (site / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(text[text.index("{") : text.rindex("}") + 1])
    recipes = index["docnames"].index("recipes")
    for term in ("negat", "prompt"):
        pages = [index[where].get(term, []) for where in ("terms", "titleterms")]
        assert recipes in [n for part in pages for n in ([part] if isinstance(part, int) else part)]
    assert "Trace a negative prompt" in index["alltitles"]


@pytest.mark.slow
def test_the_landing_page_embeds_an_explorer_and_shows_the_first_command(site):
    page = BeautifulSoup((site / "index.html").read_text(encoding="utf-8"), "html.parser")
    assert page.find("iframe", src="explorer.html")
    assert "daam-syntax analyze" in page.text
    assert (site / "explorer.html").stat().st_size > 50_000
    gallery = BeautifulSoup((site / "gallery.html").read_text(encoding="utf-8"), "html.parser")
    figures = len(list((DOCS / "gallery").glob("*.png")))
    assert len(gallery.select(".thumbnails .sd-card")) == figures
