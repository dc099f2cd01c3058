"""How well are captions parsed, and do parse errors matter? ``python -m benchmarks.parsing``.

1. Attachment: spaCy's small model with the conversion to Universal Dependencies, scored against the trees that the
   embedded world's captions were written from (UAS and LAS, without punctuation, as in the CoNLL shared tasks), and the
   constructions that differ most.
2. Overlap: the same maps measured under both trees. The prompt is the sample; the difference is the mean overlap of
   each relation under the parsed trees minus that under the given ones.
3. Enhanced graphs: our basic-to-enhanced conversion against pyBART (Tiktinsky et al., 2020), edge by edge, on the
   given trees, if ``pybart-nlp`` is installed (Python below 3.12: ``pip install --no-deps pybart-nlp``); if not, what
   is recorded stays.

Writes ``benchmarks/results/parsing.json``.

``python -m benchmarks.parsing --treebank FILE.conllu`` scores the parser on Universal Dependencies treebanks instead
(`benchmarks.treebank_scores`), and writes ``benchmarks/results/parsing_treebanks.json``, one entry per file. Treebanks
are not shipped: get ``en_ewt-ud-test.conllu`` from UniversalDependencies/UD_English-EWT, for instance. The rules of the
conversion were developed on the dev parts of EWT and GUM only.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.scene_means import mean_with_interval
from benchmarks.treebank_scores import score_treebank
from daam_syntax.analysis import measure_pairs
from daam_syntax.attention import trace_images
from daam_syntax.emoji.scenes import Scene, scene
from daam_syntax.language import Sentence, compare_parses, conllu, parse_many
from daam_syntax.pipelines.loading import load_pipeline

RESULTS = Path(__file__).parent / "results" / "parsing.json"
TREEBANKS = RESULTS.with_name("parsing_treebanks.json")
FIRST = 800_000  # seeds of scenes that no other benchmark uses


def interval(values: Sequence[float]) -> dict[str, float]:
    """Average over captions, with a bootstrap interval (95 %, percentile)."""
    found = mean_with_interval(np.array(values, dtype=float))
    return {"mean": found["mean"], "low": found["low"], "high": found["high"], "n": len(values)}


def attachment(given: Sequence[Sentence], parsed: Sequence[Sentence]) -> dict[str, Any]:
    """Score the heads, and the heads with their relations, of all words except punctuation."""
    heads, labels, n_words, whole = 0, 0, 0, []
    for gold, found in zip(given, parsed, strict=True):
        if gold.words != found.words:
            raise ValueError(
                f"{gold.text!r} is tokenised differently: no score without the same words"
            )
        right = {e.dependent: (e.head, e.relation) for e in gold.edges["ud"]}
        ours = {e.dependent: (e.head, e.relation) for e in found.edges["ud"]}
        words = [t.index for t in gold.tokens if t.pos != "PUNCT"]
        root = (None, "root")
        n_words += len(words)
        heads += sum(right.get(i, root)[0] == ours.get(i, root)[0] for i in words)
        labelled = sum(right.get(i, root) == ours.get(i, root) for i in words)
        labels += labelled
        whole.append(labelled == len(words))
    return {
        "uas": heads / n_words,
        "las": labels / n_words,
        "captions without an error": float(np.mean(whole)),
        "n_captions": len(given),
        "n_words": n_words,
    }


def differences(given: Sequence[Sentence], parsed: Sequence[Sentence]) -> list[dict[str, Any]]:
    """Count the differences by change and relations, with an example of each."""
    counts: Counter[tuple[str, str, str]] = Counter()
    examples: dict[tuple[str, str, str], str] = {}
    for gold, found in zip(given, parsed, strict=True):
        for row in compare_parses(gold, found).itertuples():
            old, new = (r if isinstance(r, str) else "-" for r in (row.relation_a, row.relation_b))
            counts[row.change, old, new] += 1
            examples.setdefault((row.change, old, new), f"{gold.text}: {row.dependent}")
    return [
        {"change": key[0], "given": key[1], "parsed": key[2], "n": n, "example": examples[key]}
        for key, n in counts.most_common(12)
    ]


def overlaps(scenes: Sequence[Scene], parsed: Sequence[Sentence], model: str) -> dict[str, Any]:
    """Measure the same maps under the given and under the parsed trees."""
    pipe = load_pipeline(model)
    pipe.set_progress_bar_config(disable=True)
    maps = trace_images(
        pipe,
        [s.image for s in scenes],
        [s.caption for s in scenes],
        sentences={s.caption: s.sentence for s in scenes},
    )
    under = [m.with_sentence(p) for m, p in zip(maps, parsed, strict=True)]
    tables = {"given": measure_pairs(maps), "parsed": measure_pairs(under)}
    by = ["prompt_id", "kind", "relation"]
    means = pd.DataFrame({name: t.groupby(by)["iou"].mean() for name, t in tables.items()})
    keys = ["image", "relation", "head_index", "dependent_index"]
    pairs = {
        name: set(t.loc[t["kind"] == "dependency", keys].itertuples(index=False, name=None))
        for name, t in tables.items()
    }
    shared = len(pairs["given"] & pairs["parsed"])
    relations = {}
    for relation, rows in means.groupby("relation"):
        both = rows.dropna()
        if len(both) >= 5:
            relations[str(relation)] = {
                "given": float(both["given"].mean()),
                "parsed": float(both["parsed"].mean()),
                "difference": interval(both["parsed"] - both["given"]),
            }
    return {
        "n_images": len(maps),
        "pairs of the given trees that the parse has, too": shared / len(pairs["given"]),
        "iou": relations,
    }


def against_pybart(given: Sequence[Sentence]) -> dict[str, Any]:
    """Compare enhanced edges with pyBART's, as sets of (head, dependent, label); keep what is recorded without it."""
    if find_spec("pybart") is None:
        recorded = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
        missing = {"compared": False, "reason": "pybart-nlp is not installed"}
        return recorded.get("pybart", missing)
    from pybart.api import convert_bart_conllu

    unlike: Counter[str] = Counter()
    examples: dict[str, str] = {}
    shared = n_ours = n_theirs = 0
    for sentence in given:
        basic = replace(sentence, edges={"ud": sentence.edges["ud"]}, root_indices={})
        converted = convert_bart_conllu(
            conllu.dumps([basic]),
            enhanced_plus_plus=False,
            enhanced_extra=False,
            remove_node_adding_conversions=True,
            ud_version=2,
        )
        theirs = pybart_edges(converted)
        ours = {(e.head + 1, e.dependent + 1, e.relation) for e in sentence.edges["enhanced"]}
        shared += len(ours & theirs)
        n_ours, n_theirs = n_ours + len(ours), n_theirs + len(theirs)
        for side, edges in (("ours only", ours - theirs), ("pyBART only", theirs - ours)):
            for head, dependent, label in sorted(edges):
                key = f"{side}: {label}"
                unlike[key] += 1
                words = (sentence[head - 1].text, sentence[dependent - 1].text)
                examples.setdefault(key, f"{sentence.text}: {words[0]} -> {words[1]}")
    return {
        "compared": True,
        "version": version("pybart-nlp"),
        "n_captions": len(given),
        "edges of both": shared,
        "our edges that pyBART has": shared / n_ours,
        "pyBART's edges that we have": shared / n_theirs,
        "differences": [
            {"what": key, "n": n, "example": examples[key]} for key, n in unlike.most_common(12)
        ],
    }


