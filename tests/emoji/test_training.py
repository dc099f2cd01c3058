"""Training: how models are widened, latents normalized, scenes added, and time shared out."""

import copy
import csv
import shutil
import time

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from torch import nn
from typer.testing import CliRunner

from daam_syntax.emoji import scene
from daam_syntax.emoji.annotator import Annotator
from daam_syntax.emoji.grammar import ObjectSpec, SceneSpec
from daam_syntax.emoji.scenes import is_reserved, sample_spec
from daam_syntax.emoji.training import annotator, autoencoder, dataset, denoiser, latents, widening
from daam_syntax.emoji.training.__main__ import app
from daam_syntax.emoji.training.architectures import (
    LATENT_CHANNELS,
    MAX_TOKENS,
    TEXT_WIDTH,
    build_autoencoder,
    build_unet,
    learn_tokenizer,
)
from daam_syntax.emoji.training.loop import Session, Trainer
from daam_syntax.emoji.training.reconstruction import as_input, psnr
from daam_syntax.emoji.training.shipping import ship, ship_denoiser
from daam_syntax.errors import FileError
from daam_syntax.util.data_files import data_path

OLD_CHANNELS = 6
SEEDS = (1_000_000, 1_000_500)


@pytest.fixture(scope="module")
def old_autoencoder():
    torch.manual_seed(0)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(32, 64, 128),
        layers_per_block=1,
        latent_channels=OLD_CHANNELS,
        norm_num_groups=8,
        mid_block_add_attention=False,
    ).requires_grad_(False)


@pytest.fixture(scope="module")
def images():
    return torch.from_numpy(np.stack([np.asarray(scene(seed).image) for seed in range(6)]))


@pytest.fixture
def tiny_shards(monkeypatch, tmp_path):
    """A dataset of two shards of two scenes each."""
    monkeypatch.setattr(dataset, "SHARD", 2)
    (tmp_path / "dataset").mkdir()
    for seed in SEEDS:
        dataset.write_shard(tmp_path / "dataset", seed)
    return tmp_path / "dataset"


def test_a_widened_autoencoder_starts_from_the_inner_levels(old_autoencoder, images):
    new = widening.widened_autoencoder(old_autoencoder)
    means = new.encode(as_input(images[:2])).latent_dist.mean
    assert means.shape == (2, LATENT_CHANNELS, 16, 16)
    mine, theirs = (m.decoder.mid_block.state_dict() for m in (new, old_autoencoder))
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    # The old channels are read as before, and the new ones do not disturb them yet.
    cells = torch.randn(1, LATENT_CHANNELS, 16, 16)
    old_cells = old_autoencoder.post_quant_conv(cells[:, :OLD_CHANNELS])
    torch.testing.assert_close(
        new.decoder.conv_in(new.post_quant_conv(cells)), old_autoencoder.decoder.conv_in(old_cells)
    )


def test_fitting_the_outer_levels_leaves_the_inner_ones(old_autoencoder, images):
    new = widening.widened_autoencoder(old_autoencoder)
    before = copy.deepcopy(new)
    widening.fit_outer_levels(new, old_autoencoder, images, batch=1, steps=2)
    changed = {
        name
        for (name, p), q in zip(new.named_parameters(), before.parameters(), strict=True)
        if not torch.equal(p, q)
    }
    outer = ("encoder.conv_in", "encoder.down_blocks.0", "encoder.down_blocks.1.resnets.0")
    outer += ("decoder.up_blocks.2.upsamplers", "decoder.up_blocks.3", "decoder.conv_")
    assert changed
    assert all(name.startswith(outer) for name in changed)


def test_a_widened_unet_computes_what_it_did():
    torch.manual_seed(0)
    old = build_unet(OLD_CHANNELS, 16).eval()
    new = widening.widened_unet(old, LATENT_CHANNELS).eval()
    noisy, words = torch.randn(1, LATENT_CHANNELS, 16, 16), torch.randn(1, 32, TEXT_WIDTH)
    with torch.no_grad():
        output = new(noisy, 500, words).sample
        wanted = old(noisy[:, :OLD_CHANNELS], 500, words).sample
    torch.testing.assert_close(output[:, :OLD_CHANNELS], wanted)
    assert not output[:, OLD_CHANNELS:].any()


