"""Views of a stored run for people to look at: tables, images, figures, and pages in the folder of `analyze`.

::

    out/
      pairs.csv  words.csv  summary.csv
      images/<prompt_id>-<seed>.png
      overview-<prompt_id>-<seed>.png
      explore-<prompt_id>.html          an interactive page with all seeds of a prompt
      index.html                        all prompts

They can be deleted; the same call makes them again from the files of the run (see `daam_syntax.runs.store.run_folder`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jinja2
import pandas as pd

from daam_syntax.analysis import to_csv
from daam_syntax.explorer import explore
from daam_syntax.runs.store.checksums import sha256
from daam_syntax.runs.store.images import decoded
from daam_syntax.runs.store.records import ShardRecord
from daam_syntax.runs.store.run_folder import RunFolder
from daam_syntax.runs.stored_run import Run
from daam_syntax.util.regular_files import check_regular, make_folder
from daam_syntax.util.whole_files import whole_file
from daam_syntax.util.wording import plural

if TYPE_CHECKING:
    from PIL.Image import Image

    from daam_syntax.maps import HeatMaps, WordAttention

TABLES: Final = ("pairs", "words", "summary")


@dataclass(frozen=True)
class StoredImage:
    """An image of a run with its heat maps.

    Attributes
    ----------
    name
        Name of its files: ``<prompt_id>-<seed>``.
    prompt_id, prompt, seed
        Its prompt and seed.
    content
        The PNG file.
    image
        The image.
    maps
        Its heat maps, as they are stored.
    attention
        The attention between its words, in each relation and text encoder that the run stores.
    """

    name: str
    prompt_id: str
    prompt: str
    seed: int
    content: bytes
    image: Image
    maps: HeatMaps
    attention: Sequence[WordAttention]


def stored_images(run: Run) -> list[StoredImage]:
    """Return all images of a run with their heat maps, in order; those that could not be drawn are left out.

    Their names are those of the run's prompts, whose ids can name files.
    """
    texts = {row.id: row.text for row in run.prompts.rows}  # reading them checks the ids
    found, shards = [], RunFolder(run.path).shards
    for record in run.records:
        maps = dict(run.shard_maps(record))
        attention = dict(run.shard_attention(record))
        for number, row, content in run.stored_images(record):
            size = row["height"], row["width"]
            image = decoded(content, size, number, shards.file("images", record.shard))
            own, seed = row["prompt_id"], row["seed"]
            found.append(
                StoredImage(
                    f"{own}-{seed}",
                    own,
                    texts[own],
                    seed,
                    content=content,
                    image=image,
                    maps=maps[number],
                    attention=attention.get(number, ()),
                )
            )
    return found


def export_images(path: Path, record: ShardRecord) -> None:
    """Write the images of a shard as PNG files, so that they can be viewed while the run goes on."""
    for _, row, content in Run(path).stored_images(record):
        _write(path, f"images/{row['prompt_id']}-{row['seed']}.png", partial(_save_bytes, content))


def write_views(
    run: Run,
    images: Sequence[StoredImage],
    tables: Mapping[str, pd.DataFrame],
    *,
    threshold: str,
    schemes: Sequence[str],
    overviews: bool,
) -> None:
    """Write the views of a run, except those that are up to date and unaltered.

    Parameters
    ----------
    run
        The run; its folder is locked by the caller.
    images
        Its images.
    tables
        Tables by name, see `TABLES`.
    threshold, schemes
        The rules with which the tables were measured.
    overviews
        Whether to draw an overview figure of each image, which takes about a second.
    """
    folder = RunFolder(run.path)
    manifest = folder.manifest()
    described = {
        "threshold": threshold,
        "schemes": list(schemes),
        "overviews": overviews,
        "shards": _shards_digest(run.records),
    }
    before = manifest.get("views", {})
    is_current = all(before.get(name) == value for name, value in described.items())
    files: dict[str, str] = dict(before.get("files", {})) if is_current else {}
    sizes: dict[str, int] = dict(before.get("sizes", {}))
    makers = dict(_views(run, images, tables, threshold, schemes, overviews=overviews))
    for name, save in makers.items():
        path = run.path / name
        is_known = name in files and name in sizes
        if not is_known or not _is_as_written(path, files[name], sizes[name]):
            _write(run.path, name, save)
            files[name], sizes[name] = sha256(path), path.stat().st_size
    views = {
        **described,
        "files": {name: files[name] for name in makers},
        "sizes": {name: sizes[name] for name in makers},
    }
    if views != before:
        folder.write_manifest({**manifest, "views": views})


Save = Callable[[Path], Any]


def _views(
    run: Run,
    images: Sequence[StoredImage],
    tables: Mapping[str, pd.DataFrame],
    threshold: str,
    schemes: Sequence[str],
    *,
    overviews: bool,
) -> list[tuple[str, Save]]:
    """Return the name of each view with the function that writes it to a path."""
    views: list[tuple[str, Save]] = [
        (f"{name}.csv", partial(_save_table, table)) for name, table in tables.items()
    ]
    for each in images:
        views.append((f"images/{each.name}.png", partial(_save_bytes, each.content)))
        if overviews:
            views.append((f"overview-{each.name}.png", partial(_save_overview, each, schemes[0])))
    for name, group in groupby(images, key=lambda each: each.prompt_id):
        page = partial(_save_page, list(group), threshold, schemes[0])
        views.append((f"explore-{name}.html", page))
    views.append(("index.html", partial(_save_index, run, images, overviews)))
    return views


def _shards_digest(records: Sequence[ShardRecord]) -> str:
    """Return a checksum of the files of finished shards, hexadecimal."""
    digest = hashlib.sha256()
    for record in records:
        digest.update("".join(file.sha256 for file in record.files.values()).encode())
    return digest.hexdigest()


def _is_as_written(path: Path, checksum: str, n_bytes: int) -> bool:
    try:
        check_regular(path)
        # The size first, because reading a large file takes minutes.
        return path.stat().st_size == n_bytes and sha256(path) == checksum
    except (OSError, ValueError):
        return False


def _write(folder: Path, name: str, save: Save) -> None:
    *parents, own = name.split("/")
    with whole_file(make_folder(folder, *parents) / own) as partial_path:
        save(partial_path)


def _save_bytes(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def _save_table(table: pd.DataFrame, path: Path) -> None:
    path.write_text(to_csv(table), encoding="utf-8", newline="")


def _save_overview(each: StoredImage, scheme: str, path: Path) -> None:
    from matplotlib import pyplot as plt

    from daam_syntax.figures import overview

    figure = overview(each.image, each.maps, scheme=scheme)
    figure.savefig(path, dpi=130, format="png")
    plt.close(figure)


def _save_page(images: Sequence[StoredImage], threshold: str, scheme: str, path: Path) -> None:
    page = explore(
        [each.image for each in images],
        [each.maps for each in images],
        attention=[each.attention for each in images],
        threshold=threshold,
        scheme=scheme,
    )
    page.save(path)


def _save_index(run: Run, images: Sequence[StoredImage], overviews: bool, path: Path) -> None:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("daam_syntax.runs", "templates"),
        autoescape=True,  # prompts come from files of other people
        undefined=jinja2.StrictUndefined,
    )
    prompts = [
        _entry(list(group), overviews) for _, group in groupby(images, lambda i: i.prompt_id)
    ]
    page = environment.get_template("index.html").render(
        title=f"Analysis: {run.path.resolve().name}",
        counts=f"{plural(len(images), 'image')} of {plural(len(prompts), 'prompt')}",
        prompts=prompts,
        overviews=overviews,
        model=run.settings.model["model"],
        steps=run.settings.drawing.steps,
        guidance=run.settings.drawing.guidance,
        parser=run.settings.parser,
    )
    path.write_text(page, encoding="utf-8")


def _entry(images: Sequence[StoredImage], overviews: bool) -> dict[str, Any]:
    """Return what the index shows of a prompt."""
    first = images[0]
    return {
        "text": first.prompt,
        "id": first.prompt_id,
        "page": f"explore-{first.prompt_id}.html",
        "images": [
            {
                "seed": each.seed,
                "file": f"images/{each.name}.png",
                "target": f"overview-{each.name}.png" if overviews else f"images/{each.name}.png",
            }
            for each in images
        ],
    }
