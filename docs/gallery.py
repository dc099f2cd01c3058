"""Draw every figure from a small run of the embedded model: ``python docs/gallery.py``, about two minutes.

Writes ``docs/gallery.md``, which shows each figure with its code, and the pictures ``docs/gallery/*.png``.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

import daam_syntax as ds
from daam_syntax import figures
from daam_syntax.drawing import generator_seed
from daam_syntax.emoji.vocabulary import CATEGORIES

HERE = Path(__file__).parent
PROMPTS = (
    "a red cat and a small blue owl in the snow",
    "a yellow duck and a big green car on the beach",
    "a small purple crab and a white rabbit in the desert",
    "a big black horse and a pink donut on the grass",
    "an orange tiger and a small red bus in the city",
    "a green cactus and a tiny brown dog at night",
)
THRESHOLDS = tuple(f"relative:{tau / 10:.1f}" for tau in range(2, 9))
LAYERS = ("down_blocks", "mid_block", "up_blocks")


@dataclass(frozen=True)
class Size:
    """How large the run is; see `SMALL` and the default."""

    prompts: int = len(PROMPTS)
    seeds: int = 2
    steps: int = 10
    categories: int = 3
    nouns: int = 4


SMALL = Size(prompts=2, seeds=1, steps=1, categories=1, nouns=2)


@dataclass(frozen=True)
class Run:
    """What the figures are drawn from: pictures, maps and tables."""

    images: Sequence[Image.Image]
    maps: Sequence[ds.HeatMaps]
    pairs: pd.DataFrame
    words: pd.DataFrame
    summary: pd.DataFrame
    sweep: pd.DataFrame
    profile: pd.DataFrame
    cohyponyms: pd.DataFrame
    curves: pd.DataFrame


def make_run(size: Size = Size()) -> Run:
    """Draw and measure what the gallery shows."""
    pipe = ds.load_pipeline()
    pipe.set_progress_bar_config(disable=True)
    prompts = PROMPTS[: size.prompts]
    analysis = ds.analyze(prompts, pipe, seeds=size.seeds, steps=size.steps)
    swept = ds.summarize(ds.measure_pairs(analysis.maps, threshold=THRESHOLDS))
    return Run(
        images=analysis.images,
        maps=analysis.maps,
        pairs=analysis.pairs,
        words=analysis.words,
        summary=analysis.summary,
        sweep=tidy(swept),
        profile=measure_layers(pipe, prompts, size.steps),
        cohyponyms=measure_cohyponyms(pipe, size),
        curves=delete_words(pipe, prompts, size.steps),
    )


def tidy(summary: pd.DataFrame, measure: str = "iou") -> pd.DataFrame:
    """Rename a summary's columns to those of curves: one mean per row, named by its measure."""
    return summary.rename(columns={measure: "mean"}).assign(measure=measure)


def measure_layers(pipe: Any, prompts: Sequence[str], steps: int) -> pd.DataFrame:
    """Measure the same drawings by the layers of each part of the model."""
    tables = []
    for part in LAYERS:
        with ds.trace(pipe, layers=[part]) as trace:
            draw(pipe, prompts, steps)
        summary = ds.summarize(ds.measure_pairs(trace.heat_maps()))
        tables.append(tidy(summary).assign(layers=part))
    return pd.concat(tables, ignore_index=True)


def measure_cohyponyms(pipe: Any, size: Size) -> pd.DataFrame:
    """Measure the overlap of two nouns of a category, and the cosine of their input embeddings."""
    chosen = dict(list(CATEGORIES.items())[: size.categories])
    pairs = [
        (category, first, second)
        for category, nouns in chosen.items()
        for first, second in combinations(nouns[: size.nouns], 2)
    ]
    prompts = [f"a {first} and a {second}" for _, first, second in pairs]
    maps = ds.analyze(prompts, pipe, steps=size.steps).maps
    overlaps = [
        ds.measure_pairs(m).query("head == @first and dependent == @second")["iou"].item()
        for m, (_, first, second) in zip(maps, pairs, strict=True)
    ]
    similarity = [cosine(pipe, first, second) for _, first, second in pairs]
    return pd.DataFrame(pairs, columns=["category", "first", "second"]).assign(
        similarity=similarity, iou=overlaps
    )


