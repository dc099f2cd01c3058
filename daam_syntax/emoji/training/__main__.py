"""Train the embedded model and the annotator, stage by stage, with the shipped settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer

from daam_syntax.emoji.training.devices import training_device
from daam_syntax.emoji.training.loop import Session

app = typer.Typer(add_completion=False, help=__doc__)

Runs = Annotated[Path, typer.Option(help="Folder for the dataset and the checkpoints.")]
Steps = Annotated[int, typer.Option(help="Total number of steps over all sessions.")]
Minutes = Annotated[
    float | None,
    typer.Option(
        help="Total minutes over all sessions, if training is to end before the steps do."
    ),
]
Batch = Annotated[int, typer.Option(help="Scenes in a batch.")]
Device = Annotated[
    str | None, typer.Option(help="Device of torch; by default a GPU if there is one.")
]
Threads = Annotated[int, typer.Option(help="Number of threads for torch on a CPU.")]
OldModel = Annotated[
    Path,
    typer.Option(help="The embedded model of 64 x 64 pixels, whose weights are the first ones."),
]


def _session(
    steps: int, minutes: float | None, batch: int, device: str | None, threads: int
) -> Session:
    torch.set_num_threads(threads)
    return Session(steps, minutes, batch, training_device(device), threads)


def _weight(given: str) -> tuple[str, float]:
    kind, _, number = given.rpartition("=")
    try:
        return kind, float(number)
    except ValueError:
        raise typer.BadParameter(f"Expected KIND=NUMBER, but got {given!r}.") from None


@app.command()
def dataset(
    runs: Runs = Path("runs"),
    scenes: int = 200_000,
    workers: int = 2,
    first_seed: Annotated[
        int, typer.Option(help="Seed of the first scene; smaller than 1,000,000 is for evaluation.")
    ] = 1_000_000,
    weight: Annotated[
        list[str] | None,
        typer.Option(
            help="KIND=NUMBER, how much more frequent scenes of a kind are: a noun, relation, color, size, "
            "background, 'three objects', ... Can be repeated."
        ),
    ] = None,
) -> None:
    """Compose training scenes; more can be added later."""
    from daam_syntax.emoji.training.dataset import write_dataset

    weights = dict(_weight(given) for given in weight or ())
    write_dataset(runs / "dataset", scenes, workers, first_seed=first_seed, weights=weights)


@app.command()
def autoencoder(
    runs: Runs = Path("runs"),
    steps: Steps = 6_000,
    minutes: Minutes = None,
    batch: Batch = 64,
    device: Device = None,
    threads: Threads = 2,
    start_from: OldModel = Path("data/emoji-model"),
    resume_from: Annotated[
        Path | None,
        typer.Option(help="Autoencoder of 128 x 128 pixels to train further."),
    ] = None,
    scenes: Annotated[int | None, typer.Option(help="Number of scenes; default all.")] = None,
) -> None:
    """Train the autoencoder."""
    from daam_syntax.emoji.training.autoencoder import train

    session = _session(steps, minutes, batch, device, threads)
    old = start_from / "vae"
    train(runs / "dataset", runs / "autoencoder", session, old, resume_from, scenes)


@app.command()
def latents(
    runs: Runs = Path("runs"),
    device: Device = None,
    threads: Threads = 2,
    start_from: Annotated[
        Path | None,
        typer.Option(
            help="Pipeline whose autoencoder encodes as it is, to train its denoiser further; "
            "by default the trained autoencoder, normalized."
        ),
    ] = None,
    until: Annotated[
        int | None,
        typer.Option(
            help="Scenes to encode as they are composed; by default those that are there."
        ),
    ] = None,
) -> None:
    """Encode the scenes that are not encoded yet."""
    from daam_syntax.emoji.training.latents import write_latents

    torch.set_num_threads(threads)
    write_latents(
        (start_from or runs / "autoencoder") / "vae",
        runs / "dataset",
        runs / "latents",
        training_device(device),
        normalized=start_from is not None,
        until=until,
    )


@app.command()
def decoder(
    runs: Runs = Path("runs"),
    steps: Steps = 3_000,
    minutes: Minutes = None,
    batch: Batch = 64,
    device: Device = None,
    threads: Threads = 2,
) -> None:
    """Train only the decoder, after the latents were written; they stay valid."""
    from daam_syntax.emoji.training.autoencoder import train_decoder

    session = _session(steps, minutes, batch, device, threads)
    train_decoder(runs / "dataset", runs / "decoder", session, runs / "latents" / "vae")


@app.command()
def denoiser(
    runs: Runs = Path("runs"),
    steps: Steps = 30_000,
    minutes: Minutes = None,
    batch: Batch = 256,
    device: Device = None,
    threads: Threads = 2,
    start_from: Annotated[
        Path | None,
        typer.Option(help="Pipeline with the initial weights; random ones if left out."),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            help="Peak learning rate; by default that of a whole training, 5e-4 for batches of 32."
        ),
    ] = None,
    capacity: Annotated[
        int | None,
        typer.Option(
            help="Scenes to have room for: those encoded meanwhile are added. By default those that are there."
        ),
    ] = None,
) -> None:
    """Train the text encoder and the UNet."""
    from daam_syntax.emoji.training.denoiser import train

    session = _session(steps, minutes, batch, device, threads)
    train(
        runs / "latents",
        runs / "denoiser",
        session,
        start_from,
        learning_rate=learning_rate,
        capacity=capacity,
    )


@app.command()
def annotator(
    runs: Runs = Path("runs"),
    steps: Steps = 4_000,
    minutes: Minutes = None,
    batch: Batch = 64,
    device: Device = None,
    threads: Threads = 2,
    scenes: Annotated[int | None, typer.Option(help="Number of scenes; default all.")] = 60_000,
) -> None:
    """Train the annotator."""
    from daam_syntax.emoji.training.annotator import train

    session = _session(steps, minutes, batch, device, threads)
    train(runs / "dataset", runs / "annotator", session, runs / "latents" / "vae", scenes)


@app.command()
def ship(
    runs: Runs = Path("runs"),
    only_denoiser: Annotated[
        bool,
        typer.Option(
            "--only-denoiser", help="Ship a denoiser that was trained further, and keep the rest."
        ),
    ] = False,
) -> None:
    """Copy the trained weights into data/."""
    from daam_syntax.emoji.training.shipping import ship, ship_denoiser

    (ship_denoiser if only_denoiser else ship)(runs)


if __name__ == "__main__":
    app()