def test_normalizing_changes_latents_but_not_reconstructions(images):
    torch.manual_seed(0)
    vae = build_autoencoder().eval()
    before = copy.deepcopy(vae)
    latents.normalize(vae, images)
    means = latents.encode(vae, images) * vae.config.scaling_factor
    assert means[:, :OLD_CHANNELS].std() == pytest.approx(1, abs=0.01)
    for channel in range(OLD_CHANNELS, LATENT_CHANNELS):
        assert means[:, channel].std() == pytest.approx(1, abs=0.01)
        assert means[:, channel].mean() == pytest.approx(0, abs=0.01)
    with torch.no_grad():
        outputs = [
            m.decode(m.encode(as_input(images[:2])).latent_dist.mean).sample for m in (before, vae)
        ]
    torch.testing.assert_close(outputs[1], outputs[0], atol=1e-4, rtol=1e-3)


def test_psnr_of_a_known_error():
    target = torch.zeros(2, 3, 4, 4)
    # An error of 0.2 of the range of 2 is 0.1: 20 dB.
    assert psnr(target, target + 0.2) == pytest.approx(20, abs=1e-4)


def test_mirrored_scenes_are_whole(images):
    torch.manual_seed(0)
    drawn = autoencoder.draw_batch(images, 40)
    exact = as_input(images)
    mirrored = 0
    for one in drawn:
        same = [torch.equal(one, image) for image in exact]
        flipped = [torch.equal(one, image.flip(2)) for image in exact]
        assert any(same) or any(flipped)
        mirrored += any(flipped)
    assert 8 < mirrored < 32


def test_shards_are_encoded_once_and_drawn_as_they_are(tiny_shards, tmp_path):
    torch.manual_seed(0)
    vae, folder = build_autoencoder().eval(), tmp_path / "latents"
    folder.mkdir()
    assert latents.encode_shards(vae, tiny_shards, folder, at_most=1) == 1
    assert latents.encode_shards(vae, tiny_shards, folder, at_most=9) == 1
    assert latents.encode_shards(vae, tiny_shards, folder, at_most=9) == 0
    captions = dataset.read_captions(tiny_shards / f"{SEEDS[0]}.json")
    tokenizer = learn_tokenizer(captions)
    data = denoiser.CaptionedLatents(folder, tokenizer, torch.device("cpu"))
    drawn, tokens = data.draw(200)
    images = dataset.read_arrays(tiny_shards, "images")
    exact = latents.encode(vae, images).half().float()
    assert {i for one in drawn for i in range(4) if torch.equal(one, exact[i])} == {0, 1, 2, 3}
    empty = (tokens == data._no_caption).all(dim=1).float().mean()
    assert 0.03 < empty < 0.2  # a tenth, for classifier-free guidance
    padded = {"padding": "max_length", "max_length": MAX_TOKENS, "return_tensors": "pt"}
    wanted = tokenizer(captions[0], **padded).input_ids[0]
    assert any(torch.equal(one, wanted) for one in tokens)


def test_scenes_that_are_encoded_meanwhile_are_added(tiny_shards, tmp_path):
    torch.manual_seed(0)
    vae, folder = build_autoencoder().eval(), tmp_path / "latents"
    folder.mkdir()
    latents.encode_shards(vae, tiny_shards, folder, at_most=1)
    captions = dataset.read_captions(tiny_shards / f"{SEEDS[0]}.json")
    given = folder, learn_tokenizer(captions), torch.device("cpu")
    data = denoiser.CaptionedLatents(*given, capacity=5)
    memory = data._latents.data_ptr()
    before = data.draw(100)[0]
    latents.encode_shards(vae, tiny_shards, folder, at_most=9)
    full = denoiser.CaptionedLatents(*given, capacity=3)
    assert (len(data), len(full)) == (2, 2)  # there is no room for two more among three
    data.add_new()
    data.add_new()
    assert len(data) == 4
    exact = latents.encode(vae, dataset.read_arrays(tiny_shards, "images")).half().float()
    for drawn, there in ((before, {0, 1}), (data.draw(100)[0], {0, 1, 2, 3})):
        found = {i for one in drawn for i in range(4) if torch.equal(one, exact[i])}
        assert found == there
    assert data._latents.data_ptr() == memory  # a CUDA graph reads the same memory


