"""Draw prompts, measure them, and write tables, figures and pages, all in one call."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from daam_syntax.analysis import measure_tables, summarize
from daam_syntax.drawing.traced_images import draw
from daam_syntax.errors import PromptError
from daam_syntax.explorer import explore
from daam_syntax.language import Sentence, check_schemes, parse_many, prompt_id
from daam_syntax.language.prompt_sets.prompt_lists import check_prompts
from daam_syntax.maps import HeatMaps, parse_threshold
from daam_syntax.pipelines.identity import identify
from daam_syntax.pipelines.loading import DEFAULT_MODEL, load_pipeline
from daam_syntax.pipelines.settings import DrawingSettings
from daam_syntax.pipelines.vocabulary import warn_of_untrained_words
from daam_syntax.runs.analysis_folder import TABLES, AnalysisFolder
from daam_syntax.util.progress import show_progress

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline
    from PIL.Image import Image
    from spacy.language import Language


@dataclass(frozen=True, repr=False, eq=False)
class Analysis:
    """The result of `analyze`.

    Attributes
    ----------
    images
        The images: all seeds of the first prompt, then those of the second, and so on.
    maps
        Their heat maps, in the same order.
    pairs
        One row per image and pair, see `daam_syntax.analysis.PAIR_COLUMNS`.
    words
        One row per image and token of the parse, including words without a map.
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
    pipe: DiffusionPipeline | str | Path = DEFAULT_MODEL,
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
        A pipeline, or a name or folder for `load_pipeline`.
    revision, device, dtype
        See `load_pipeline`; ignored if `pipe` is a pipeline.
    seeds
        Number of images per prompt: a count, not seed numbers. The same seed index gives different noise for different
        prompts.
    steps, guidance, height, width
        Settings of the pipeline calls. None leaves a setting to the pipeline (the embedded model: 20 steps, guidance
        4).
    threshold
        Rule that turns a map into a mask: "relative:0.4" (times the map's maximum) or "absolute:0.15" (mean attention
        probability).
    schemes
        Dependency schemes whose edges are measured, one or several: "ud" (Universal Dependencies), "enhanced" (their
        enhanced graph), "native" (the parser's own labels).
    parser
        Name, folder or object of a spaCy pipeline; the small English one if None.
    out
        Folder in which to store everything, see `daam_syntax.runs.analysis_folder`. An analysis that was interrupted
        there is resumed.
    overwrite
        Whether to replace another analysis in that folder.
    progress
        Whether to show a progress bar.

    Returns
    -------
    Analysis
        Images, maps and tables.

    Raises
    ------
    DaamSyntaxError
        If the input is unusable; the message says what to do. Images that were drawn before an error are in `out`.
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
        folder.check_writable()  # before the model is loaded, which can take long
    if isinstance(pipe, str | Path):
        pipe = load_pipeline(pipe, revision=revision, device=device, dtype=dtype)
        pipe.set_progress_bar_config(disable=True)  # the bar of all images is enough
    warn_of_untrained_words(pipe, texts)  # of all at once, before anything is drawn
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
    with show_progress(progress, len(texts) * seeds) as bar:
        for sentence in sentences:
            for image, recorded in _draw_or_read(sentence, pipe, numbers, settings, folder):
                images.append(image)
                maps.append(recorded)
                bar.advance()
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
    """Return the pair table, the word table and the summary of heat maps."""
    check_schemes(schemes, (recorded.sentence for recorded in maps))
    pairs, words = measure_tables(maps, schemes=schemes, threshold=threshold)
    return pairs, words, summarize(pairs, by="relation")


def write_tables(
    folder: AnalysisFolder, pairs: pd.DataFrame, words: pd.DataFrame, summary: pd.DataFrame
) -> None:
    """Write the three tables of an analysis."""
    for name, table in zip(TABLES, (pairs, words, summary), strict=True):
        folder.write_table(name, table)


def write_overviews(
    folder: AnalysisFolder, images: Sequence[Image], maps: Sequence[HeatMaps], scheme: str = "ud"
) -> None:
    """Write an overview figure of every image of an analysis."""
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
    """Write an interactive page for each prompt of an analysis, with all its seeds."""
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
    """Return the images of a prompt in the order of the seeds; draw those that are not in the folder."""
    done: dict[int, tuple[Image, HeatMaps]] = {}
    if folder is not None:
        for seed in seeds:
            stored = folder.get(f"{prompt_id(sentence.text)}-{seed}")
            if stored is not None:
                done[seed] = stored
    missing = [seed for seed in seeds if seed not in done]
    for traced in draw([sentence], pipe, seeds=missing, settings=settings):
        if folder is not None:
            folder.add(f"{traced.prompt_id}-{traced.seed}", traced.image, traced.maps)
        done[traced.seed] = (traced.image, traced.maps)
    return [done[seed] for seed in seeds]
