"""The sentences of study pages that claim a difference, from simulated studies.

All sentences of a page are one family, and pages correct their p-values for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from benchmarks.null_worlds.claims import Claim, Claims, Recipe
from benchmarks.null_worlds.map_worlds import heat_maps
from benchmarks.null_worlds.prompts import FOLDER, THRESHOLD
from benchmarks.null_worlds.studies import Study
from daam_syntax.analysis import summarize
from daam_syntax.studies.framework.findings import Finding, estimates_table

SENTENCES: Final = "page"
"""Stands for the measure: the sentences of a page are one family, whatever they measure."""


def claims_of_page(findings: Sequence[Finding]) -> Claims:
    """Yield the differences that a page reports; means have no p-value."""
    for row in estimates_table(findings).to_dict("records"):
        if not np.isnan(row["p"]) or row["untested"]:
            yield Claim(
                SENTENCES,
                f"{row['label']}, {row['measure']}",
                row["estimate"],
                row["low"],
                row["high"],
                row["p"],
                row["p_adjusted"],
                bool(row["untested"]),
            )


def _syntax(study: Study) -> Claims:
    from daam_syntax.studies.syntax.study import make_findings

    relations = summarize(study.pairs, n_resamples=999)
    yield from claims_of_page(make_findings(study.pairs, relations, "iou"))


def _cohyponyms(study: Study) -> Claims:
    from daam_syntax.studies.cohyponyms.findings import make_findings

    known = pd.read_csv(FOLDER / "cohyponyms.csv").set_index("prompt")
    known.columns = known.columns.str.split(".").str[-1]
    known = known[["first", "second", "similarity", "level", "category"]]
    pairs = study.pairs[study.pairs["relation"].str.startswith("conj")]
    number = pairs["prompt_id"].str[1:].astype(int)
    of_pair = known.loc[[study.layout.sample[k].text for k in number]].set_index(pairs.index)
    images = pairs[["prompt_id", "image", "seed", "iou", "phi"]].join(of_pair)
    yield from claims_of_page(make_findings(images, "iou", []))


def _adjectives(study: Study) -> Claims:
    from daam_syntax.studies.adjectives.findings import make_findings
    from daam_syntax.studies.adjectives.study import measure_maps

    rows: dict[str, list[dict[str, Any]]] = {"words": [], "maps": []}
    for maps in heat_maps(study.maps(), study.layout):
        measure_maps(maps, int(maps.provenance["seed"]), THRESHOLD, rows)
    yield from claims_of_page(
        make_findings({name: pd.DataFrame(found) for name, found in rows.items()})
    )


PAGES: Final = (
    Recipe("page of the study syntax", _syntax, scaled=False, plain_only=True),
    Recipe("page of the study cohyponyms", _cohyponyms, scaled=False, study="cohyponyms"),
    Recipe(
        "page of the study adjectives",
        _adjectives,
        scaled=False,
        study="adjectives",
        needs_maps=True,
    ),
)
"""Pages about maps. Those about images are in `image_pages`."""
