"""Findings of the study: what is predicted beyond the prompt, within prompts, and by a judge without errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from daam_syntax.analysis import Estimate
from daam_syntax.studies.framework.findings import Finding, estimates_table, is_found
from daam_syntax.studies.verdicts.discrimination import LEVEL, N_EXCHANGES, interval, within_prompts
from daam_syntax.studies.verdicts.evaluation import (
    ALL,
    PROMPT,
    SETS,
    Evaluation,
    TooFew,
    with_prompt,
)
from daam_syntax.studies.verdicts.judging.failures import FAILURES, name_of_failure
from daam_syntax.studies.verdicts.judging.misjudgment import ErrorRates, attenuation, corrected
from daam_syntax.studies.verdicts.map_measures import DESCRIPTIONS, EXPECTED
from daam_syntax.util.wording import listed, plural

COMPARED: Final = (
    "head_dependent_iou",
    "noun_noun_iou",
    "noun_noun_phi",
    "binding_margin",
    "neglect",
)
"""Measures that are compared within prompts; the others of a set are close to one of these."""

_SUBJECT: Final = {
    "overlap": "The overlap of maps",
    "binding": "The binding of modifiers",
    "neglect": "The neglect of nouns",
    ALL: "The set of all measures",
}
_FEWEST_MIXED: Final = 6
"""Fewest prompts with failed and right images that are compared within prompts: 2^(1 - 6) is below 0.05."""

_LEAST_P: Final = 1 / (1 + N_EXCHANGES)

_FIRST: Final = (
    f"{100 * LEVEL:g}% interval "  # those that follow in a sentence are of the same kind
)


def make_findings(
    images: pd.DataFrame,
    evaluated: Mapping[str, Evaluation | TooFew],
    rates: Mapping[str, ErrorRates],
    judge: str,
) -> list[Finding]:
    """Return the findings.

    Parameters
    ----------
    images
        The table of images.
    evaluated
        The predictions of each failure, or why nothing is claimed about it.
    rates
        Error rates of the judge, as far as they are known.
    judge
        Who judged, in words.
    """
    tested = {name: each for name, each in evaluated.items() if isinstance(each, Evaluation)}
    findings = []
    if tested:
        findings = [
            Finding(
                "What maps add to the prompt",
                "AUC with the maps minus AUC of the prompt alone",
                tuple(e for name, each in tested.items() for e in _gains(name, each)),
            ),
            Finding(
                "Failed against right images of the same prompt",
                "share of expected minus share of opposite pairs (−1 to 1; 0 is chance)",
                tuple(e for name, each in tested.items() for e in _within(name, each, images)),
                notes=(
                    "Expected of a failed image: more overlap, a smaller binding margin, more neglect. The prompt "
                    "alone is at chance here by design.",
                    *(note for name, each in tested.items() for note in _few_mixed(name, each)),
                ),
            ),
        ]
    table = estimates_table(findings)
    answers: list[str] = []
    for name, each in evaluated.items():
        if isinstance(each, TooFew):
            answers.append(_refusal(name, each))
        else:
            answers += _answers(name, each, table)
    head = [
        Finding("Verdicts", "", notes=tuple(_counts(images, judge))),
        Finding("Answers", "", notes=tuple(answers or ["No image was judged."])),
    ]
    return [*head, *findings, *_of_judge(tested, rates, judge)]


def _counts(images: pd.DataFrame, judge: str) -> Iterator[str]:
    """Say how many images failed, and how many nobody judged."""
    n = len(images)
    yield f"{plural(n, 'image')} of {plural(images['prompt_id'].nunique(), 'prompt')}, judged by {judge}."
    for failure in FAILURES:
        known = images[failure].notna()
        if not known.any():
            yield f"{_capital(name_of_failure(failure))}: not judged in any image."
            continue
        failed = images[images[failure] == 1]
        text = (
            f"{_capital(name_of_failure(failure))}: {len(failed)} of {int(known.sum())} images, in "
            f"{plural(failed['prompt_id'].nunique(), 'prompt')}"
        )
        unknown = n - int(known.sum())
        yield text + (
            f"; {plural(unknown, 'image')} without a verdict left out." if unknown else "."
        )


def _refusal(failure: str, found: TooFew) -> str:
    return (
        f"Nothing can be said about whether {name_of_failure(failure)}: {plural(found.n_failed, 'failure')} in "
        f"{plural(found.n_images, 'image')}, of {plural(found.n_prompts, 'prompt')}; {found.needed}."
    )


def _sample(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "n_prompts": evaluation.outcomes.n_prompts,
        "n_clusters": evaluation.outcomes.n_prompts,
        "n_images": len(evaluation.rows),
    }


def _gains(failure: str, evaluation: Evaluation) -> Iterator[Estimate]:
    """Estimate what each set of measures adds to the prompt."""
    for name in SETS:
        if name in evaluation.predictions:
            value, replicates, p = evaluation.gain(name)
            low, high = interval(replicates)
            yield Estimate(
                _gain_label(failure, name),
                "auc",
                value,
                low,
                high,
                p=p,
                least_p=_LEAST_P,
                method="bootstrap of prompts; one-sided exchange of ranks within prompts",
                **_sample(evaluation),
            )


def _gain_label(failure: str, name: str) -> str:
    return f"{name_of_failure(failure)}: {name}"


def _within_label(failure: str, measure: str) -> str:
    return f"{name_of_failure(failure)}: {DESCRIPTIONS[measure]}"


def _within(failure: str, evaluation: Evaluation, images: pd.DataFrame) -> Iterator[Estimate]:
    """Compare failed and right images of the same prompt by each measure."""
    for number, measure in enumerate(COMPARED):
        scores = EXPECTED[measure] * images[measure].to_numpy(float)[evaluation.rows]
        if not np.isfinite(scores).any():
            continue
        found = within_prompts(evaluation.outcomes, scores, np.random.default_rng(number))
        if found.n_prompts < _FEWEST_MIXED:
            continue
        yield Estimate(
            _within_label(failure, measure),
            "somers_d",
            found.difference,
            found.low,
            found.high,
            p=found.p,
            least_p=_LEAST_P,
            n_prompts=found.n_prompts,
            n_clusters=found.n_prompts,
            n_pairs=found.n_pairs,
            method="bootstrap of prompts; verdicts permuted within prompts",
        )


def _few_mixed(failure: str, evaluation: Evaluation) -> Iterator[str]:
    """Say that too few prompts have both failed and right images, if it is so."""
    n = int((evaluation.outcomes.n_pairs().diagonal() > 0).sum())
    if n < _FEWEST_MIXED:
        yield (
            f"{_capital(name_of_failure(failure))}: not compared, because only {plural(n, 'prompt')} "
            f"{'has' if n == 1 else 'have'} failed and right images; at least {_FEWEST_MIXED} are needed."
        )


def _answers(failure: str, evaluation: Evaluation, table: pd.DataFrame) -> Iterator[str]:
    """Say in plain words what predicts a failure, from the estimates and their adjusted p-values."""
    rows = {row["label"]: row for row in table.to_dict("records")}
    what = name_of_failure(failure)
    baseline = evaluation.auc(PROMPT)
    yield (
        f"{_capital(what)}: the prompt alone predicts this with an AUC of {_with_interval(*baseline, _FIRST)}, all "
        f"measures of maps alone with {_with_interval(*evaluation.auc(ALL))}, both together with "
        f"{_with_interval(*evaluation.auc(with_prompt(ALL)))}."
    )
    sets = [name for name in SETS if name in evaluation.predictions]
    found = [name for name in sets if is_found(rows[_gain_label(failure, name)])]
    missed = [name for name in sets if name not in found]
    for name in found:
        gain = rows[_gain_label(failure, name)]["estimate"]
        yield (
            f"{_SUBJECT[name]} predicts that {what} beyond what is counted of the prompt: it adds {gain:.3f} to the "
            "AUC."
        )
    compared = [rows.get(_within_label(failure, measure)) for measure in COMPARED]
    within = [row for row in compared if row is not None]
    yield from _answers_within(what, within)
    if found and not any(is_found(row) for row in within):
        why = "were not found to differ" if within else "could not be compared"
        yield (
            f"Failed and right images of the same prompt {why} in whether {what}, so the maps may only tell something "
            "about the prompt that is not counted."
        )
    if missed:
        yield (
            f"No evidence was found that {listed([_lower(_SUBJECT[name]) for name in missed], 'or')} adds to what the "
            f"prompt says about whether {what}."
        )


def _answers_within(what: str, rows: list[dict[Any, Any]]) -> Iterator[str]:
    """Say which measures separate images of one prompt, and in which direction."""
    for sign, words in ((1, "as expected"), (-1, "in the unexpected direction")):
        found = [row for row in rows if is_found(row) and sign * row["estimate"] > 0]
        if found:
            named = listed([row["label"].split(": ", 1)[1] for row in found])
            yield (
                f"Among images of the same prompt, those in which {what} differ {words} from the others, by "
                f"{plural(len(found), 'measure')}: {named}."
            )


def _with_interval(value: float, replicates: np.ndarray, what: str = "") -> str:
    low, high = interval(replicates)
    return f"{value:.3f} ({what}{low:.3f} to {high:.3f})"


def _of_judge(
    tested: Mapping[str, Evaluation], rates: Mapping[str, ErrorRates], judge: str
) -> Iterator[Finding]:
    """Correct the AUCs for the errors of the judge, or say that they are not known."""
    if not tested:
        return
    title = "Corrected for the errors of the judge"
    if not rates:
        yield Finding(
            title,
            "",
            notes=(
                "How often the judge errs is not known, so nothing is corrected. Its errors draw AUCs toward 0.5 if "
                "they do not depend on the measures: give sensitivity and specificity to correct the AUCs.",
            ),
        )
        return
    known = {name: each for name, each in tested.items() if name in rates}
    estimates = [
        _corrected(failure, evaluation, rates[failure], name)
        for failure, evaluation in known.items()
        for name in (PROMPT, with_prompt(ALL))
    ]
    notes = [_rates_in_words(name, rates[name], each, judge) for name, each in known.items()]
    notes += [
        f"How often the judge errs about whether {name_of_failure(name)} is not known."
        for name in tested
        if name not in rates
    ]
    yield Finding(title, "AUC (0.5 is chance)", tuple(estimates), notes=tuple(notes))


def _corrected(failure: str, evaluation: Evaluation, rates: ErrorRates, name: str) -> Estimate:
    value, replicates = evaluation.auc(name)
    share = evaluation.n_failed / len(evaluation.rows)
    factor = attenuation(share, rates.sensitivity, rates.specificity)
    known = corrected(np.array([value]), np.atleast_1d(factor))[0]
    failed = np.bincount(evaluation.outcomes.prompts, evaluation.outcomes.failed)
    weights = evaluation.weights
    shares = weights @ failed / (weights @ np.bincount(evaluation.outcomes.prompts))
    drawn = rates.draw(np.random.default_rng(1), len(weights))
    low, high = interval(corrected(replicates, attenuation(shares, *drawn)))
    reason = "" if np.isfinite(low) else "the judge errs too often"
    return Estimate(
        f"{name_of_failure(failure)}: {name}",
        "auc",
        float(known),
        low,
        high,
        method="bootstrap of prompts, with error rates drawn from beta distributions",
        reason=reason,
        **_sample(evaluation),
    )


def _rates_in_words(failure: str, rates: ErrorRates, evaluation: Evaluation, judge: str) -> str:
    share = evaluation.n_failed / len(evaluation.rows)
    factor = float(attenuation(share, rates.sensitivity, rates.specificity))
    where = f" of {rates.n_failed} and {rates.n_right} rendered scenes" if rates.n_failed else ""
    return (
        f"{_capital(name_of_failure(failure))}: {judge} is right about {100 * rates.sensitivity:.1f}% of failures and "
        f"{100 * rates.specificity:.1f}% of right images{where}, which multiplies AUC − 0.5 by {factor:.3f}."
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
