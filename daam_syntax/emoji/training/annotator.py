"""Train the annotator on degraded scenes, so that it also works on generated images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from daam_syntax.emoji.annotator import SegmentationNet
from daam_syntax.emoji.training.autoencoder import as_input
from daam_syntax.emoji.training.dataset import read_dataset
from daam_syntax.emoji.training.loop import Trainer

BATCH: Final = 32
WIDTHS: Final = (48, 96, 160)


def _degrade(images: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Blur half of the batches and add noise to them: generated images are softer than scenes."""
    if rng.random() < 0.5:
        soft = nn.functional.avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False)
        images = torch.lerp(images, soft, float(rng.uniform(0, 1)))
        coarse = torch.randn(images.shape[0], 3, 16, 16) * float(rng.uniform(0, 0.15))
        images = images + nn.functional.interpolate(coarse, size=images.shape[-2:], mode="bilinear")
    return images.clamp(-1, 1)


def train(dataset: Path, folder: Path, steps: int, threads: int) -> None:
    """Train, or resume; write ``config.json`` and ``model.safetensors`` to `folder`."""
    data = read_dataset(dataset)
    torch.manual_seed(0)
    network = SegmentationNet(WIDTHS).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    trainer = Trainer({"network": network}, folder, steps=steps, learning_rate=1.5e-3, ema=0.998)
    rng = np.random.default_rng(trainer.step)

    def losses() -> dict[str, torch.Tensor]:
        chosen = np.sort(rng.integers(0, len(data.images), BATCH))
        images = _degrade(as_input(data.images[chosen]), rng)
        nouns, colors = network(images.bfloat16())
        targets = [torch.from_numpy(labels[chosen]).long() for labels in (data.nouns, data.colors)]
        noun = nn.functional.cross_entropy(nouns.float(), targets[0])
        color = nn.functional.cross_entropy(colors.float(), targets[1])
        return {"loss": noun + 0.5 * color, "noun": noun, "color": color}

    def save() -> None:
        weights = {name: w.half().contiguous() for name, w in network.state_dict().items()}
        save_file(weights, folder / "model.safetensors")
        config = {"widths": WIDTHS, "step": trainer.step}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")

    trainer.run(losses, threads=threads, on_save=save)
