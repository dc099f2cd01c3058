"""The code of the quickstart and of the recipes runs, in order, with few steps."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import daam_syntax as ds

DOCS = Path(__file__).parents[2] / "docs"


def run_code(page, folder, pipe, monkeypatch):
    """Run a page's Python blocks with the pipeline that is loaded already, and return their names."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(ds, "load_pipeline", lambda: pipe)
    text = (DOCS / page).read_text(encoding="utf-8")
    assert "steps=20" in text
    scope = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        source = block.replace("num_inference_steps=20", "num_inference_steps=2")
        exec(compile(source.replace(" steps=20", " steps=1"), page, "exec"), scope)
    return scope


@pytest.mark.slow
def test_the_quickstart_runs(tmp_path, monkeypatch, emoji_pipe):
    scope = run_code("quickstart.md", tmp_path, emoji_pipe, monkeypatch)
    assert len(scope["result"].images) == 6
    assert "<html" in (tmp_path / "explorer.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def recipes(tmp_path_factory, emoji_pipe):
    folder = tmp_path_factory.mktemp("recipes")
    with pytest.MonkeyPatch.context() as monkeypatch:
        return folder, run_code("recipes.md", folder, emoji_pipe, monkeypatch)


@pytest.mark.slow
def test_recipes_give_what_they_announce(recipes):
    folder, scope = recipes
    assert {p.name for p in folder.iterdir()} >= {
        "gold.conllu",
        "relations.tex",
        "relations.md",
        "forest.pdf",
        "run",
        "maps.npz",
        "between",
    }
    assert np.isfinite(scope["between"][np.ix_([1, 2], [1, 2])]).all()
    assert [len(each) for each in scope["analysis"].attention] == [1, 1]
    assert scope["study"].tables["scores"]["attention"].between(0, 1).any()
    assert scope["refined"].provenance["refined"]
    assert scope["animal"].indices == (1,)
    assert scope["outputs"].provenance["kind"] == "output similarity"
    assert scope["competing"]["owl"].values.max() <= 1
    assert scope["without_owl"] != scope["image"] != scope["control"]
    replaced = scope["replaced"]
    assert len({each.tobytes() for each in replaced.values()}) == len(replaced) == 5
    assert replaced["the same"].tobytes() == scope["original"].tobytes()
    assert isinstance(scope["edited"], Image.Image)
    assert len(scope["early"].word_array("cat")["step"]) < len(scope["kept"].data["step"])
    assert set(scope["red"]["pair"]) == set(scope["blue"]["pair"])


@pytest.mark.slow
def test_the_covariate_and_the_hand_made_parse_are_used(recipes):
    _, scope = recipes
    options = {"by": None, "covariates": "frequency", "within": None}
    words = ds.regress(scope["colored"], "phi", **options)
    both = ds.regress(scope["table"], "phi", covariates=["typical", "log_distance"])
    for fit, term in ((words, "frequency"), (both, "typical")):
        assert fit.converged
        assert np.isfinite(fit.terms.set_index("term").loc[term, "p"])
    table = ds.measure_pairs(scope["maps"].with_sentence(scope["by_hand"]), unrelated=False)
    assert list(table["relation"]) == ["amod", "amod"]


def test_every_recipe_that_the_site_promises_is_there():
    titles = re.findall(r"^## (.*)$", (DOCS / "recipes.md").read_text(encoding="utf-8"), re.M)
    assert len(titles) == len(set(titles)) >= 12
    assert {"Trace a negative prompt", "Use your own parses", "Coming from daam"} <= set(titles)
