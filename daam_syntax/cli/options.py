"""Options shared by several commands."""

from enum import StrEnum
from typing import Annotated

import typer

from daam_syntax.language.parser import default_parser
from daam_syntax.pipelines.loading import DEFAULT_MODEL


class Relation(StrEnum):
    """Relations of attention that a run stores, see `daam_syntax.runs.arguments.STORED_RELATIONS`."""

    ENCODER = "encoder"
    REFINER = "refiner"
    TEXT_TEXT = "text-text"


class RelationAxis(StrEnum):
    """Axes that stored relations can keep, see `daam_syntax.runs.arguments.STORED_AXES`."""

    LAYER = "layer"
    HEAD = "head"


Threshold = Annotated[
    str,
    typer.Option(
        help="Threshold rule for masks: relative:0.4 (times the maximum), absolute:0.15 (a probability), ..."
    ),
]
Thresholds = Annotated[
    list[str] | None,
    typer.Option(
        "--threshold",
        help="Threshold rule, as for `analyze`; may be given several times [default: relative:0.4].",
    ),
]
Schemes = Annotated[
    list[str] | None,
    typer.Option(
        "--scheme",
        help="Dependency scheme: ud (Universal Dependencies), enhanced (enhanced UD) or native (the parser's own "
        "labels); may be given several times [default: ud].",
    ),
]
Parser = Annotated[
    str | None,
    typer.Option(help=f"Name or folder of a spaCy pipeline [default: {default_parser()}]."),
]
Relations = Annotated[
    list[Relation] | None,
    typer.Option(
        "--relation",
        help="Also store attention between words: encoder (each text encoder), text-text (joint attention) or refiner "
        "(blocks of the denoiser that read text alone); may be given several times.",
    ),
]
RelationAxes = Annotated[
    list[RelationAxis] | None,
    typer.Option(
        "--relation-axis",
        help="Keep each layer, or each attention head, of the relations; may be given twice [default: averaged].",
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format", help="Format of the file of prompts [default: inferred from the file]."
    ),
]

Model = Annotated[
    str, typer.Option(help=f"Model: {DEFAULT_MODEL}, a Hub id, or a folder in diffusers format.")
]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a model on the Hub.")]
Device = Annotated[
    str | None, typer.Option(help="Device: cuda, mps, cpu, ... [default: cuda if available].")
]
Dtype = Annotated[
    str | None,
    typer.Option(
        help="Number format: float32, float16 or bfloat16 [default: float32 on a CPU, float16 elsewhere]."
    ),
]

Seeds = Annotated[int, typer.Option(min=1, help="Number of images per prompt.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Denoising steps.")]
Guidance = Annotated[float | None, typer.Option(help="Guidance scale; 1 means no guidance.")]
Height = Annotated[int | None, typer.Option(min=1, help="Image height in pixels.")]
Width = Annotated[int | None, typer.Option(min=1, help="Image width in pixels.")]
