"""Copy the trained weights, in half precision, into the data folder of the package."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline

from daam_syntax.util.data_files import data_path


def ship(runs: Path) -> None:
    """Write ``data/emoji-model`` and ``data/emoji-annotator`` from the folders of the trainings.

    If a decoder was trained further by itself, it replaces the one trained with the encoder. Latents are
    not affected.
    """
    pipeline = StableDiffusionPipeline.from_pretrained(
        runs / "denoiser" / "pipeline", safety_checker=None
    )
    curves = {name: runs / name / "curve.csv" for name in ("autoencoder", "denoiser", "annotator")}
    refined = runs / "decoder"
    if (refined / "vae").exists():
        pipeline.vae = AutoencoderKL.from_pretrained(refined / "vae")
        curves["decoder"] = refined / "curve.csv"
    model = data_path() / "emoji-model"
    pipeline.to(dtype=torch.float16).save_pretrained(model)
    (model / "curves").mkdir(exist_ok=True)
    for name, curve in curves.items():
        shutil.copyfile(curve, model / "curves" / f"{name}.csv")
    annotator = data_path() / "emoji-annotator"
    annotator.mkdir(exist_ok=True)
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(runs / "annotator" / name, annotator / name)
