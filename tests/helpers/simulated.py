"""Pair tables made from numbers, for tests of inference."""

from itertools import combinations

import networkx as nx
import numpy as np
import pandas as pd


def pair_table(values, **columns):
    """Return a pair table of one group, where ``values[prompt][image]`` lists the IoU of each pair."""
    rows, image = [], 0
    for prompt, images in values.items():
        for ious in images:
            rows += [{"prompt_id": prompt, "image": image, "iou": value} for value in ious]
            image += 1
    fixed = {
        "kind": "dependency",
        "scheme": "ud",
        "threshold": "relative:0.4",
        "relation": "amod",
    }
    return pd.DataFrame(rows).assign(**{**fixed, **columns})


def random_pairs(rng, n_prompts=12, n_images=2, n_pairs=3, *, effect=0.0, spread=0.1, lemmas=6):
    """Return pairs of a relation and its control in every image, with effects of prompts, images and pairs."""
    tables = []
    prompts = rng.normal(0.3, spread, n_prompts)
    images = prompts[:, None] + rng.normal(0, spread / 2, (n_prompts, n_images))
    for kind, relation, shift in (
        ("dependency", "amod", effect),
        ("unrelated", "unrelated", 0.0),
    ):
        own = rng.normal(0, spread / 2, (n_prompts, 1, 1))  # effect of the prompt on this kind
        noise = rng.normal(0, spread, (n_prompts, n_images, n_pairs))
        values = np.clip(images[..., None] + own + noise + shift, 0, 1)
        table = pair_table(
            {f"p{i:03}": value.tolist() for i, value in enumerate(values)},
            kind=kind,
            relation=relation,
        )
        n = len(table)
        tables.append(
            table.assign(
                head_lemma=[f"lemma{i}" for i in rng.integers(0, lemmas, n)],
                linear_distance=rng.integers(1, 6, n) * rng.choice([-1, 1], n),
                head_subwords=rng.integers(1, 3, n),
                dependent_subwords=rng.integers(1, 3, n),
                head_area=rng.uniform(0.05, 0.5, n),
                dependent_area=rng.uniform(0.05, 0.5, n),
            )
        )
    return pd.concat(tables, ignore_index=True)


def sides(pairs, relation="amod"):
    """Return the rows of a relation and those of the control."""
    return pairs[pairs["relation"] == relation], pairs[pairs["kind"] == "unrelated"]


PHRASES = ("DET", "ADJ", "NOUN")
"""Parts of speech of "a red cat"."""


def sentence_rows(pos, edges, *, prompt="p000", image=0):
    """Return the rows of one image: the edges (head, dependent, relation), and all other pairs as unrelated."""
    graph = nx.Graph([(head, dependent) for head, dependent, _ in edges])
    graph.add_nodes_from(range(len(pos)))
    related = {frozenset(edge[:2]) for edge in edges}
    others = [
        (i, j, "unrelated")
        for i, j in combinations(range(len(pos)), 2)
        if frozenset((i, j)) not in related and "PUNCT" not in (pos[i], pos[j])
    ]
    rows = [
        {
            "prompt_id": prompt,
            "image": image,
            "kind": "unrelated" if relation == "unrelated" else "dependency",
            "scheme": "ud",
            "threshold": "relative:0.4",
            "relation": relation,
            "head_index": head,
            "dependent_index": dependent,
            "head_pos": pos[head],
            "dependent_pos": pos[dependent],
            "head_subwords": 1,
            "dependent_subwords": 1,
            "linear_distance": dependent - head,
            "tree_distance": nx.shortest_path_length(graph, head, dependent),
        }
        for head, dependent, relation in [*edges, *others]
    ]
    return pd.DataFrame(rows)


def phrase_pairs(n_prompts=12, n_images=2, n_phrases=3):
    """Return the pairs of prompts such as "a red cat, a blue car, a big dog", without values."""
    pos, edges = [], []
    for k in range(n_phrases):
        noun = 3 * k + 2
        pos += PHRASES
        edges += [(noun, noun - 2, "det"), (noun, noun - 1, "amod")]
        edges += [(2, noun, "conj")] if k else []
    tables = [
        sentence_rows(pos, edges, prompt=f"p{p:03}", image=p * n_images + i)
        for p in range(n_prompts)
        for i in range(n_images)
    ]
    return pd.concat(tables, ignore_index=True)
