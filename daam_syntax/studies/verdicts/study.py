"""Whether overlap, binding, and neglect predict that an image is wrong, beyond what its prompt says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pandas as pd

from daam_syntax.errors import StudyError
from daam_syntax.maps import parse_threshold
from daam_syntax.studies.framework.design import StudyDesign
from daam_syntax.studies.framework.result import StudyResult
from daam_syntax.studies.framework.stored_setup import StoredSetup
from daam_syntax.studies.verdicts.evaluation import Evaluation, TooFew, evaluate
from daam_syntax.studies.verdicts.figures import draw_examples, draw_forest
from daam_syntax.studies.verdicts.findings import make_findings
from daam_syntax.studies.verdicts.images import (
    annotator_of,
    first_prompts,
    measured_images,
    places_in,
    require_judge,
)
from daam_syntax.studies.verdicts.judging.annotated import Asked, annotator_rates
from daam_syntax.studies.verdicts.judging.failures import ANY, FAILURES, KINDS
from daam_syntax.studies.verdicts.judging.matching import match
from daam_syntax.studies.verdicts.judging.misjudgment import ErrorRates, attenuation
from daam_syntax.studies.verdicts.judging.verdict_files import read_verdicts
from daam_syntax.studies.verdicts.prompt_features import nouns_of

if TYPE_CHECKING:
    from daam_syntax.studies.framework.setup import Setup

DESIGN: Final = StudyDesign(
    name="verdicts",
    title="Does overlap predict a wrong image?",
    question="Do the overlap of heat maps, the binding of modifiers, and the neglect of nouns predict that an object "
    "is missing, that two nouns have one object, or that an object has a wrong color, beyond what the prompt alone "
    "predicts?",
    method="Every image has a verdict for each kind of failure: by the annotator of the embedded model, or from a file "
    "(people, VQAScore, GenEval, TIFA). Three sets of measures of its maps may predict it: overlap (mean IoU of "
    "heads and dependents; largest IoU and phi of two nouns), binding (smallest binding margin of a modifier or a "
    "predicate adjective), and neglect (of the noun that has least of the attention: 1 minus its largest attention, "
    "its attention, and this relative to the mean of the nouns). The baseline knows only the prompt: the numbers of "
    "its objects, places, words, color words, and words of each part of speech, and its nouns, of which each has a "
    "failure rate of its own. Each set, alone and together with the prompt, is fitted by logistic regression with a "
    "fixed ridge penalty. Predictions are out of sample: prompts are divided into ten folds, three times, all "
    "images of a prompt in one fold; each fold is predicted by the others, and everything that is estimated (means, "
    "standard deviations, nouns, coefficients) comes from the others. AUC is the chance that a failed image gets a "
    "higher prediction than a right one (0.5 is chance). Intervals are percentiles over bootstrap samples of "
    "prompts. What maps add to the prompt is the difference of two AUCs; its one-sided test exchanges the ranks of "
    "the two predictions in random prompts. Within prompts, failed and right images of the same prompt are compared "
    "by one measure, without a regression; everything that the prompt says is equal there, and the test permutes "
    "the verdicts among the images of each prompt. A kind with fewer than 30 failures or 30 right images, or with "
    "either in fewer than 10 prompts, is not tested. The errors of the judge draw AUCs toward 0.5; corrected AUCs "
    "follow Menon et al. (2015), with the true share of failures after Rogan and Gladen (1978), and their intervals "
    "include the uncertainty of the error rates.",
    limits="A prediction is not an effect: attention that predicts a failure need not cause it, and maps may show the "
    "objects that were drawn rather than why. What maps add to the prompt can be something about the prompt that the "
    "baseline does not count; only the comparison within prompts excludes this. Intervals and tests hold for the "
    "regressions that were fitted; they"
    " do not include how the regressions would vary. A ridge regression on three or four measures finds effects "
    "that are roughly linear in the log odds; others may be missed. The correction assumes that a judge's errors "
    "do not depend on the measures, and the annotator was measured on rendered scenes, which are sharper than "
    "drawn images. A prompt without modifiers has no binding, and one without two nouns no overlap of nouns: "
    "their regressions take the mean.",
    prompts="hard",
    seeds=3,
    steps=12,
    of_stored="the maps, with verdicts of a file or of the annotator",
    figures={
        "auc": "Separation of failed and right images out of sample, by failure and set of predictors, with 95% "
        "intervals over prompts. The dashed line is chance. The dotted line is the prompt alone.",
        "examples": "For each kind of failure, failed images with the largest, and right images with the smallest "
        "overlap of two nouns (phi).",
    },
    tables={
        "scores": "AUC, average precision (chance is the share of failures), and skills (1 is perfect, 0 as good as "
        "the share of failures) with 95% intervals.",
        "images": "Every image: its verdicts, features of its prompt, and measures of its maps.",
        "judge": "How often the judge is right, and by how much its errors draw an AUC toward 0.5 (1 is not at all).",
    },
)


def run(
    setup: Setup | StoredSetup,
    *,
    verdicts: str | Path | None = None,
    pass_score: float = 0.5,
    sensitivity: float | None = None,
    specificity: float | None = None,
    threshold: str = "relative:0.4",
    limit: int | None = None,
) -> StudyResult:
    """Predict failures of images from their maps, and compare with what the prompt alone predicts.

    Parameters
    ----------
    setup
        The setup, or a stored run.
    verdicts
        File of verdicts on the images: a table of people's judgments or of VQAScores, the results of GenEval
        (.jsonl), or of TIFA (.json). They replace those of the annotator, which judges images of the embedded model.
    pass_score
        Smallest VQAScore of an image that counts as right.
    sensitivity
        Share of failures that the judge of the file finds, if it is known; only together with the specificity.
    specificity
        Share of right images that the judge of the file calls right.
    threshold
        Threshold rule for masks.
    limit
        Number of prompts, the first ones; by default all.

    Raises
    ------
    StudyError
        If nobody judges the images, if a verdict fits no image or several, or if a number is out of range.
    FileError
        If the file of verdicts cannot be read.
    """
    rates = _given_rates(sensitivity, specificity, verdicts)
    rule = str(parse_threshold(threshold))
    setup = first_prompts(setup, limit)
    sentences = setup.sentences[:limit]
    given = None if verdicts is None else read_verdicts(verdicts, pass_score)
    annotator = annotator_of(setup) if given is None else None
    require_judge(annotator, verdicts)
    images, thumbnails = measured_images(setup, sentences, rule, annotator)
    if given is not None:
        images[[*KINDS, ANY]] = match(given, images)
    elif annotator is not None:
        rates = annotator_rates(annotator, [Asked.of(sentence) for sentence in sentences])
    places = places_in(setup)
    nouns = {sentence.text: nouns_of(sentence, places) for sentence in sentences}
    evaluated = {
        failure: evaluate(images, failure, nouns)
        for failure in FAILURES
        if images[failure].notna().any()
    }
    judge = "the annotator" if given is None else "a file"
    findings = make_findings(images, evaluated, rates, judge)
    tables, figures = _tables(images, evaluated, rates), {}
    tested = {name: each for name, each in evaluated.items() if isinstance(each, Evaluation)}
    if tested:
        figures["auc"] = draw_forest(tested)
    examples = draw_examples(images, thumbnails)
    if examples is not None:
        figures["examples"] = examples
    return StudyResult.of(
        DESIGN,
        setup,
        findings,
        tables,
        figures,
        threshold=threshold,
        judge=judge,
        verdicts=str(verdicts or ""),
        pass_score=pass_score,
        limit=limit,
    )


def _given_rates(
    sensitivity: float | None, specificity: float | None, verdicts: str | Path | None
) -> dict[str, ErrorRates]:
    """Return the error rates of the judge of a file, the same for all failures; none if they are not known.

    Raises
    ------
    StudyError
        If only one is given, if they are not those of an informed judge, or if there is no file.
    """
    if sensitivity is None and specificity is None:
        return {}
    if sensitivity is None or specificity is None or verdicts is None:
        raise StudyError(
            "Expected sensitivity and specificity together, for the judge of a file of verdicts, but got only some of "
            "the three: give all of them. The errors of the annotator are measured."
        )
    if not (0 <= sensitivity <= 1 and 0 <= specificity <= 1 and sensitivity + specificity > 1):
        raise StudyError(
            "Expected a sensitivity and a specificity from 0 to 1 whose sum is above 1, which is chance, but got "
            f"{sensitivity:g} and {specificity:g}."
        )
    return dict.fromkeys(FAILURES, ErrorRates(sensitivity, specificity))


def _tables(
    images: pd.DataFrame,
    evaluated: Mapping[str, Evaluation | TooFew],
    rates: Mapping[str, ErrorRates],
) -> dict[str, pd.DataFrame]:
    """Return the tables of the scores, the images, and the judge; those without rows are left out."""
    scores = [
        each.table().assign(failure=failure)
        for failure, each in evaluated.items()
        if isinstance(each, Evaluation)
    ]
    found = {"images": images}
    if scores:
        table = pd.concat(scores, ignore_index=True)
        found = {"scores": table[["failure", *table.columns.drop("failure")]], **found}
    judge = [
        _judge_row(failure, images[failure], rates[failure])
        for failure in rates
        if failure in evaluated
    ]
    return found | ({"judge": pd.DataFrame(judge)} if judge else {})


def _judge_row(failure: str, verdicts: pd.Series, rates: ErrorRates) -> dict[str, object]:
    share = float(verdicts.mean())
    factor = attenuation(share, rates.sensitivity, rates.specificity)
    return {"failure": failure, **vars(rates), "share": share, "factor": float(factor)}
