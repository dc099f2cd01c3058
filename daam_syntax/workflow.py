"""From prompts to tables and pictures in one call."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from daam_syntax.analysis import measure_tables, summarize
from daam_syntax.drawing.traced_images import DrawingSettings, check_prompts, draw, identify
from daam_syntax.errors import PromptError
from daam_syntax.explorer import explore
from daam_syntax.language import Sentence, check_schemes, parse_many, prompt_id
from daam_syntax.maps import HeatMaps, parse_threshold
from daam_syntax.pipelines.loading import EMOJI, load_pipeline
from daam_syntax.runs.analysis_folder import TABLES, AnalysisFolder

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline
    from PIL.Image import Image
    from spacy.language import Language


@dataclass(frozen=True, repr=False, eq=False)
class Analysis:
    """What `analyze` gives.

    Attributes
    ----------
    images
        The pictures: all seeds of the first prompt, then of the second, and so on.
    maps
        Their heat maps, in the same order.
    pairs
        One row per image and pair, see `daam_syntax.analysis.PAIR_COLUMNS`.
    words
        One row per image and token of the parse, whatever its status.
    summary
        One row per relation, the control first.
    """

    images: Sequence[Image]
    maps: Sequence[HeatMaps]
    pairs: pd.DataFrame
    words: pd.DataFrame
    summary: pd.DataFrame

    def __repr__(self) -> str:
        n_prompts = len({maps.prompt for maps in self.maps})
        n_pairs = int((self.pairs["kind"] == "dependency").sum())
        return (
            f"Analysis({n_prompts} prompts, {len(self.images)} images, {n_pairs} dependency pairs, "
            f"{len(self.pairs) - n_pairs} unrelated pairs, {len(self.words)} words)"
        )

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>{self.summary.round(3).to_html()}"


def analyze(
    prompts: str | Iterable[str],
    pipe: DiffusionPipeline | str | Path = EMOJI,
    *,
    revision: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    seeds: int = 1,
    steps: int | None = None,
    guidance: float | None = None,
    height: int | None = None,
    width: int | None = None,
    threshold: str = "relative:0.4",
    schemes: str | Sequence[str] = ("ud",),
    parser: str | Language | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> Analysis:
    """Draw prompts, record the map of every word, and measure every pair of head and dependent.

    Parameters
    ----------
    prompts
        One prompt, or several different ones.
    pipe
        A pipeline, or what `load_pipeline` takes.
    revision, device, dtype
        See `load_pipeline`; of no effect on a pipeline.
    seeds
        Images per prompt; every prompt has seeds of its own.
    steps, guidance, height, width
        How to draw; None leaves it to the pipeline (the embedded model: 20 steps, guidance 4).
    threshold
        Rule that makes a mask of a map: "relative:0.4" (times the map's maximum) or
        "absolute:0.15" (mean attention probability).
    schemes
        Whose edges: "ud" (Universal Dependencies), "enhanced" (their graph), "native" (the parser's own labels), or
        several of them.
    parser
        Name, folder or object of a spaCy pipeline; the small English one if None.
    out
        Folder to keep everything in (see `daam_syntax.runs.analysis_folder`); a run that was interrupted there is taken up.
    overwrite
        Whether to replace another run in that folder.
    progress
        Whether to show a progress bar.

    Returns
    -------
    Analysis
        Pictures, maps and tables.

    Raises
    ------
    DaamSyntaxError
        For bad input; its message says what to do. What was drawn before an error is in `out`.
    """
    texts = check_prompts(prompts)
    if not isinstance(seeds, Integral) or seeds < 1:
        raise PromptError(
            f"Expected a number of images per prompt, at least 1, but got seeds={seeds!r}; "
            "seeds=2 draws the seeds 0 and 1."
        )
    parse_threshold(threshold)
    check_schemes(schemes)  # before the parser is loaded
    sentences = parse_many(texts, parser)
    wanted = check_schemes(schemes, sentences)
    numbers = range(seeds)
    folder = None if out is None else AnalysisFolder(out)
    if folder is not None:
        folder.check_writable()  # before the model is loaded, which may take long
    if isinstance(pipe, str | Path):
        pipe = load_pipeline(pipe, revision=revision, device=device, dtype=dtype)
        pipe.set_progress_bar_config(disable=True)  # one bar is enough: that of all images
    settings = DrawingSettings(steps, guidance, height, width).for_pipeline(pipe)
    if folder is not None:
        folder.start(
            {
                "prompts": texts,
                "names": [f"{prompt_id(text)}-{seed}" for text in texts for seed in numbers],
                "seeds": seeds,
                "parser": sentences[0].parser,
                **settings.as_dict(),
                **identify(pipe),
            },
            overwrite=overwrite,
        )
    images: list[Image] = []
    maps: list[HeatMaps] = []
    with _progress(progress, len(texts) * seeds) as advance:
        for sentence in sentences:
            for image, recorded in _draw_or_read(sentence, pipe, numbers, settings, folder):
                images.append(image)
                maps.append(recorded)
                advance()
    analysis = Analysis(images, maps, *tables(maps, threshold, wanted))
    if folder is not None:
        write_tables(folder, analysis.pairs, analysis.words, analysis.summary)
        write_overviews(folder, images, maps, scheme=wanted[0])
        write_pages(folder, images, maps, threshold=threshold, scheme=wanted[0])
        folder.finish(
            threshold=threshold, schemes=list(wanted), provenance=dict(maps[0].provenance)
        )
    return analysis


def tables(
    maps: Sequence[HeatMaps], threshold: str, schemes: Sequence[str] = ("ud",)
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return the pair table, the word table and the summary of some maps."""
    check_schemes(schemes, (recorded.sentence for recorded in maps))
    pairs, words = measure_tables(maps, schemes=schemes, threshold=threshold)
    return pairs, words, summarize(pairs, by="relation")


def write_tables(
    folder: AnalysisFolder, pairs: pd.DataFrame, words: pd.DataFrame, summary: pd.DataFrame
) -> None:
    """Write the three tables of a run."""
    for name, table in zip(TABLES, (pairs, words, summary), strict=True):
        folder.write_table(name, table)


def write_overviews(
    folder: AnalysisFolder, images: Sequence[Image], maps: Sequence[HeatMaps], scheme: str = "ud"
) -> None:
    """Draw the overview of every image of a run into its folder."""
    from daam_syntax.figures import overview

    for name, image, recorded in zip(folder.names(), images, maps, strict=True):
        save = partial(overview(image, recorded, scheme=scheme).savefig, dpi=130, format="png")
        folder.write(f"overview-{name}.png", save)


def write_pages(
    folder: AnalysisFolder,
    images: Sequence[Image],
    maps: Sequence[HeatMaps],
    threshold: str,
    scheme: str = "ud",
) -> None:
    """Write a page to click through for each prompt of a run, with all its seeds."""
    for text in dict.fromkeys(recorded.prompt for recorded in maps):
        own = [i for i, recorded in enumerate(maps) if recorded.prompt == text]
        page = explore(
            [images[i] for i in own], [maps[i] for i in own], threshold=threshold, scheme=scheme
        )
        folder.write(f"explore-{prompt_id(text)}.html", page.save)


def _draw_or_read(
    sentence: Sentence,
    pipe: DiffusionPipeline,
    seeds: Sequence[int],
    settings: DrawingSettings,
    folder: AnalysisFolder | None,
) -> list[tuple[Image, HeatMaps]]:
    """Return a prompt's images in the order of the seeds; draw those that the folder does not hold."""
    done: dict[int, tuple[Image, HeatMaps]] = {}
    if folder is not None:
        for seed in seeds:
            kept = folder.get(f"{prompt_id(sentence.text)}-{seed}")
            if kept is not None:
                done[seed] = kept
    missing = [seed for seed in seeds if seed not in done]
    for drawing in draw([sentence], pipe, seeds=missing, settings=settings):
        if folder is not None:
            folder.add(f"{drawing.prompt_id}-{drawing.seed}", drawing.image, drawing.maps)
        done[drawing.seed] = (drawing.image, drawing.maps)
    return [done[seed] for seed in seeds]


@contextmanager
def _progress(show: bool, total: int) -> Iterator[Callable[[], None]]:
    """Show a progress bar on stderr; gives the function that moves it on by one image."""
    columns = ("Drawing", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not show, transient=True) as bar:
        task = bar.add_task("Drawing", total=total)
        yield lambda: bar.advance(task)
