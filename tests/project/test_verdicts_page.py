"""The results of the study verdicts, and the page that shows them."""

import numpy as np
import pandas as pd

import daam_syntax as ds
from benchmarks.verdicts.page import END, START, page, section
from benchmarks.verdicts.results import results_of
from daam_syntax.language import Prompt, PromptSet
from daam_syntax.studies.framework.result import StudyResult
from daam_syntax.studies.verdicts.evaluation import Evaluation, evaluate
from daam_syntax.studies.verdicts.findings import make_findings
from daam_syntax.studies.verdicts.judging.failures import ANY
from daam_syntax.studies.verdicts.judging.misjudgment import ErrorRates
from daam_syntax.studies.verdicts.map_measures import DESCRIPTIONS
from daam_syntax.studies.verdicts.prompt_features import FEATURES
from daam_syntax.studies.verdicts.study import DESIGN, _tables


class Setup:
    prompts = ("a cat",)

    def provenance(self):
        return {"steps": 12}


def made_result():
    """A result in which overlap predicts missing objects, and hardly a color is wrong."""
    rng = np.random.default_rng(1)
    prompts = np.repeat(np.arange(24), 3)
    images = pd.DataFrame({"prompt_id": [f"p{p}" for p in prompts], "seed": np.arange(72) % 3})
    images["prompt"] = [f"cat {p}" for p in prompts]
    for name in (*FEATURES, *DESCRIPTIONS):
        images[name] = rng.normal(size=72)
    overlap = images["noun_noun_iou"] + images["noun_noun_phi"]
    images["missing"] = (overlap > overlap.median()).astype(float)
    images["fused"] = np.nan
    images["color"] = (np.arange(72) < 2).astype(float)
    images[ANY] = images["missing"]
    nouns = {prompt: frozenset({"cat"}) for prompt in images["prompt"]}
    found = {name: evaluate(images, name, nouns) for name in ("missing", "color")}
    assert isinstance(found["missing"], Evaluation)
    rates = {"missing": ErrorRates(0.95, 0.98, 50, 50)}
    findings = make_findings(images, found, rates, "the annotator")
    return StudyResult.of(DESIGN, Setup(), findings, _tables(images, found, rates), {})


def test_the_page_says_what_the_study_found():
    prompts = PromptSet(
        tuple(Prompt(f"cat {n}", category="first" if n < 5 else "second") for n in range(24))
    )
    result = made_result()
    results = results_of(result, prompts)
    assert results["failures"]["color"] == {"failed": 2, "judged": 72, "prompts": 1}
    images = result.tables["images"]
    n_first = int(images["missing"].iloc[:15].sum())
    assert results["kinds"]["first"] == {
        "images": 15,
        "missing": n_first,
        "fused": None,
        "color": 2,
        ANY: n_first,
    }
    scores = result.tables["scores"].set_index("predictors")
    gain = scores.loc["prompt and overlap", "auc"] - scores.loc["prompt", "auc"]
    row = results["gains"]["missing"]["overlap"]
    assert row["found"]
    assert abs(row["value"][0] - gain) < 1e-4
    text = section(results)
    assert f"| first | 15 | {n_first} | not judged | 2 |" in text
    assert f"| overlap added to the prompt | **{gain:+.3f}** [" in text
    assert "| an object is missing | 95.0% | 98.0% |" in text
    assert "- Nothing can be said about whether an object has a wrong color: 2 failures" in text
    assert "\n\n\n" not in text
    before = f"before\n{START}\nold\n{END}\nafter\n"
    assert page(before, results) == f"before\n{START}\n\n{text}\n\n{END}\nafter\n"


def test_every_hard_prompt_has_a_kind():
    assert all(row.category for row in ds.prompts("hard").rows)
