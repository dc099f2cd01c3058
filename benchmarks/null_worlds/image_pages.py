"""The sentences of pages about images, from tables whose conditions differ by chance only.

Prompts, images, classes of words, and words have effects of their own, values are skewed or bounded, and some are
missing. What a page compares is exchangeable, so every difference that it finds is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy.special import expit

from benchmarks.null_worlds.claims import Claims, Recipe
from benchmarks.null_worlds.pair_worlds import BY_POS
from benchmarks.null_worlds.studies import Study
from benchmarks.null_worlds.study_pages import claims_of_page
from daam_syntax.attention import Edit
from daam_syntax.studies.framework.findings import Finding

_FRAME: Final = ("prompt_id", "image", "seed")


class _Chance:
    """Values that depend on prompts, images, and classes of words, but not on conditions.

    Parameters
    ----------
    study
        The study, for its prompts and its seed.
    """

    def __init__(self, study: Study) -> None:
        self.rng = np.random.default_rng([*study.seed, 3])
        self.images = study.pairs[list(_FRAME)].drop_duplicates(ignore_index=True)
        names = self.images["prompt_id"].unique()
        self.of_prompt = dict(zip(names, self.rng.normal(0, 1, len(names)), strict=True))
        self.of_image = dict(
            zip(self.images["image"], self.rng.normal(0, 0.5, len(self.images)), strict=True)
        )

    def table(
        self, of: Mapping[str, Sequence[Any]], rows: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """Return a row for each given row (each image if None) and each combination of values of some columns."""
        combined = pd.DataFrame(list(product(*of.values())), columns=list(of))
        return (self.images if rows is None else rows).merge(combined, how="cross")

    def level(self, rows: pd.DataFrame) -> np.ndarray:
        """Return the effects of prompt, image, and class. *Shape:* ``(row,)``."""
        level = rows["prompt_id"].map(self.of_prompt) + rows["image"].map(self.of_image)
        if "class" in rows:
            level = level + rows["class"].map(BY_POS).fillna(0)
        return level.to_numpy(float)

    def size(self, rows: pd.DataFrame) -> np.ndarray:
        """Return sizes of changes, skewed, from 0 to 1. *Shape:* ``(row,)``."""
        noise = self.rng.normal(0, 0.7, len(rows))
        return np.minimum(0.05 * np.exp(0.5 * self.level(rows) + noise), 1.0)

    def share(self, rows: pd.DataFrame) -> np.ndarray:
        """Return shares from 0 to 1. *Shape:* ``(row,)``."""
        return np.asarray(expit(self.level(rows) + self.rng.normal(0, 1, len(rows))))

    def happened(self, rows: pd.DataFrame, missing: float = 0.2) -> np.ndarray:
        """Return 0 or 1, or NaN where nothing can be said. *Shape:* ``(row,)``."""
        found = (self.rng.random(len(rows)) < expit(1.5 * self.level(rows))).astype(float)
        return np.where(self.rng.random(len(rows)) < missing, np.nan, found)


def _words(study: Study, chance: _Chance) -> list[Finding]:
    from daam_syntax.studies.words.deletions import CONDITIONS
    from daam_syntax.studies.words.findings import make_findings

    pos = {
        f"p{number:03}": [token.pos for token in sentence.tokens if token.pos != "PUNCT"]
        for number, sentence in enumerate(study.layout.sample)
    }
    words = chance.images.assign(**{"class": chance.images["prompt_id"].map(pos)}).explode("class")
    words = words.assign(attention=chance.rng.gamma(2.0, size=len(words)))
    table = chance.table({"condition": list(CONDITIONS)}, words)
    own, other = (np.tanh(chance.rng.normal(0.2, 0.3, len(table))) for _ in range(2))
    colored = table["class"] == "ADJ"
    return make_findings(
        table.assign(
            change=chance.size(table),
            own_map=own,
            other_maps=other,
            fewer=chance.happened(table),
            color_kept=np.where(colored, chance.happened(table), np.nan),
            noun_is_last=chance.rng.random(len(table)) < 0.3,
        )
    )


def _minimal_pairs(study: Study, chance: _Chance) -> list[Finding]:
    from daam_syntax.studies.minimal_pairs import CONDITIONS, ROLES, make_findings

    images = chance.table({"condition": CONDITIONS})
    words = chance.table({"condition": CONDITIONS, "role": [*ROLES, ROLES[2], ROLES[2]]})
    return make_findings(
        images.assign(change=chance.size(images)), words.assign(divergence=chance.size(words))
    )


def _intervention(study: Study, chance: _Chance) -> list[Finding]:
    from daam_syntax.studies.intervention import ORDERS, RANDOM, SHARES, make_findings

    conditions = ("delete", f"{RANDOM}noun", f"{RANDOM}adjective", "equal mass")
    words = chance.table({"word_index": [1, 4]})
    changes = chance.table({"condition": conditions}, words)
    inside, outside = chance.size(changes), chance.size(changes)
    changes = changes.assign(inside=inside, outside=outside, difference=inside - outside)
    curves = chance.table({"order": ORDERS, "share": (0.0, *SHARES, 1.0)}, words)
    curves = curves.assign(change=chance.size(curves) * curves["share"])
    return make_findings(changes, curves, Edit((0,), renormalize=False))


def _contextless(study: Study, chance: _Chance) -> list[Finding]:
    from daam_syntax.studies.contextless.conditions import COLOR, NUMBER, PLACE
    from daam_syntax.studies.contextless.findings import (
        BRINGING,
        COUNTED,
        NOUNS,
        PLACES,
        TAKING,
        make_findings,
    )
    from daam_syntax.studies.contextless.outcomes import BOTH, OTHER, OWN

    rows = [
        *((COLOR, name, role) for name in (*TAKING, *BRINGING) for role in (OWN, OTHER)),
        *((NUMBER, name, BOTH) for name in COUNTED),
        *((NUMBER, name, role) for name in NOUNS for role in (OWN, OTHER)),
        *((PLACE, name, BOTH) for name in PLACES),
    ]
    combined = pd.DataFrame(rows, columns=["question", "condition", "role"])
    table = chance.images.merge(combined, how="cross").assign(noun="cat", reason="")
    outcomes = {name: chance.happened(table) for name in ("kept", "taken", "shown")}
    sizes = {name: chance.size(table) for name in ("change", "change_in_noun")}
    return make_findings(table.assign(**outcomes, **sizes))


def _where_is_syntax(study: Study, chance: _Chance) -> list[Finding]:
    from daam_syntax.studies.where_is_syntax.findings import CONTROLS, make_findings

    relations = ("text encoder", "text-text")
    directions = ("chosen", "dependent to head", "head to dependent", "spanning tree")
    prompts = chance.images.drop_duplicates("prompt_id", ignore_index=True)
    of = {
        "relation": relations,
        "direction": directions,
        "condition": ("attention", *CONTROLS, "agreement"),
    }
    table = chance.table(of, prompts)
    table = table.assign(value=np.round(8 * chance.share(table)) / 8)  # of eight edges
    scores = chance.table({"relation": relations, "direction": directions}, prompts[:1])
    known = {
        "causal": True,
        "chosen_direction": "dependent to head",
        "attention_head": 0,
        "layer": "",
    }
    return make_findings(table, scores.assign(**known, p_permuted=np.nan))


def _retrieval(study: Study, chance: _Chance) -> list[Finding]:
    from daam_syntax.studies.retrieval.study import make_findings

    grids = pd.DataFrame({"grid": ["8x8", "16x16", "32x32"], "layer": ["mid", "up.0", "up.1"]})
    of = {"step": range(6), "attention_head": range(2)}
    table = chance.table(of, chance.images.merge(grids, how="cross"))
    shares = {name: chance.share(table) / 3 for name in ("start", "content", "function")}
    table = table.assign(n_keys=77, slots=1 + 76 * chance.share(table), **shares)
    by_head = table.groupby(["layer", "grid", "attention_head"])["content"].mean().reset_index()
    return make_findings(table, by_head)


def _sanity(study: Study, chance: _Chance) -> list[Finding]:
    from daam_syntax.studies.sanity.study import SAME_PLACE, SAME_WORD, make_findings

    correlations = chance.table({"comparison": (SAME_WORD, SAME_PLACE), "word_index": range(3)})
    areas = chance.table({"role": ("noun", "nonce word")})
    kinds = chance.table({"kind": ("start", "text", "end", "padding")})
    tables = {
        "correlations": correlations.assign(correlation=2 * chance.share(correlations) - 1),
        "areas": areas.assign(effective_area=chance.share(areas), head_subwords=1),
        "kinds": kinds.assign(
            whole=chance.size(kinds),
            attention=chance.share(kinds) / 4,
            excess_on_nouns=chance.share(kinds) - 0.5,
        ),
    }
    unknown = {"reliability": np.nan, "reason": "one seed", "n_words": 0, "n_prompts": 0}
    return make_findings(tables, unknown)


def _verdicts(study: Study, chance: _Chance) -> list[Finding]:
    from daam_syntax.studies.verdicts.evaluation import evaluate
    from daam_syntax.studies.verdicts.findings import make_findings
    from daam_syntax.studies.verdicts.judging.failures import ANY, FAILURES
    from daam_syntax.studies.verdicts.map_measures import DESCRIPTIONS
    from daam_syntax.studies.verdicts.prompt_features import FEATURES, describe_prompt, nouns_of

    described, nouns = {}, {}
    for number, sentence in enumerate(study.layout.sample):
        described[f"p{number:03}"] = describe_prompt(sentence, frozenset())
        nouns[f"p{number:03}"] = nouns_of(sentence, frozenset())
    features = pd.DataFrame.from_dict(described, orient="index")[list(FEATURES)]
    images = chance.images.assign(prompt=chance.images["prompt_id"])
    images = images.merge(features, left_on="prompt_id", right_index=True)
    # What the prompt says moves both the verdicts and the measures, so they are related, but only by the prompt.
    said = features["n_words"] + 2 * features["n_objects"] + features["n_adj"]
    is_counted = not study.world.exempt
    of_prompt = (said - said.mean()) / said.std() if is_counted else pd.Series(chance.of_prompt)
    said = images["prompt_id"].map(of_prompt).to_numpy(float)
    measures = {name: 0.7 * said + chance.rng.normal(0, 1, len(images)) for name in DESCRIPTIONS}
    failed = (chance.rng.random(len(images)) < expit(said - 0.3)).astype(float)
    images = images.assign(**measures, **dict.fromkeys(FAILURES, np.nan)).assign(**{ANY: failed})
    return make_findings(images, {ANY: evaluate(images, ANY, nouns)}, {}, "a file")


_Page = Callable[[Study, _Chance], list[Finding]]

OF_IMAGES: Final[Mapping[str, _Page]] = {
    "words": _words,
    "minimal pairs": _minimal_pairs,
    "intervention": _intervention,
    "contextless": _contextless,
    "where is syntax": _where_is_syntax,
    "retrieval": _retrieval,
    "sanity": _sanity,
    "verdicts": _verdicts,
}
"""Studies about images whose pages claim differences. The study of modes reports means only."""


def findings_of(study: Study) -> list[Finding]:
    """Return the findings of the page of a study about images."""
    return OF_IMAGES[study.world.study](study, _Chance(study))


def _claims(study: Study) -> Claims:
    yield from claims_of_page(findings_of(study))


IMAGE_PAGES: Final = tuple(
    Recipe(
        f"page of the study {name}",
        _claims,
        cost="slow" if name == "verdicts" else "cheap",
        scaled=False,
        study=name,
    )
    for name in OF_IMAGES
)
"""Pages about images, each in a world of its own."""