def test_a_shipped_autoencoder_encodes_as_it_is(tiny_shards, tmp_path):
    """Latents that are normalized already are not normalized again: a trained denoiser knows them."""
    torch.manual_seed(0)
    build_autoencoder().save_pretrained(tmp_path / "shipped" / "vae")
    for normalized, folder in ((True, tmp_path / "kept"), (False, tmp_path / "changed")):
        vae = tmp_path / "shipped" / "vae"
        device = torch.device("cpu")
        latents.write_latents(vae, tiny_shards, folder, device, normalized=normalized)
    weights = {
        name: torch.cat([p.flatten() for p in AutoencoderKL.from_pretrained(path).parameters()])
        for name, path in (
            ("shipped", tmp_path / "shipped" / "vae"),
            ("kept", tmp_path / "kept" / "vae"),
            ("changed", tmp_path / "changed" / "vae"),
        )
    }
    assert torch.equal(weights["kept"], weights["shipped"])
    assert not torch.equal(weights["changed"], weights["shipped"])


def test_scenes_are_encoded_as_they_are_composed(tiny_shards, tmp_path, monkeypatch):
    vae, folder = tmp_path / "shipped" / "vae", tmp_path / "latents"
    composed = tmp_path / "composed"
    composed.mkdir()
    build_autoencoder().save_pretrained(vae)
    late = iter(sorted({path.stem.partition(".")[0] for path in tiny_shards.iterdir()}))

    def compose(_):
        seed = next(late)
        for path in sorted(tiny_shards.glob(f"{seed}.*")):
            shutil.copyfile(path, composed / path.name)

    monkeypatch.setattr(latents.time, "sleep", compose)
    device = torch.device("cpu")
    latents.write_latents(
        vae, composed, folder, device, normalized=True, until=latents.SHARD * len(SEEDS)
    )
    assert dataset.complete_shards(folder) == list(SEEDS)


def test_weights_make_kinds_of_scenes_more_frequent(monkeypatch):
    """Of scenes with the only weight of 3, three times as many per other scene as before; none is reserved."""
    monkeypatch.setattr(dataset, "draw_scene", lambda spec, rng: spec)
    weights = {"three objects": 3.0, "tulip": 3.0}

    def odds(specs):
        heavy = sum(bool(dataset.kinds_of(spec) & set(weights)) for spec in specs)
        return heavy / (len(specs) - heavy)

    rng = np.random.default_rng(0)
    plain = [spec for spec in (sample_spec(rng) for _ in range(3000)) if not is_reserved(spec)]
    seeds = range(1_500_000, 1_501_500)
    weighted = [dataset.weighted_scene(seed, weights) for seed in seeds]
    assert odds(weighted) == pytest.approx(3 * odds(plain), rel=0.25)
    assert not any(is_reserved(spec) for spec in weighted)
    assert {spec.relation for spec in weighted} == {spec.relation for spec in plain}
    assert dataset.weighted_scene(1_500_000, weights) == weighted[0]


def test_without_weights_scenes_are_those_of_the_training_split():
    mine, theirs = dataset.weighted_scene(1_000_007, {}), scene(1_000_007, split="train")
    assert mine.image.tobytes() == theirs.image.tobytes()
    assert mine.caption == theirs.caption


def test_kinds_of_a_scene():
    spec = SceneSpec(
        (ObjectSpec("cat", color="red"), ObjectSpec("owl", size="tiny", by_category=True)),
        "next to",
    )
    assert dataset.kinds_of(spec) == {
        *("two objects", "plain", "next to", "cat", "red", "owl", "tiny", "category")
    }
    alone = SceneSpec((ObjectSpec("bed"),), background="beach")
    assert dataset.kinds_of(alone) == {"one object", "beach", "bed"}
    rng = np.random.default_rng(0)
    kinds = set().union(*(dataset.kinds_of(sample_spec(rng)) for _ in range(1000)))
    assert kinds == set(dataset.KINDS_OF_SCENES)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"first_seed": 999_500}, "reserved for evaluation"),
        ({"weights": {"unicorn": 2.0}}, "'unicorn' is none of them"),
        ({"weights": {"cat": 0.5}}, "more weight to the other kinds"),
        ({"weights": {"cat": float("nan")}}, "at least 1"),
    ],
)
def test_wrong_seeds_and_weights_are_refused(tmp_path, options, problem):
    with pytest.raises(ValueError, match=problem):
        dataset.write_dataset(tmp_path, 2, **options)
    assert not list(tmp_path.iterdir())


