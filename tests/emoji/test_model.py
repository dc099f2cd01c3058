"""The shipped model and annotator, and the training code."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn

from daam_syntax.emoji import ObjectSpec, SceneSpec, draw_scene, scene
from daam_syntax.emoji.annotator import Annotation, Annotator
from daam_syntax.emoji.training.dataset import label_maps, read_dataset, write_dataset
from daam_syntax.emoji.training.loop import Session, Trainer
from daam_syntax.emoji.vocabulary import NOUNS
from daam_syntax.errors import FileError
from daam_syntax.util.data_files import data_path


@pytest.fixture(scope="module")
def annotator():
    return Annotator.load()


def test_the_weights_are_small_half_precision_and_open():
    files = [
        f for folder in ("emoji-model", "emoji-annotator") for f in data_path(folder).rglob("*")
    ]
    assert sum(f.stat().st_size for f in files if f.is_file()) < 60e6
    weights = [f for f in files if f.suffix == ".safetensors"]
    assert len(weights) == 4
    for path in weights:
        with safe_open(path, "np") as opened:
            assert {opened.get_slice(k).get_dtype() for k in opened.keys()} <= {"F16", "I64"}  # noqa: SIM118
    assert not [f for f in files if f.suffix in (".bin", ".pt", ".pkl", ".ckpt")]


def test_the_model_is_an_ordinary_pipeline(emoji_pipe):
    assert type(emoji_pipe).__name__ == "StableDiffusionPipeline"
    assert type(emoji_pipe.scheduler).__name__ == "DDIMScheduler"
    assert emoji_pipe.unet.dtype == torch.float32
    grids = {name for name, _ in emoji_pipe.unet.named_modules() if name.endswith("attn2")}
    assert {name.split(".")[1] for name in grids if name.startswith("down")} == {"0", "1"}


def test_the_tokenizer_splits_rarer_words_and_spells_any_text(emoji_pipe):
    tokenizer = emoji_pipe.tokenizer
    assert len(tokenizer.tokenize("cat")) == 1
    assert len(tokenizer.tokenize("strawberry")) > 1
    assert len(tokenizer.tokenize("instrument")) > 1
    text = "an iridescent 東京 😀 café"
    assert tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True).strip() == text


def test_the_autoencoder_keeps_images(emoji_pipe):
    pixels = np.stack([np.asarray(scene(s).image) for s in range(800_000, 800_016)])
    target = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        latents = emoji_pipe.vae.encode(target).latent_dist.mean
        output = emoji_pipe.vae.decode(latents).sample
    error = (output - target).abs().mean() / 2
    flat = (target - target.mean(dim=(2, 3), keepdim=True)).abs().mean() / 2
    assert error < 0.03 < flat


def test_the_annotator_finds_the_objects_of_scenes(annotator):
    drawn = [scene(s, n_objects=1) for s in range(810_000, 810_040)]
    seen = annotator([s.image for s in drawn])
    found = [s.objects[0].spec.noun in a.present() for s, a in zip(drawn, seen, strict=True)]
    assert np.mean(found) > 0.8
    overlaps = []
    for s, a in zip(drawn, seen, strict=True):
        exact, mask = s.objects[0].mask, a.mask(s.objects[0].spec.noun)
        overlaps.append((exact & mask).sum() / (exact | mask).sum())
    assert np.mean(overlaps) > 0.6


def test_the_annotator_sees_colors_and_other_sizes(annotator):
    drawn = draw_scene(SceneSpec((ObjectSpec("car", "blue"),)), np.random.default_rng(0))
    small, large = annotator([drawn.image, drawn.image.resize((192, 192))])
    assert small.color("car") == "blue"
    assert large.nouns.shape == (128, 128)
    assert large.color("car") == "blue"
    assert small.color("owl") is None
    with pytest.raises(ValueError, match="nouns, but got 'unicorn'"):
        small.mask("unicorn")


def test_annotations_count_pixels():
    nouns = np.zeros((16, 16), np.uint8)
    nouns[:10, :10] = NOUNS.index("cat") + 1
    nouns[12:, 12:] = NOUNS.index("dog") + 1
    colors = np.zeros_like(nouns)
    colors[:6, :10], colors[6:10, :10] = 2, 3
    seen = Annotation(nouns, colors)
    assert seen.present() == {"cat": 100}
    assert seen.present(min_area=1) == {"cat": 100, "dog": 16}
    assert seen.mask("cat").sum() == 100
    assert seen.color("cat") == "red"


def test_an_annotator_that_is_missing(tmp_path):
    with pytest.raises(FileError, match="Reinstall"):
        Annotator.load(tmp_path)


def test_datasets_agree_with_their_scenes(tmp_path):
    write_dataset(tmp_path, 1, workers=1)  # rounded up to a shard
    data = read_dataset(tmp_path)
    assert len(data.images) == len(data.captions) == 500
    drawn = scene(1_000_003, split="train")
    np.testing.assert_array_equal(data.images[3], np.asarray(drawn.image))
    assert data.captions[3] == drawn.caption
    nouns, colors = label_maps(drawn)
    np.testing.assert_array_equal(data.nouns[3], nouns)
    np.testing.assert_array_equal(data.colors[3], colors)
    for obj in drawn.objects:
        assert set(np.unique(nouns[obj.mask])) == {NOUNS.index(obj.spec.noun) + 1}


def train(folder, steps, stop=None):
    """Train a line, up to step `stop` if given, and return its averaged weights."""
    torch.manual_seed(0)
    line = nn.Linear(3, 1)
    trainer = Trainer({"line": line}, folder, Session(steps), learning_rate=0.05, warm_up=2)

    def losses():
        if trainer.step == stop:
            raise KeyboardInterrupt
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(trainer.step))
        error = line(x.to(trainer.dtype)).float() - x.sum(dim=1, keepdim=True)
        return {"loss": error.square().mean()}

    trainer.run(losses, log_every=2, save_every=2)
    averaged = trainer.averaged()["line"].parameters()
    return torch.cat([p.detach().flatten() for p in averaged])


def test_training_resumes_where_it_stopped(tmp_path):
    whole = train(tmp_path / "whole", 8)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts", 8, stop=5)  # the last checkpoint is of step 4
    torch.testing.assert_close(train(tmp_path / "parts", 8), whole)


def test_steps_lost_in_an_interruption_leave_the_curve(tmp_path):
    train(tmp_path, 4)
    with (tmp_path / "curve.csv").open("a") as file:
        file.write("6,9,1e-3,0.5\n")  # logged after the last checkpoint, then interrupted
    Trainer({"line": nn.Linear(3, 1)}, tmp_path, Session(8), learning_rate=0.05)
    steps = [row.split(",")[0] for row in (tmp_path / "curve.csv").read_text().splitlines()]
    assert steps == ["step", "2", "4"]


def test_training_learns(tmp_path):
    train(tmp_path, 60)
    rows = (tmp_path / "curve.csv").read_text().splitlines()[1:]
    losses = [float(row.split(",")[-1]) for row in rows]
    assert losses[-1] < losses[0] / 3


def test_the_curves_of_the_shipped_weights_are_there():
    for name in ("autoencoder", "denoiser", "annotator"):
        rows = data_path("emoji-model", "curves", f"{name}.csv").read_text().splitlines()
        assert len(rows) > 20
    config = json.loads((data_path("emoji-annotator") / "config.json").read_text())
    assert config["step"] > 1000
