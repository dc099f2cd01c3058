"""Train the embedded model and the annotator, stage by stage, with the shipped settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer

app = typer.Typer(add_completion=False, help=__doc__)

Runs = Annotated[Path, typer.Option(help="Folder for the dataset and the checkpoints.")]
Threads = Annotated[int, typer.Option(help="Number of threads for torch.")]


@app.command()
def dataset(runs: Runs = Path("runs"), scenes: int = 120_000, workers: int = 2) -> None:
    """Compose the training scenes."""
    from daam_syntax.emoji.training.dataset import write_dataset

    write_dataset(runs / "dataset", scenes, workers)


@app.command()
def autoencoder(
    runs: Runs = Path("runs"), steps: int = 2_600, threads: Threads = 2, decoder_only: bool = False
) -> None:
    """Train the autoencoder, or only its decoder."""
    from daam_syntax.emoji.training.autoencoder import train

    torch.set_num_threads(threads)
    train(runs / "dataset", runs / "autoencoder", steps, threads, decoder_only)


@app.command()
def denoiser(
    runs: Runs = Path("runs"),
    steps: int = 14_600,
    threads: Threads = 2,
    start_from: Annotated[
        Path | None,
        typer.Option(help="Pipeline with the initial weights, e.g. data/emoji-model."),
    ] = None,
) -> None:
    """Train the text encoder and the UNet."""
    from daam_syntax.emoji.training.denoiser import train

    torch.set_num_threads(threads)
    train(runs / "dataset", runs / "autoencoder", runs / "denoiser", steps, threads, start_from)


@app.command()
def annotator(runs: Runs = Path("runs"), steps: int = 1_500, threads: Threads = 2) -> None:
    """Train the annotator."""
    from daam_syntax.emoji.training.annotator import train

    torch.set_num_threads(threads)
    train(runs / "dataset", runs / "annotator", steps, threads)


@app.command()
def ship(runs: Runs = Path("runs")) -> None:
    """Copy the trained weights into data/."""
    from daam_syntax.emoji.training.shipping import ship

    ship(runs)


if __name__ == "__main__":
    app()