def test_a_weight_on_the_command_line_is_a_kind_and_a_number(tmp_path):
    options = ["dataset", "--runs", str(tmp_path), "--weight"]
    runner = CliRunner()
    assert "KIND=NUMBER" in runner.invoke(app, [*options, "cat"]).output
    result = runner.invoke(app, [*options, "next to the=2"])
    assert isinstance(result.exception, ValueError)
    assert "'next to the' is none of them" in str(result.exception)


def test_without_scenes_the_error_says_how_to_make_them(tmp_path):
    with pytest.raises(FileError, match="training dataset"):
        dataset.read_arrays(tmp_path, "images")
    with pytest.raises(FileError, match="training latents"):
        denoiser.CaptionedLatents(tmp_path, learn_tokenizer(["a cat"]), torch.device("cpu"))


def test_strong_noise_is_drawn_often():
    torch.manual_seed(0)
    share = denoiser.sample_timesteps(20_000, 1000, torch.device("cpu")) / 1000
    assert (share >= 0).all()
    assert (share < 1).all()
    # 0.4 x 15 % anywhere, 0.2 x 50 % late, 0.4 x P(logit > 1.73 + 0.4) = 1.6 % in the middle
    assert (share >= 0.85).float().mean() == pytest.approx(0.167, abs=0.01)


def test_the_loss_of_a_denoiser_that_knows_the_scene():
    """A UNet that computes the exact velocity has no error; one that answers 0 has that of the velocity."""

    class Data:
        def draw(self, n):
            return torch.ones(n, LATENT_CHANNELS, 2, 2), torch.zeros(n, 3, dtype=torch.long)

    class Text(nn.Module):
        def forward(self, tokens):
            return type("Output", (), {"last_hidden_state": tokens})

    class Exact(nn.Module):
        def __init__(self, factor):
            super().__init__()
            self.factor = nn.Parameter(torch.tensor(factor))

        def forward(self, noisy, timesteps, hidden):
            alphas = denoiser.build_scheduler().alphas_cumprod[timesteps].view(-1, 1, 1, 1)
            # noisy = a x + s e and x = 1, so that e = (noisy - a) / s and v = a e - s x
            a, s = alphas.sqrt(), (1 - alphas).sqrt()
            return type("Output", (), {"sample": self.factor * (a * (noisy - a) / s - s)})

    torch.manual_seed(0)
    errors = [
        denoiser.DenoisingLoss(Exact(factor), Text(), Data(), 1.0)(64, torch.float32)
        for factor in (1.0, 0.0)
    ]
    assert errors[0]["error"] < 1e-6
    assert errors[1]["error"].item() == pytest.approx(1.0, abs=0.1)  # a^2 + s^2 = 1 of variance


def test_the_annotator_learns_from_scenes_and_redrawn_ones(tiny_shards):
    torch.manual_seed(0)
    data = dataset.read_dataset(tiny_shards)
    vae = build_autoencoder().eval()
    images, nouns, colors = annotator.draw_batch(data, 8, vae)
    assert images.shape == (8, 3, 64, 64)
    exact = nn.functional.avg_pool2d(as_input(data.images), 2)
    as_they_are = [any(torch.equal(image, one) for one in exact) for image in images]
    assert as_they_are == [False] * 6 + [True] * 2
    labels = [(data.nouns[i, ::2, ::2], data.colors[i, ::2, ::2]) for i in range(4)]
    for noun, color in zip(nouns, colors, strict=True):
        assert any(torch.equal(noun, a) and torch.equal(color, b) for a, b in labels)


