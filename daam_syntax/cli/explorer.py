"""Make an interactive page from stored images: `explore`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daam_syntax.cli import options
from daam_syntax.errors import PromptError
from daam_syntax.util.wording import plural

if TYPE_CHECKING:
    from PIL.Image import Image

    from daam_syntax.maps import HeatMaps, WordAttention

Drawn = list[tuple["Image", "HeatMaps", Sequence["WordAttention"]]]


def explore(
    folder: Annotated[Path, typer.Argument(help="Folder that `analyze` or `run` wrote.")],
    out: Annotated[
        Path | None, typer.Option(help="File to write [default: explore.html in the folder].")
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            help="Include only this prompt, given as text or prompt_id; may be given several times."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of images on the page.")] = 24,
    threshold: options.Threshold = "relative:0.4",
    scheme: Annotated[
        str, typer.Option(help="Dependency scheme shown first: ud, enhanced or native.")
    ] = "ud",
) -> None:
    """Make an interactive page of stored images. It shows words, arcs, maps and overlap, and needs no model."""
    from daam_syntax.explorer import explore as make_page
    from daam_syntax.language import check_schemes
    from daam_syntax.maps import parse_threshold

    parse_threshold(threshold)  # check before reading anything
    check_schemes([scheme])
    names = set(prompt or ())

    def is_wanted(row: dict[str, Any]) -> bool:
        return not names or bool(names & {row["prompt"], row["prompt_id"]})

    drawn = _from_run(folder, is_wanted, limit)
    if not drawn:
        asked = f" of {', '.join(map(repr, prompt))}" if prompt else ""
        raise PromptError(
            f"Expected stored images{asked} in {folder}, but found none: choose another folder or prompt."
        )
    images, maps, attention = zip(*drawn, strict=True)
    page = make_page(images, maps, attention=attention, threshold=threshold, scheme=scheme)
    written = page.save(out or folder / "explore.html")
    typer.echo(f"The page with {plural(len(drawn), 'image')} is {written}; open it in a browser")


def _from_run(folder: Path, is_wanted: Callable[[dict[str, Any]], bool], limit: int) -> Drawn:
    from daam_syntax.runs import open_run

    run = open_run(folder)
    images = dict(islice(run.pil_images(is_wanted), min(limit, sys.maxsize)))
    attention = {
        number: between
        for record in run.records
        for number, between in run.shard_attention(record, lambda row: row["image"] in images)
    }
    found = run.numbered_maps(lambda row: row["image"] in images)
    return [
        (images[number], maps, attention.get(number, ()))
        for number, maps in islice(found, len(images))
    ]
