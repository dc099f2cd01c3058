"""Maps and tables for tests of figures, and access to what a figure shows."""

import numpy as np
import pandas as pd

from daam_syntax.language import Edge
from daam_syntax.maps import HeatMaps
from helpers.examples import SUBWORDS, make_maps, make_sentence

IMAGE = np.zeros((40, 60, 3), np.uint8)


def texts(*axes):
    return [t.get_text() for ax in axes for t in [*ax.texts, ax.title] if t.get_text()]


def long_maps():
    """Maps of thirty words, all dependents of the second; the encoder read only the first three."""
    sentence = make_sentence(
        " ".join(["red", "extraordinarily", *["zebra"] * 28]),
        edges=[Edge(1, i, "compound:prt") for i in range(30) if i != 1],
    )
    data = make_maps(image_size=(40, 60)).data[:3]
    subwords = [SUBWORDS[0], SUBWORDS[1], type(SUBWORDS[0])(2, "extraordinarily</w>", 4, 19)]
    return HeatMaps(data, subwords, sentence, (40, 60), truncated_at=19)


def one_word():
    sentence = make_sentence("red", edges=())
    return HeatMaps(make_maps().data[:2], SUBWORDS[:2], sentence, (40, 60))


RELATIONS = [f"relation:{number}" for number in range(20)]


def make_summary(relations=("amod", "nsubj"), **columns):
    """Return a summary with one control row and one row per relation, with means 0.5, 0.48, ..."""
    n = len(relations) + 1
    mean = np.r_[0.3, 0.5 - 0.02 * np.arange(n - 1)]
    table = {
        "kind": ["unrelated"] + ["dependency"] * (n - 1),
        "relation": ["unrelated", *relations],
        "n_prompts": range(40, 40 + n),
        "iou": mean,
        "low": mean - 0.05,
        "high": mean + 0.1,
    }
    return pd.DataFrame({**table, **columns})


def make_sweep(relations=("amod", "nsubj")):
    """Return overlaps of 0.5 at threshold 0.2, 0.3 at 0.4, and none measured at 0.6."""
    rows = [
        (f"relative:{t}", "iou", relation, mean, mean - 0.1, mean + 0.1)
        for relation in ["unrelated", *relations]
        for t, mean in ((0.4, 0.3), (0.2, 0.5), (0.6, np.nan))
    ]
    columns = ["threshold", "measure", "relation", "mean", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def make_profile():
    """Return the same numbers by layer and step, at one threshold."""
    layers = {"relative:0.4": "up_blocks.1", "relative:0.2": "down_blocks.0", "relative:0.6": "mid"}
    sweep = make_sweep()
    return sweep.assign(
        layer=sweep["threshold"].map(layers),
        step=sweep["threshold"].map({"relative:0.4": 9, "relative:0.2": 2, "relative:0.6": 5}),
        threshold="relative:0.4",
    )


def make_similarities(n_categories=2):
    """Return overlaps of 0.1 + similarity / 2 plus noise, in categories of four pairs; one is missing."""
    similarity = np.tile([0.1, 0.2, 0.4, 0.8], n_categories)
    noise = np.resize([0.02, -0.03, 0.01], len(similarity))
    category = np.repeat([f"category {i}" for i in range(n_categories)], 4)
    table = {"category": category, "similarity": similarity, "iou": 0.1 + similarity / 2 + noise}
    return pd.DataFrame(table).assign(iou=lambda t: t["iou"].where(t.index != 3))


def make_words(n_prompts=6):
    """Return two nouns, a verb and a comma without a mask, in two images of each prompt."""
    rows = [
        (f"p{prompt}", image, pos, area + 0.01 * prompt)
        for prompt in range(n_prompts)
        for image in range(2)
        for pos, area in (("NOUN", 0.1), ("NOUN", 0.3), ("VERB", 0.5), ("PUNCT", np.nan))
    ]
    return pd.DataFrame(rows, columns=["prompt_id", "image", "pos", "area"])


def make_curves(names=("own mask",)):
    """Return curves that reach 1 at once, and a random one in proportion to the share."""
    rows = [
        (name, share, mean, mean - 0.1, mean + 0.1)
        for name in [*names, "random"]
        for share, mean in ((1.0, 1.0), (0.0, 0.0), (0.5, 0.5 if name == "random" else 1.0))
    ]
    return pd.DataFrame(rows, columns=["curve", "share", "mean", "low", "high"])


def line_of(ax, label):
    return next(line for line in ax.lines if line.get_label() == label)