def test_the_learning_rate_ends_with_the_minutes(tmp_path):
    line = nn.Linear(3, 1)
    session = Session(steps=10**9, minutes=0.6 / 60)
    trainer = Trainer({"line": line}, tmp_path, session, learning_rate=1.0, warm_up=1)

    def losses():
        time.sleep(0.01)
        return {"loss": line(torch.ones(1, 3).to(trainer.dtype)).float().square().mean()}

    started = time.perf_counter()
    trainer.run(losses, log_every=1)
    assert 0.5 < time.perf_counter() - started < 5
    with (tmp_path / "curve.csv").open() as file:
        rates = [float(row["learning_rate"]) for row in csv.DictReader(file)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 0.9
    assert rates[-1] < 0.1
    resumed = Trainer({"line": line}, tmp_path, session, learning_rate=1.0)
    assert resumed.share == 1.0


def test_a_gradient_that_is_not_finite_changes_nothing(tmp_path):
    line = nn.Linear(2, 1)
    trainer = Trainer({"line": line}, tmp_path, Session(steps=2), learning_rate=0.1, warm_up=1)
    before = [p.detach().clone() for p in line.parameters()]

    def losses():
        factor = float("nan") if trainer.step == 0 else 0.0
        return {"loss": (line(torch.ones(1, 2).to(trainer.dtype)).float() * factor).sum()}

    trainer.run(losses)
    for p, q in zip(line.parameters(), before, strict=True):
        assert torch.isfinite(p).all()
        torch.testing.assert_close(p.detach().float(), q.float(), atol=5e-3, rtol=0)


def test_the_autoencoder_of_the_latents_is_shipped_unless_a_decoder_was_refined(
    emoji_pipe, tmp_path
):
    runs = tmp_path / "runs"
    emoji_pipe.save_pretrained(runs / "denoiser" / "pipeline")
    shutil.rmtree(runs / "denoiser" / "pipeline" / "vae")
    for name in ("autoencoder", "denoiser", "annotator", "decoder"):
        (runs / name).mkdir(exist_ok=True)
        (runs / name / "curve.csv").write_text(f"step,{name}\n")
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(data_path("emoji-annotator", name), runs / "annotator" / name)
    torch.manual_seed(0)
    for folder in ("latents", "decoder"):
        vae = build_autoencoder()
        vae.save_pretrained(runs / folder / "vae")
        (tmp_path / folder).mkdir()
        ship(runs, tmp_path / folder)
        shipped = AutoencoderKL.from_pretrained(tmp_path / folder / "emoji-model" / "vae")
        for mine, theirs in zip(shipped.parameters(), vae.parameters(), strict=True):
            torch.testing.assert_close(mine, theirs.half().float(), rtol=0, atol=0)
    curves = {path.stem for path in (tmp_path / "decoder" / "emoji-model" / "curves").iterdir()}
    assert curves == {"autoencoder", "denoiser", "annotator", "decoder"}
    assert Annotator.load(tmp_path / "decoder" / "emoji-annotator")
    configs = list((tmp_path / "decoder" / "emoji-model").rglob("*.json"))
    assert len(configs) >= 7
    assert [path for path in configs if str(tmp_path) in path.read_text()] == []


def test_a_denoiser_that_was_trained_further_replaces_only_its_parts(emoji_pipe, tmp_path):
    runs, data = tmp_path / "runs", tmp_path / "data"
    shutil.copytree(data_path("emoji-model"), data / "emoji-model")
    trained = copy.deepcopy(emoji_pipe.unet)
    with torch.no_grad():
        trained.conv_out.bias += 1
    type(emoji_pipe)(**{**emoji_pipe.components, "unet": trained}).save_pretrained(
        runs / "denoiser" / "pipeline"
    )
    (runs / "denoiser" / "curve.csv").write_text("step,loss\n")
    ship_denoiser(runs, data)
    shipped = type(emoji_pipe).from_pretrained(data / "emoji-model", safety_checker=None)
    found = shipped.unet.conv_out.bias - emoji_pipe.unet.conv_out.bias
    torch.testing.assert_close(found.float(), torch.ones_like(found), atol=2e-3, rtol=0)
    curves = {path.stem for path in (data / "emoji-model" / "curves").iterdir()}
    assert curves == {
        *(path.stem for path in data_path("emoji-model", "curves").iterdir()),
        "denoiser-further",
    }
    assert "_name_or_path" not in (data / "emoji-model" / "unet" / "config.json").read_text()
    for path in data_path("emoji-model", "vae").iterdir():
        assert path.read_bytes() == (data / "emoji-model" / "vae" / path.name).read_bytes()
