"""Draw every figure from a small run of the embedded model: ``python docs/gallery.py``, about four minutes.

Writes ``docs/gallery.md``, which shows each figure with its code, and the figures ``docs/gallery/*.png``.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

import daam_syntax as ds
from daam_syntax import figures
from daam_syntax.drawing.seeds import generator_seed
from daam_syntax.emoji.vocabulary import CATEGORIES
from daam_syntax.studies import StudyResult, run_study

HERE = Path(__file__).parent
PROMPTS = (  # no two share a structure: prompts of one structure are one unit of the sample
    "a red cat and a small blue owl in the snow",
    "a yellow duck and a green car on the beach",
    "a small purple crab and a white rabbit in the desert",
    "a big black horse and a small pink donut",
    "a small orange tiger next to a red bus in the city",
    "a green cactus and a white dog at night",
    "a yellow rabbit above a big purple tree in the snow",
    "a pink pig chasing a green mouse",
    "a blue duck and a small orange car",
    "a big red apple next to a green cat",
)


SHOWN = ("amod", "conj", "det", "nmod", "unrelated")
"""Relations of the figures that draw a line for each."""

LAYER = re.compile(r"_blocks?|\.attentions|\.transformer_blocks|\.attn2")
"""Parts that the paths of all layers share."""


@dataclass(frozen=True)
class Size:
    """Size of the run: by default that of the page, or `SMALL` for tests."""

    prompts: int = len(PROMPTS)
    seeds: int = 2
    steps: int = 10
    categories: int = 3
    nouns: int = 4


SMALL = Size(prompts=2, seeds=1, steps=1, categories=1, nouns=2)


@dataclass(frozen=True)
class Run:
    """Input of the figures: images, maps and tables."""

    images: Sequence[Image.Image]
    maps: Sequence[ds.HeatMaps]
    pairs: pd.DataFrame
    words: pd.DataFrame
    summary: pd.DataFrame
    curves: pd.DataFrame
    kept: Sequence[ds.HeatMaps]
    cohyponyms: pd.DataFrame
    intervention: StudyResult


def make_run(size: Size = Size()) -> Run:
    """Generate and measure the images that the gallery shows."""
    pipe = ds.load_pipeline()
    pipe.set_progress_bar_config(disable=True)
    prompts = PROMPTS[: size.prompts]
    analysis = ds.analyze(prompts, pipe, seeds=size.seeds, steps=size.steps)
    with ds.trace(pipe, keep=("step", "layer", "head")) as trace:
        draw(pipe, prompts, size.steps)
    return Run(
        images=analysis.images,
        maps=analysis.maps,
        pairs=analysis.pairs,
        words=analysis.words,
        summary=analysis.summary,
        curves=ds.analysis.sweep_curves(ds.analysis.sweep(analysis.maps, measures="iou")),
        kept=trace.heat_maps(),
        cohyponyms=measure_cohyponyms(pipe, size),
        intervention=run_study(
            "intervention", pipe, prompts=prompts, seeds=1, steps=size.steps, shares=(0.25, 0.5)
        ),
    )


def tidy(summary: pd.DataFrame, measure: str = "iou") -> pd.DataFrame:
    """Rename the columns of a summary to those of curves: one mean per row, and its measure."""
    return summary.rename(columns={measure: "mean"}).assign(measure=measure)


def profile(maps: Sequence[ds.HeatMaps], along: str) -> pd.DataFrame:
    """Measure the overlap by step, layer or attention head, from maps that keep them separate."""
    places = maps[0].word_array(0)[along].values.tolist()
    tables = []
    for number, place in enumerate(places):
        chosen = [each.select(**{f"{along}s": place}) for each in maps]
        summary = ds.summarize(ds.measure_pairs(chosen))
        name = LAYER.sub("", place) if along == "layer" else number
        tables.append(tidy(summary).assign(**{along: name}))
    return pd.concat(tables, ignore_index=True)


def measure_cohyponyms(pipe: Any, size: Size) -> pd.DataFrame:
    """Measure the overlap of pairs of nouns of a category, and the cosine of their input embeddings."""
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


def draw(pipe: Any, prompts: Sequence[str], steps: int) -> None:
    """Generate an image of each prompt, with its first seed."""
    generators = [torch.Generator().manual_seed(generator_seed(prompt, 0)) for prompt in prompts]
    pipe(list(prompts), num_inference_steps=steps, guidance_scale=4, generator=generators)


# Each function below draws one figure. Its docstring has the title and what one learns; the page shows its code.


def overview(run: Run) -> Figure:
    """A prompt on one page: image, tree, and the map of every word.

    Each map has a scale of its own, and the line at the foot compares the maxima: a map that looks strong may belong to a word that
    receives little attention.
    """
    return figures.overview(run.images[0], run.maps[0])


def overlay(run: Run) -> Axes:
    """The map of one word over its image.

    Where the color is opaque, pixels attend to the word most; where the image shows through, they attend to other words or tokens.
    """
    return figures.overlay(run.images[0], run.maps[0]["owl"])


def dependency_arcs(run: Run) -> Axes:
    """A dependency tree as arcs.

    Arcs point from heads to dependents and carry the relation. The enhanced graph is `scheme="enhanced"`.
    """
    return figures.dependency_arcs(run.maps[0].sentence)


def arcs_with_overlays(run: Run) -> Axes:
    """A tree above the maps of its words.

    For every arc, compare the two maps at its ends: do a head and its dependent attend to the same place?
    """
    return figures.arcs_with_overlays(run.images[0], run.maps[0])


def word_grid(run: Run) -> Figure:
    """All words of several images on one color scale.

    One scale for all words compares amounts: nouns receive far more attention than function words.
    """
    return figures.word_grid(run.images[:2], run.maps[:2])


def word_grid_own(run: Run) -> Figure:
    """The same maps, each on its own scale.

    A scale for each word compares places: where a word attends, however little attention it receives.
    """
    return figures.word_grid(run.images[0], run.maps[0], scale="own")


def frame_grid(run: Run) -> Figure:
    """A word in the latent frames of a video; here, steps of one image stand in for them.

    For a real video, pass its `VideoMaps` and one image for each latent frame: does the map follow the object as it moves?
    """
    numbers = run.kept[0].word_array("owl")["step"].values[::3]
    steps = [run.kept[0].select(steps=int(number)) for number in numbers]
    video = ds.maps.VideoMaps(steps, [range(k, k + 1) for k in range(len(steps))])
    return figures.frame_grid([run.images[0]] * len(steps), video, words=["owl"])


def dependency_graph(run: Run) -> Axes:
    """A tree whose edges show the overlap of their words.

    Thick, dark edges join words whose masks overlap. Overlap alone does not mean that the relation matters: unrelated words overlap, too,
    which is why the figure of relations below compares with exchanged partners.
    """
    sentence = run.maps[0].sentence
    return figures.dependency_graph(sentence, run.pairs[run.pairs["prompt"] == sentence.text])


def attention_matrix(run: Run) -> Axes:
    """Attention from word (row) to word (column) in the causal text encoder; edges of the tree are framed.

    Most attention goes to the start token, and none to later words, which a causal encoder cannot read. A dark framed cell is an edge
    of the tree along which one word attends to the other.
    """
    (attention,) = ds.trace_text(ds.load_pipeline(), run.maps[0].prompt)
    return figures.attention_matrix(attention)


def attention_arcs(run: Run) -> Axes:
    """Attention between words as arcs to the attended word, orange along edges of the tree.

    Wide orange arcs are edges of the tree that attention follows; wide blue arcs join words that are not related.
    """
    (attention,) = ds.trace_text(ds.load_pipeline(), run.maps[0].prompt, layers="layers.1")
    return figures.attention_arcs(attention)


def word_matrix(run: Run) -> Axes:
    """Every pair of words; noun phrases are framed.

    Dark cells outside the frames are the warning: words that are not related can overlap as much as words that are.
    """
    return figures.word_matrix(run.maps[0])


def word_matrix_signed(run: Run) -> Axes:
    """Any measure of two words, here the correlation of their maps.

    Blue cells are words that avoid each other; a measure of overlap would only show 0 for them.
    """
    return figures.word_matrix(run.maps[0], measure="pearson")


def forest(run: Run) -> Axes:
    """What each relation adds, compared with exchanged partners, by IoU and phi.

    An interval that excludes 0 means that related words overlap more (right of 0) or less (left) than the same words with exchanged
    partners. Areas of masks can move IoU but not phi, so trust what both show. Hollow markers have too few prompts for an interval.
    """
    return figures.forest(run.summary)


def containment(run: Run) -> Axes:
    """IoD against IoH, with lines of equal area ratio.

    At the top edge, the dependent's mask lies inside the head's; at the right edge, the head's lies inside the dependent's. On the
    diagonal, both masks have the same area.
    """
    return figures.containment(run.pairs)


def threshold_sweep(run: Run) -> Axes:
    """Overlap by threshold.

    Masks shrink as the threshold rises, and so does overlap. A claim should hold for a range of thresholds, not for one. Four relations
    are chosen, since more lines are hard to follow.
    """
    return figures.threshold_sweep(run.curves[run.curves["relation"].isin(SHOWN)])


def overlap_by_step(run: Run) -> Axes:
    """Overlap along the denoising steps.

    Where lines part, words begin to attend to different places.
    """
    table = profile(run.kept, "step")
    return figures.overlap_profile(table[table["relation"].isin(SHOWN)], along="step")


def overlap_by_layer(run: Run) -> Axes:
    """Overlap along the layers.

    An average over layers can hide that a few coarse layers cause most of the overlap.
    """
    table = profile(run.kept, "layer")
    return figures.overlap_profile(table[table["relation"].isin(SHOWN)], along="layer")


def overlap_by_head(run: Run) -> Axes:
    """Overlap by attention head, averaged over layers.

    Heads have no order, so no line joins them. A relation far from the control in one head only is a hypothesis for new prompts.
    """
    table = profile(run.kept, "head")
    return figures.overlap_profile(table[table["relation"].isin(SHOWN)], along="head")


def similarity_scatter(run: Run) -> Axes:
    """Cohyponyms: overlap against similarity (cosine of the words' embeddings).

    Does one object serve two similar words? Only a slope whose interval excludes 0 would support it. Nouns recur in several pairs, and
    the interval accounts for that.
    """
    return figures.similarity_scatter(run.cohyponyms)


def breadth_by_pos(run: Run) -> Axes:
    """How much of the image each part of speech attends to.

    Function words attend almost everywhere, so their overlap with anything is large by area alone.
    """
    return figures.breadth_by_pos(run.words)


def deletion_curves(run: Run) -> Axes:
    """How the image changes while a word's attention is deleted in more and more pixels.

    If a map shows where its word acts, the curve that begins with the most attended pixels rises first.
    """
    means = run.intervention.tables["curve_means"].query("kind == 'deletion'")
    return figures.deletion_curves(
        means, deleted="share of pixels deleted", change="mean change of pixels (0 to 1)"
    )


def intervention_table(run: Run) -> pd.DataFrame:
    """What deleting a word's attention changes, compared with the controls: a table of a study.

    The image changes inside the word's mask more than outside, and more than if another word is deleted, if the map lies where the word
    acts.
    """
    estimates = run.intervention.tables["estimates"]
    return estimates[["label", "estimate", "low", "high", "p_adjusted", "n_prompts"]]


DRAW: tuple[Callable[[Run], Figure | Axes | pd.DataFrame], ...] = (
    overview,
    overlay,
    dependency_arcs,
    arcs_with_overlays,
    word_grid,
    word_grid_own,
    frame_grid,
    dependency_graph,
    attention_matrix,
    attention_arcs,
    word_matrix,
    word_matrix_signed,
    forest,
    containment,
    threshold_sweep,
    overlap_by_step,
    overlap_by_layer,
    overlap_by_head,
    similarity_scatter,
    breadth_by_pos,
    deletion_curves,
    intervention_table,
)

INTRODUCTION = """# Gallery

Every figure of `daam_syntax.figures`, made from {n_images} images of {n_prompts} prompts that the embedded model generated in
{steps} steps (and from a few more for cohyponyms, steps, layers, attention heads and deletion). The results describe only that
small model. `python docs/gallery.py` makes this page; `run` holds images, maps and tables, see `make_run` there, and
`SHOWN` names four relations and the control.

Functions that take `ax` draw on it and return it. They save no files and leave matplotlib's global style alone. For a paper:

```python
with figures.paper():  # 3.3 inches wide, 8 points; text stays text in PDF and SVG
    ax = figures.forest(summary)
figures.save(ax, "forest.pdf")
```
"""


def write_gallery(folder: Path, size: Size = Size()) -> None:
    """Write ``gallery.md`` and ``gallery/*.png`` into a folder."""
    run = make_run(size)
    images = folder / "gallery"
    images.mkdir(parents=True, exist_ok=True)
    page = [INTRODUCTION.format(n_images=len(run.images), n_prompts=size.prompts, steps=size.steps)]
    for function in DRAW:
        with figures.paper(5.0):
            made = function(run)
            if isinstance(made, pd.DataFrame):
                shown = ds.analysis.to_markdown(made)
            else:
                path = figures.save(made, images / f"{function.__name__}.png", dpi=220)
                plt.close(made if isinstance(made, Figure) else made.get_figure(root=True))
                optimize(path)
                shown = f"![{title_of(function)}](gallery/{path.name})"
        page.append("\n".join(section(function, shown)))
    (folder / "gallery.md").write_text("\n".join(page), encoding="utf-8")


def title_of(function: Callable[[Run], Any]) -> str:
    """Return the title of a figure: the first line of its function's docstring."""
    return (inspect.getdoc(function) or "").partition("\n")[0].rstrip(".")


def lesson_of(function: Callable[[Run], Any]) -> str:
    """Return what one learns from a figure: the other lines of its function's docstring."""
    return " ".join((inspect.getdoc(function) or "").partition("\n")[2].split())


def section(function: Callable[[Run], Any], shown: str) -> Iterator[str]:
    """Yield the lines of a section of the page: title, figure or table, what one learns, and code."""
    source = inspect.getsource(function)
    body = textwrap.dedent(source[source.rindex('"""\n') + 4 :])
    code = body.replace("return ", "", 1).strip()
    yield from (f"## {title_of(function)}", "", shown, "", lesson_of(function), "")
    yield from ("```python", code, "```", "")


def optimize(path: Path) -> None:
    """Make a PNG file smaller without changing a pixel."""
    with Image.open(path) as image:
        image.convert("RGB").save(path, optimize=True)


if __name__ == "__main__":
    matplotlib.use("Agg")
    torch.set_num_threads(1)
    write_gallery(HERE)
