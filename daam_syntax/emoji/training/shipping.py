"""Copy the trained weights, in half precision, into the data folder of the package."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline

from daam_syntax.util.data_files import data_path


def ship(runs: Path, data: Path | None = None) -> None:
    """Write ``emoji-model`` and ``emoji-annotator`` from the folders of the trainings.

    If a decoder was trained further by itself, its autoencoder replaces that of the latents, which it has not changed.

    Parameters
    ----------
    runs
        Folder of the trainings, with ``denoiser/pipeline``, ``latents/vae``, and ``annotator``.
    data
        Folder to write to; None for the data folder of the package.
    """
    data = data or data_path()
    curves = {name: runs / name / "curve.csv" for name in ("autoencoder", "denoiser", "annotator")}
    refined = (runs / "decoder" / "vae").exists()
    if refined:
        curves["decoder"] = runs / "decoder" / "curve.csv"
    vae = AutoencoderKL.from_pretrained(runs / ("decoder" if refined else "latents") / "vae")
    pipeline = StableDiffusionPipeline.from_pretrained(
        runs / "denoiser" / "pipeline", vae=vae, safety_checker=None
    )
    model, annotator = data / "emoji-model", data / "emoji-annotator"
    pipeline.to(dtype=torch.float16).save_pretrained(model)
    for config in model.rglob("*.json"):
        _forget_origin(config)
    shutil.rmtree(model / "curves", ignore_errors=True)
    (model / "curves").mkdir()
    for name, curve in curves.items():
        shutil.copyfile(curve, model / "curves" / f"{name}.csv")
    annotator.mkdir(exist_ok=True)
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(runs / "annotator" / name, annotator / name)


def ship_denoiser(runs: Path, data: Path | None = None) -> None:
    """Write the text encoder and the UNet of a denoiser that was trained further; the rest of the model stays.

    Its curve is kept beside those of the earlier training, as ``denoiser-further.csv``.

    Parameters
    ----------
    runs
        Folder of the training, with ``denoiser/pipeline``.
    data
        Folder to write to; None for the data folder of the package.
    """
    model = (data or data_path()) / "emoji-model"
    trained = StableDiffusionPipeline.from_pretrained(
        runs / "denoiser" / "pipeline", safety_checker=None
    )
    for name in ("text_encoder", "unet"):
        part = getattr(trained, name).to(dtype=torch.float16)
        part.save_pretrained(model / name)
        _forget_origin(model / name / "config.json")
    shutil.copyfile(runs / "denoiser" / "curve.csv", model / "curves" / "denoiser-further.csv")


def _forget_origin(config: Path) -> None:
    """Remove the folder that diffusers loaded a part from: it only exists where the model was trained."""
    values = json.loads(config.read_text(encoding="utf-8"))
    if values.pop("_name_or_path", None) is not None:
        config.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
