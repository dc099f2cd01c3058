"""Options that several commands have."""

from typing import Annotated

import typer

Threshold = Annotated[
    str,
    typer.Option(
        help="Rule that makes a mask of a map: relative:0.4 (x maximum) or absolute:0.15 (probability)."
    ),
]
Thresholds = Annotated[
    list[str] | None,
    typer.Option("--threshold", help="As of `analyze`; may be given several times [relative:0.4]."),
]
Schemes = Annotated[
    list[str] | None,
    typer.Option(
        "--scheme",
        help="Whose edges: ud (Universal Dependencies), enhanced (their graph) or native (the parser's own labels); "
        "may be given several times [ud].",
    ),
]
Parser = Annotated[
    str | None, typer.Option(help="spaCy pipeline, name or folder [default: en_core_web_sm].")
]
Format = Annotated[
    str | None,
    typer.Option("--format", help="Format of the file of prompts [default: told from the file]."),
]

Model = Annotated[str, typer.Option(help="emoji, a Hub id, or a folder in diffusers format.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a model on the Hub.")]
Device = Annotated[str | None, typer.Option(help="cuda, mps, cpu, ... [default: cuda if any].")]
Dtype = Annotated[
    str | None,
    typer.Option(
        help="float32, float16 or bfloat16 [default: float32 on a CPU, float16 elsewhere]."
    ),
]

Seeds = Annotated[int, typer.Option(min=1, help="Pictures per prompt.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Denoising steps.")]
Guidance = Annotated[float | None, typer.Option(help="Guidance scale; 1 is none.")]
Height = Annotated[int | None, typer.Option(min=1, help="Height, pixels.")]
Width = Annotated[int | None, typer.Option(min=1, help="Width, pixels.")]
