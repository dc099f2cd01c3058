"""Measure the embedded model and its annotator: ``python -m benchmarks.emoji_model [COMMAND]``.

Without a command, measures everything that ``benchmarks/results/emoji_model.json`` lacks for the weights in ``data/``,
and writes the contact sheet and the model card. ``images`` only draws and judges images; it needs no parser, and its
file can take the place of ``emoji_model.json``. ``sheet`` and ``score-sheet`` make a blind sheet and score how it was
filled in. Interrupted measurements go on where they stopped.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks.emoji_model.drawing import fingerprint, load, parameters
from benchmarks.emoji_model.images import score_images
from benchmarks.emoji_model.results import FOLDER, READING, RESULTS, Results
from daam_syntax.emoji.annotator import Annotator
from daam_syntax.emoji.model import GUIDANCE, STEPS

PER_KIND: Final = 200
"""Prompts of each kind."""

FIRST_SCENE: Final = 500_000
"""Seed of the first fresh scene."""


def settings(pipe: Any, annotator: Annotator, per_kind: int) -> dict[str, Any]:
    """Return what the results depend on."""
    return {
        "weights": fingerprint(pipe, annotator),
        "steps": STEPS,
        "guidance": GUIDANCE,
        "per_kind": per_kind,
    }


def images(given: argparse.Namespace) -> None:
    """Draw and judge images."""
    pipe, annotator = load(given.model, given.device), Annotator.load(given.annotator)
    results = _results(given, pipe, annotator)
    results.add(parameters(pipe), "parameters")
    score_images(pipe, annotator, results, given.per_kind)
    for kind, found in results.values["images"].items():
        right = found["right"]
        print(f"{kind:24} {right['hits']:4} of {right['n']:4}  {found['faults']}")


def everything(given: argparse.Namespace) -> None:
    """Measure what is missing, and write the contact sheet, the curves, and the card."""
    # These need a parser or matplotlib; drawing and judging images does not.
    from benchmarks.emoji_model import card
    from benchmarks.emoji_model.contact_sheet import contact_sheet, training_curves
    from daam_syntax.util.data_files import data_path

    pipe, annotator = load(given.model, given.device), Annotator.load(given.annotator)
    results = _results(given, pipe, annotator)
    _scenes(given, pipe, annotator, results)
    score_images(pipe, annotator, results, given.per_kind)
    if given.out != RESULTS:
        return
    contact_sheet(pipe).save(FOLDER / "contact_sheet.png", optimize=True)
    training_curves(data_path("emoji-model", "curves")).savefig(FOLDER / "curves.png", dpi=110)
    card.CARD.write_text(card.model_card(card.read_results()), encoding="utf-8")


def _results(given: argparse.Namespace, pipe: Any, annotator: Annotator) -> Results:
    if given.again:
        given.out.unlink(missing_ok=True)
    return Results(given.out, settings(pipe, annotator, given.per_kind))


def _scenes(given: argparse.Namespace, pipe: Any, annotator: Annotator, results: Results) -> None:
    """Measure the autoencoder, the annotator, and the maps on exact scenes."""
    from benchmarks.emoji_model.judge.accuracy import judge_scores, pixel_scores, region_scores
    from benchmarks.emoji_model.maps import score_maps
    from benchmarks.emoji_model.reconstruction import reconstruction
    from daam_syntax.emoji.scenes import scene

    if not results.has("parameters"):
        results.add(parameters(pipe), "parameters")
    n = given.per_kind
    scenes = [scene(FIRST_SCENE + i) for i in range(2 * n)]
    if not results.has("autoencoder"):
        results.add(reconstruction(pipe, scenes[:n]), "autoencoder")
    if not results.has("annotation"):
        found = {
            "pixels": pixel_scores(annotator, scenes),
            "regions": region_scores(annotator, scenes),
            "judge": judge_scores(annotator, -(-n // 3)),
        }
        results.add(found, "annotation")
    if not results.has("maps"):
        results.add(score_maps(pipe, max(n, 20)), "maps")  # intervals need some scenes


def sheet(given: argparse.Namespace) -> None:
    """Write a blind sheet."""
    from benchmarks.emoji_model.blind.sheet import key_path, write_sheet

    pipe, annotator = load(given.model, given.device), Annotator.load(given.annotator)
    write_sheet(
        pipe, annotator, given.out, n_drawn=given.drawn, n_exact=given.exact, seed=given.seed
    )
    print(f"Give {given.out} to a reader, and keep {key_path(given.out)}.")


def score_sheet(given: argparse.Namespace) -> None:
    """Score a filled sheet; print the scores, and record them for the card if asked to."""
    from benchmarks.emoji_model.blind.reading import score_sheet

    found = json.dumps(score_sheet(given.folder, given.reader), indent=2) + "\n"
    (given.folder / "scores.json").write_text(found, encoding="utf-8")
    if given.record:
        READING.write_text(found, encoding="utf-8")
    print(found)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.emoji_model",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--model", default="emoji", help="name or folder of the pipeline")
    shared.add_argument("--annotator", type=Path, help="folder of the annotator")
    shared.add_argument("--device", default="cpu", help="device that draws, for instance cuda")
    shared.add_argument("--threads", type=int, default=2)
    measured = argparse.ArgumentParser(add_help=False, parents=[shared])
    measured.add_argument("--out", type=Path, default=RESULTS, help="file of the results")
    measured.add_argument("--per-kind", type=int, default=PER_KIND, help="prompts of each kind")
    measured.add_argument("--again", action="store_true", help="drop earlier results")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    commands.add_parser("all", parents=[measured], help="measure everything").set_defaults(
        run=everything
    )
    commands.add_parser("images", parents=[measured], help="draw and judge").set_defaults(
        run=images
    )
    blind = commands.add_parser("sheet", parents=[shared], help="write a blind sheet")
    blind.set_defaults(run=sheet)
    blind.add_argument("--out", type=Path, required=True, help="new folder for the sheet")
    blind.add_argument("--drawn", type=int, default=140, help="generated images")
    blind.add_argument("--exact", type=int, default=60, help="exact scenes")
    blind.add_argument("--seed", type=int, default=0, help="a new one for every reading")
    scored = commands.add_parser("score-sheet", help="score a filled sheet")
    scored.set_defaults(run=score_sheet, threads=1)
    scored.add_argument("folder", type=Path, help="folder of the sheet")
    scored.add_argument("--reader", required=True, help="who read it, for instance 'a person'")
    scored.add_argument("--record", action="store_true", help="use the scores in the model card")
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Run a command; "all" if none is given."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if not hasattr(given, "run"):
        given = parser.parse_args(["all"])
    torch.set_num_threads(given.threads)
    given.run(given)


if __name__ == "__main__":
    main()
