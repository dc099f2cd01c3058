"""What the page needs of the study's result."""

from __future__ import annotations

from typing import Any

import pandas as pd

from daam_syntax.language import PromptSet
from daam_syntax.studies.framework.findings import is_found
from daam_syntax.studies.framework.result import StudyResult
from daam_syntax.studies.verdicts.evaluation import ALL, with_prompt
from daam_syntax.studies.verdicts.judging.failures import ANY, FAILURES, KINDS, name_of_failure

GAINS = "What maps add to the prompt"
WITHIN = "Failed against right images of the same prompt"


def results_of(result: StudyResult, prompts: PromptSet) -> dict[str, Any]:
    """Return counts, scores, gains, and sentences of a study's result, as JSON can hold them.

    Parameters
    ----------
    result
        Result of the study ``verdicts``.
    prompts
        The prompts, whose category is their kind.
    """
    images = result.tables["images"]
    settings = {
        name: result.provenance[name]
        for name in ("steps", "seeds", "size")
        if name in result.provenance
    }
    return {
        "settings": settings,
        "images": len(images),
        "prompts": int(images["prompt_id"].nunique()),
        "of prompts": len(prompts),
        "failures": {name: _counts(images, name) for name in FAILURES},
        "kinds": _kinds(images, prompts),
        "scores": _scores(result),
        "gains": _estimates(result.tables["estimates"], GAINS),
        "within prompts": _estimates(result.tables["estimates"], WITHIN),
        "answers": list(result.findings["Answers"]),
        "judge": _judge(result),
    }


def _counts(images: pd.DataFrame, failure: str) -> dict[str, int]:
    known = images[images[failure].notna()]
    failed = known[known[failure] == 1]
    return {
        "failed": len(failed),
        "judged": len(known),
        "prompts": int(failed["prompt_id"].nunique()),
    }


def _kinds(images: pd.DataFrame, prompts: PromptSet) -> dict[str, dict[str, Any]]:
    """Count images and failures of each kind of prompt; a kind of failure that no image is judged by is None."""
    kind_of = {row.text: row.category for row in prompts.rows}
    found = {}
    for kind, each in images.groupby(images["prompt"].map(kind_of)):
        judged = {name: each[name].notna().any() for name in (*KINDS, ANY)}
        counts = {name: int(each[name].sum()) if some else None for name, some in judged.items()}
        found[str(kind)] = {"images": len(each), **counts}
    return dict(sorted(found.items(), key=lambda item: -item[1][ANY] / item[1]["images"]))


def _scores(result: StudyResult) -> dict[str, dict[str, list[float]]]:
    """Return the AUC of each set of predictors with its interval, by failure."""
    found: dict[str, dict[str, list[float]]] = {}
    if "scores" in result.tables:
        for row in result.tables["scores"].to_dict("records"):
            values = [round(float(row[name]), 4) for name in ("auc", "auc_low", "auc_high")]
            found.setdefault(str(row["failure"]), {})[str(row["predictors"])] = values
    return found


def _estimates(estimates: pd.DataFrame, answer: str) -> dict[str, dict[str, Any]]:
    """Return the estimates of a finding by failure, and by set of measures or measure."""
    named = {name_of_failure(failure): failure for failure in FAILURES}
    found: dict[str, dict[str, Any]] = {}
    for row in estimates[estimates["answer"] == answer].to_dict("records"):
        words, _, name = row["label"].partition(": ")
        values = [round(float(row[key]), 4) for key in ("estimate", "low", "high")]
        found.setdefault(named[words], {})[name] = {
            "value": values,
            "p_adjusted": round(float(row["p_adjusted"]), 5),
            "found": bool(is_found(row)),
            "prompts": int(row["n_prompts"]),
        }
    return found


def _judge(result: StudyResult) -> dict[str, dict[str, Any]]:
    """Return the error rates of the judge, and the AUC of the prompt and all maps corrected for them, by failure."""
    if "judge" not in result.tables:
        return {}
    estimates = result.tables["estimates"].set_index("label")
    found: dict[str, dict[str, Any]] = {}
    for row in result.tables["judge"].to_dict("records"):
        rates = {name: round(float(row[name]), 4) for name in ("sensitivity", "specificity")}
        corrected = f"{name_of_failure(str(row['failure']))}: {with_prompt(ALL)}"
        if corrected in estimates.index:
            each = estimates.loc[corrected]
            values = [round(float(each[key]), 4) for key in ("estimate", "low", "high")]
            found[str(row["failure"])] = {**rates, "corrected": values}
    return found