def cosine(pipe: Any, first: str, second: str) -> float:
    """Return the cosine of the mean input embeddings of two words."""
    table = pipe.text_encoder.get_input_embeddings().weight.detach()
    ids = [pipe.tokenizer(w, add_special_tokens=False).input_ids for w in (first, second)]
    one, other = (table[i].mean(dim=0) for i in ids)
    return float(torch.nn.functional.cosine_similarity(one, other, dim=0))


def delete_words(pipe: Any, prompts: Sequence[str], steps: int) -> pd.DataFrame:
    """Delete more and more words of each prompt, at the same seed, and measure how the picture changes."""
    rng = np.random.default_rng(0)
    rows = []
    for prompt in prompts:
        words = prompt.split(" ")
        length = np.array([len(word) for word in words])
        orders = {
            "long words first": np.argsort(-length, kind="stable"),
            "short words first": np.argsort(length, kind="stable"),
            "random": rng.permutation(len(words)),
        }
        drawn: dict[str, np.ndarray] = {}
        counts = [0, len(words) // 3, 2 * len(words) // 3, len(words)]
        for curve, order in orders.items():
            kept = [sorted(order[n:]) for n in counts]
            texts = [" ".join(words[i] for i in some) for some in kept]
            new = [text for text in texts if text not in drawn]  # all curves begin and end alike
            if new:
                drawn |= dict(zip(new, draw(pipe, new, steps, seed_of=prompt), strict=True))
            for n, text in zip(counts, texts, strict=True):
                change = np.abs(drawn[text] - drawn[prompt]).mean() / 255
                rows.append((prompt, 0, curve, n / len(words), change))
    table = pd.DataFrame(rows, columns=["prompt_id", "image", "curve", "share", "change"])
    table["share"] = table["share"].round(1)  # prompts have 10 or 11 words
    return pd.DataFrame(
        [
            {
                "curve": curve,
                "share": share,
                "mean": found.estimate,
                "low": found.low,
                "high": found.high,
            }
            for (curve, share), some in table.groupby(["curve", "share"], sort=False)
            for found in [ds.analysis.estimate_mean(some, "change")]
        ]
    )


def draw(
    pipe: Any, prompts: Sequence[str], steps: int, seed_of: str | None = None
) -> list[np.ndarray]:
    """Draw prompts, each with its first seed or that of one prompt; return arrays, shape (y, x, 3)."""
    seeds = [generator_seed(seed_of or prompt, 0) for prompt in prompts]
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    images = pipe(list(prompts), num_inference_steps=steps, guidance_scale=4, generator=generators)
    return [np.asarray(image, dtype=np.float32) for image in images.images]


# Each of the functions below draws one figure; the page shows their code.


def overview(run: Run) -> Figure:
    """A prompt on one page: picture, tree, and the map of every word."""
    return figures.overview(run.images[0], run.maps[0])


def overlay(run: Run) -> Axes:
    """One word's map over its picture."""
    return figures.overlay(run.images[0], run.maps[0]["owl"])


def dependency_arcs(run: Run) -> Axes:
    """The dependency tree as arcs."""
    return figures.dependency_arcs(run.maps[0].sentence)


def arcs_with_overlays(run: Run) -> Axes:
    """The tree over the maps of its words."""
    return figures.arcs_with_overlays(run.images[0], run.maps[0])


def word_grid(run: Run) -> Figure:
    """All words of several images on one colour scale."""
    return figures.word_grid(run.images[:2], run.maps[:2])


def word_grid_own(run: Run) -> Figure:
    """The same maps, each on a scale of its own."""
    return figures.word_grid(run.images[0], run.maps[0], scale="own")


def dependency_graph(run: Run) -> Axes:
    """The tree with edges as strong as their words overlap."""
    sentence = run.maps[0].sentence
    return figures.dependency_graph(sentence, run.pairs[run.pairs["prompt"] == sentence.text])


def word_matrix(run: Run) -> Axes:
    """Every word with every other one; noun phrases are framed."""
    return figures.word_matrix(run.maps[0])


def forest(run: Run) -> Axes:
    """Relations beside the control."""
    return figures.forest(run.summary)


def containment(run: Run) -> Axes:
    """IoD against IoH, with lines of equal area ratio."""
    return figures.containment(run.pairs)


def threshold_sweep(run: Run) -> Axes:
    """How the overlap depends on the threshold."""
    return figures.threshold_sweep(run.sweep)


def overlap_profile(run: Run) -> Axes:
    """How the overlap depends on the layers."""
    return figures.overlap_profile(run.profile, along="layers")


def similarity_scatter(run: Run) -> Axes:
    """Cohyponyms: overlap against similarity (cosine of the words' embeddings)."""
    return figures.similarity_scatter(run.cohyponyms)


def breadth_by_pos(run: Run) -> Axes:
    """How much of the picture each part of speech attends to."""
    return figures.breadth_by_pos(run.words)


def deletion_curves(run: Run) -> Axes:
    """How the picture changes while words of the prompt are deleted."""
    return figures.deletion_curves(
        run.curves, deleted="share of words deleted", change="mean change of pixels (0 to 1)"
    )


DRAW: tuple[Callable[[Run], Figure | Axes], ...] = (
    overview,
    overlay,
    dependency_arcs,
    arcs_with_overlays,
    word_grid,
    word_grid_own,
    dependency_graph,
    word_matrix,
    forest,
    containment,
    threshold_sweep,
    overlap_profile,
    similarity_scatter,
    breadth_by_pos,
    deletion_curves,
)

INTRODUCTION = """# Gallery

Every figure of `daam_syntax.figures`, from {n_images} images of {n_prompts} prompts that the embedded model drew in {steps}
steps (and a few more for cohyponyms, layers and deletion). What they show is about that small model only. `python
docs/gallery.py` makes this page; `run` holds pictures, maps and tables, see `make_run` there.

Functions that take `ax` draw on it and return it; nothing is saved or restyled unasked. For a paper:

```python
with figures.paper():  # 3.3 inches wide, 8 points; text stays text in PDF and SVG
    ax = figures.forest(summary)
figures.save(ax, "forest.pdf")
```
"""


def write_gallery(folder: Path, size: Size = Size()) -> None:
    """Write ``gallery.md`` and ``gallery/*.png`` into a folder."""
    run = make_run(size)
    pictures = folder / "gallery"
    pictures.mkdir(parents=True, exist_ok=True)
    page = [INTRODUCTION.format(n_images=len(run.images), n_prompts=size.prompts, steps=size.steps)]
    for function in DRAW:
        with figures.paper(5.0):
            path = figures.save(function(run), pictures / f"{function.__name__}.png", dpi=110)
        shrink(path)
        page.append("\n".join(section(function)))
    (folder / "gallery.md").write_text("\n".join(page), encoding="utf-8")


def section(function: Callable[[Run], Figure | Axes]) -> Iterator[str]:
    """Return the lines of a figure's part of the page: its title, the figure, its code."""
    title = (inspect.getdoc(function) or "").rstrip(".")
    source = inspect.getsource(function)
    body = textwrap.dedent(source[source.index('"""\n') + 4 :]).replace("return ", "", 1).strip()
    yield from (f"## {title}", "", f"![{title}](gallery/{function.__name__}.png)", "")
    yield from ("```python", body, "```", "")


def shrink(path: Path) -> None:
    """Write a PNG file again with a palette of 128 colours, which a screen shows as well."""
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(128)
    small.save(path, optimize=True)


if __name__ == "__main__":
    matplotlib.use("Agg")
    torch.set_num_threads(1)
    write_gallery(HERE)