def pybart_edges(converted: str) -> set[tuple[int, int, str]]:
    """Read column DEPS, where pyBART adds annotations that `conllu.loads` rejects."""
    edges = set()
    for line in converted.splitlines():
        columns = line.split("\t")
        if len(columns) == 10 and columns[0].isdigit():
            for incoming in columns[8].split("|"):
                head, _, label = incoming.partition(":")
                if head.isdigit() and head != "0":
                    edges.add((int(head), int(columns[0]), label.split("@")[0]))
    return edges


def add_treebanks(paths: Sequence[Path], results: Path = TREEBANKS) -> dict[str, Any]:
    """Score treebanks, and add their scores to the results."""
    known = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
    scores = {path.stem: score_treebank(path) for path in paths}
    _write({**known, **scores}, results)
    return scores


def _write(values: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--treebank", type=Path, nargs="+", metavar="FILE.conllu")
    options.add_argument("--captions", type=int, default=500)
    options.add_argument("--images", type=int, default=40)
    options.add_argument("--model", default="emoji")
    options.add_argument("--threads", type=int, default=1)
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    if chosen.treebank:
        print(json.dumps(add_treebanks(chosen.treebank), indent=2, ensure_ascii=False))
        return
    scenes = [scene(FIRST + i) for i in range(chosen.captions)]
    given = [s.sentence for s in scenes]
    parsed = parse_many([s.caption for s in scenes])
    results = {
        "parser": parsed[0].parser,
        "attachment": attachment(given, parsed),
        "differences": differences(given, parsed),
        "overlap": overlaps(scenes[: chosen.images], parsed[: chosen.images], chosen.model),
        "pybart": against_pybart(given),
    }
    _write(results, RESULTS)
    print(json.dumps(results, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
