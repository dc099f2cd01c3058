import importlib.util
import inspect
import re
from pathlib import Path

import pytest
from PIL import Image

from daam_syntax import figures

SCRIPT = Path(__file__).parents[2] / "docs" / "gallery.py"


@pytest.fixture(scope="module")
def gallery():
    import sys

    spec = importlib.util.spec_from_file_location("gallery", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["gallery"] = module  # inspect reads its source
    spec.loader.exec_module(module)
    yield module
    del sys.modules["gallery"]


def test_every_figure_is_in_the_gallery(gallery):
    drawing = set(figures.__all__) - {"CONTROL", "PALETTE", "animate", "paper", "save"}
    code = "".join(map(inspect.getsource, gallery.DRAW))
    assert [name for name in sorted(drawing) if f"figures.{name}(" not in code] == []
    assert [f.__name__ for f in gallery.DRAW if not gallery.lesson_of(f).endswith((".", "?"))] == []


@pytest.mark.slow
def test_the_gallery_is_made_with_the_embedded_model(gallery, tmp_path):
    gallery.write_gallery(tmp_path, gallery.SMALL)
    page = (tmp_path / "gallery.md").read_text(encoding="utf-8")
    drawn = [function.__name__ for function in gallery.DRAW if "_table" not in function.__name__]
    assert sorted(drawn) == sorted(path.stem for path in (tmp_path / "gallery").iterdir())
    for function in gallery.DRAW:
        assert f"## {gallery.title_of(function)}" in page
    for name in drawn:
        path = tmp_path / "gallery" / f"{name}.png"
        assert f"(gallery/{path.name})" in page
        with Image.open(path) as image:
            assert image.width > 200
        assert path.stat().st_size < 1_000_000
    assert "2 images of 2 prompts" in page
    assert re.search(r"^\| word deleted: inside minus outside +\|", page, flags=re.MULTILINE)


def test_the_page_that_is_kept_shows_the_code_of_every_figure(gallery):
    page = (SCRIPT.parent / "gallery.md").read_text(encoding="utf-8")
    for function in gallery.DRAW:
        shown = f"![{gallery.title_of(function)}](gallery/{function.__name__}.png)"
        before, _, after = "\n".join(gallery.section(function, "SHOWN")).partition("SHOWN")
        assert before in page, "run python -m tools.check --make gallery"
        assert after in page, "run python -m tools.check --make gallery"
        assert ("_table" in function.__name__) != (shown in page)
