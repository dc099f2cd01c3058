"""Tracing given images."""

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    IPNDMScheduler,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.overrides import _get_current_function_mode_stack

import daam_syntax as ds
from daam_syntax.attention import (
    family_of,
    trace,
    trace_image,
    trace_images,
    trace_output_maps,
)
from daam_syntax.attention.families.drawn_sizes import drawn_size
from daam_syntax.attention.given_images import pixels, recording
from daam_syntax.attention.given_images.noise import Noising
from daam_syntax.attention.given_images.reading import GivenBatch
from daam_syntax.errors import FileError, PromptError, TraceError
from daam_syntax.language import parse
from helpers.attention_reference import Reference
from helpers.family_pipelines import make
from helpers.tiny_pipelines import TEXT_LENGTH, make_sd
from helpers.tracing import CAT, OWL, make_image

GRIDS = {117: (9, 13), 35: (5, 7), 12: (3, 4)}


def values(maps):
    return np.asarray(maps.data)


def test_maps_against_noising_by_hand(sd):
    """The reference runs the UNet on the same latents and timesteps, noised by the scheduler."""
    image, timesteps = make_image(), (100, 700)
    pixels = torch.tensor(np.asarray(image)).permute(2, 0, 1)[None] / 127.5 - 1

    @torch.no_grad()
    def look():
        latents = sd.vae.encode(pixels).latent_dist.mean * sd.vae.config.scaling_factor
        text, _ = sd.encode_prompt(OWL, "cpu", 1, False)
        generator = torch.Generator().manual_seed(5)
        for timestep in timesteps:
            noise = torch.randn(latents.shape[1:], generator=generator)[None]
            noisy = sd.scheduler.add_noise(latents, noise, torch.tensor([timestep]))
            sd.unet(noisy, timestep, text)

    reference = Reference(sd.unet, GRIDS)
    reference.watch(look)
    maps = trace_image(sd, image, OWL, timesteps=timesteps, seed=5)
    expected = reference.maps(slice(0, 1))[0]
    np.testing.assert_allclose(values(maps), expected[: len(maps.subwords)], atol=1e-5)
    assert [word.subwords for word in maps.words] == [(1,), (2, 3), (4,), (5,), (6,)]
    assert maps.image_size == (72, 104)


@torch.no_grad()
def test_sigma_schedulers_noise_to_the_same(sdxl):
    """Euler's noising, scaled as its denoiser expects, equals that of `trace_image`."""
    assert isinstance(sdxl.scheduler, EulerDiscreteScheduler)
    scheduler = EulerDiscreteScheduler.from_config(sdxl.scheduler.config)
    scheduler.set_timesteps(1000)
    latents, noise = torch.randn(1, 4, 9, 13), torch.randn(4, 9, 13)
    for timestep in (0, 400, 900):
        at = torch.tensor([float(timestep)])
        theirs = scheduler.scale_model_input(scheduler.add_noise(latents, noise[None], at), at[0])
        scheduler._step_index = None
        ours = Noising(sdxl.scheduler, [timestep]).mix(latents, noise, 0)
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_a_batch_equals_single_images(pipe):
    images = [
        make_image(seed=1),
        make_image(seed=2),
        make_image(64, 64, seed=3),
        make_image(seed=4),
    ]
    prompts = [CAT, OWL, OWL, CAT]
    many = trace_images(pipe, images, prompts, timesteps=[300, 600], batch_size=2)
    assert [maps.prompt for maps in many] == prompts
    for image, prompt, maps in zip(images, prompts, many, strict=True):
        single = trace_image(pipe, image, prompt, timesteps=[300, 600])
        assert maps.image_size == (image.height, image.width)
        np.testing.assert_allclose(values(maps), values(single), atol=1e-5)
    assert np.abs(values(many[0]) - values(many[3])).max() > 1e-4


def test_the_seed_determines_the_maps(sd):
    image = make_image()
    torch.manual_seed(1)
    first = values(trace_image(sd, image, CAT))
    torch.manual_seed(2)
    np.testing.assert_array_equal(values(trace_image(sd, image, CAT)), first)
    assert np.abs(values(trace_image(sd, image, CAT, seed=1)) - first).max() > 1e-5


def test_arrays_and_images_of_other_modes(sd):
    image = make_image()
    eight_bit = np.asarray(image)
    expected = values(trace_image(sd, image, CAT))
    for same in (eight_bit, eight_bit / 255, (eight_bit / 255).astype(np.float32)):
        np.testing.assert_allclose(values(trace_image(sd, same, CAT)), expected, atol=1e-5)
    assert (np.asarray(image) == eight_bit).all()
    trace_image(sd, image.convert("L"), CAT)
    trace_image(sd, image.convert("RGBA"), CAT)


def test_image_files(sd, tmp_path):
    path = tmp_path / "image.png"
    make_image().save(path)
    expected = values(trace_image(sd, make_image(), CAT))
    for name in (path, str(path)):
        np.testing.assert_array_equal(values(trace_image(sd, name, CAT)), expected)
    (tmp_path / "text.png").write_text("not an image")
    for wrong in ("text.png", "missing.png"):
        with pytest.raises(
            FileError, match=f"an image file, but .*{wrong} cannot be read: [^\n]+$"
        ):
            trace_image(sd, tmp_path / wrong, CAT)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "TGA"])
@settings(max_examples=25, deadline=None)
@given(
    places=st.lists(st.integers(0, 199), max_size=3),  # where the headers are
    value=st.integers(0, 255),
    cut=st.sampled_from([0, 0, 1, 20]),
)
@pytest.mark.filterwarnings("ignore")  # Pillow warns of damage
def test_a_damaged_image_is_an_image_or_a_line_that_names_the_file(
    tmp_path_factory, kind, places, value, cut
):
    path = tmp_path_factory.getbasetemp() / f"damaged.{kind}"
    make_image(16, 24).save(path, kind)
    content = bytearray(path.read_bytes())
    for place in places:
        content[place % len(content)] = value
    path.write_bytes(content[: len(content) - cut])
    message = ""
    try:
        assert pixels.read_image(path, 1, None, None).pixels.shape[0] == 3
    except FileError as error:
        message = str(error)
    assert not message or (str(path) in message and "\n" not in message)


def test_photographs_are_traced_upright_and_deep_ones_in_their_grays(sd, tmp_path):
    photo = make_image()
    expected = values(trace_image(sd, photo, CAT))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned; a viewer turns the image back
    photo.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    turned = values(trace_image(sd, tmp_path / "turned.png", CAT))
    np.testing.assert_array_equal(turned, expected)
    gray = np.asarray(photo.convert("L"))
    deep = Image.fromarray(gray.astype(np.uint16) * 257)
    np.testing.assert_array_equal(
        values(trace_image(sd, deep, CAT)), values(trace_image(sd, photo.convert("L"), CAT))
    )


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PNG", "WEBP", "MPO"])
def test_a_file_of_several_frames_is_its_first_and_says_so(kind, tmp_path, recwarn):
    frames = [make_image(seed=seed) for seed in range(3)]
    frames[0].save(tmp_path / "a", kind, save_all=True, append_images=frames[1:])
    read = pixels.read_image(tmp_path / "a", 8, None, None).pixels
    said = [str(each.message) for each in recwarn]
    if kind == "MPO":  # a photo with its previews
        assert not said
    else:
        (message,) = said
        assert "a has 3 frames or pages, of which the first is read" in message
    with Image.open(tmp_path / "a") as image:
        assert torch.equal(read, pixels.read_image(image, 8, None, None).pixels)
        image.seek(2)
        assert not torch.equal(read, pixels.read_image(image, 8, None, None).pixels)


def test_provenance(sd):
    sd(CAT, num_inference_steps=1, guidance_scale=7.0, output_type="latent")
    known = trace_image(sd, make_image(), CAT, seed=3).provenance
    expected = {
        "source": "given image",
        "seed": 3,
        "guidance_scale": None,
        "guided": False,
        "steps": 5,
        "timesteps": [100.0, 250.0, 400.0, 550.0, 700.0],
        "height": 72,
        "width": 104,
    }
    assert {name: known[name] for name in expected} == expected


def test_options(sd):
    sentence = parse(CAT)
    maps = trace_image(sd, make_image(), CAT, layers=[5], sentence=sentence)
    assert maps.grid == (5, 7)
    assert maps.sentence is sentence
    assert trace_images(sd, [], []) == []


@pytest.mark.parametrize("name", ["Chroma", "PixArt-sigma", "UNet"])
def test_a_text_outside_the_prompt(sd, name):
    """In the first layer, no pixel has seen a text yet, so the maps of another text are those it has as a prompt."""
    pipe = sd if name == "UNet" else make(name)
    images = [make_image(64, 96, seed=seed) for seed in (1, 2)]
    options = {"timesteps": (100, 700), "keep": "layer"}
    found = trace_images(pipe, images, [CAT, OWL], of=OWL, **options)
    ordinary = trace_images(pipe, images, [OWL, OWL], **options)
    assert [each.prompt for each in found] == [OWL, OWL]
    assert [each.provenance["drawn_from"] for each in found] == [CAT, OWL]
    np.testing.assert_allclose(values(found[1]), values(ordinary[1]), atol=1e-6)
    difference = np.abs(values(found[0]) - values(ordinary[0]))  # (token, layer, y, x)
    assert difference[:, 0].max() < 1e-6 < 1e-5 < difference[:, -1].max()
    sentence = parse(OWL)
    alone = trace_image(pipe, images[0], CAT, of=OWL, sentence=sentence, **options)
    assert alone.sentence == sentence
    np.testing.assert_allclose(values(alone), values(found[0]), atol=1e-6)
    outputs = trace_output_maps(pipe, images, [CAT, OWL], of=OWL, timesteps=(100, 700))
    expected = trace_output_maps(pipe, images[1:], [OWL], timesteps=(100, 700))[0].data
    assert outputs[0].prompt == OWL
    scale = float(np.abs(expected).max())
    np.testing.assert_allclose(outputs[1].data, expected, atol=1e-5 * scale)


def test_the_pipeline_is_restored(pipe):
    def generate():
        generator = torch.Generator().manual_seed(1)
        return pipe(CAT, num_inference_steps=2, generator=generator, output_type="pt").images

    before, attributes, scheduler = generate(), set(vars(pipe)), dict(vars(pipe.scheduler))
    trace_image(pipe, make_image(), CAT)

    def fail(*_):
        raise ZeroDivisionError

    handle = pipe.unet.conv_out.register_forward_pre_hook(fail)
    with pytest.raises(ZeroDivisionError):
        trace_image(pipe, make_image(), CAT)
    handle.remove()
    assert set(vars(pipe)) == attributes
    assert vars(pipe.scheduler).keys() == scheduler.keys()
    assert all(vars(pipe.scheduler)[name] is value for name, value in scheduler.items())
    assert torch.equal(generate(), before)
    assert not _get_current_function_mode_stack()


def test_a_model_with_a_guidance_embedding():
    pipe = make_sd(time_cond_proj_dim=8)
    assert trace_image(pipe, make_image(), CAT).grid == (9, 13)


def test_half_precision_and_normalized_latents():
    pipe = make_sd().to(torch.bfloat16)
    pipe.vae.register_to_config(latents_mean=[0.0, 1, 2, 3], latents_std=[1.0, 2, 3, 4])
    maps = trace_image(pipe, make_image(), " ".join(["cat"] * (TEXT_LENGTH - 2)), layers=[5])
    np.testing.assert_allclose(values(maps).sum(axis=0), 1, atol=1e-4)


class TestRefusals:
    def test_sizes(self, sd):
        with pytest.raises(TraceError, match=r"multiples of 8, but got 72x100 .* of 72x96"):
            trace_image(sd, make_image(72, 100), CAT)

    def test_masked_pixels(self, sd):
        image = np.ma.masked_greater(np.asarray(make_image()) / 255, 0.5)
        with pytest.raises(TraceError, match=r"some are masked: .*image\.filled\(1\)"):
            trace_image(sd, image, CAT)
        trace_image(sd, image.filled(1), CAT)

    def test_arrays(self, sd):
        with pytest.raises(TraceError, match=r"\(y, x, 3\), but got the shape \(72, 104\)"):
            trace_image(sd, np.zeros((72, 104)), CAT)
        with pytest.raises(TraceError, match=r"float64 from 0\.0 to 255\.0"):
            trace_image(sd, np.asarray(make_image()).astype(float), CAT)
        with pytest.raises(TraceError, match=r"PIL image, .* but got list"):
            trace_image(sd, [[1, 2], [3]], CAT)
        with pytest.raises(TraceError, match=r"an array of object of shape \(2, 2, 3\)"):
            trace_image(sd, np.full((2, 2, 3), None), CAT)
        with pytest.raises(TraceError, match="int64"):
            trace_image(sd, np.asarray(make_image()).astype(int), CAT)

    @pytest.mark.parametrize("timesteps", [[], [-1], [1000], [0.5]])
    def test_timesteps(self, sd, timesteps):
        with pytest.raises(TraceError, match="whole numbers from 0 to 999"):
            trace_image(sd, make_image(), CAT, timesteps=timesteps)

    def test_prompts(self, sd):
        with pytest.raises(TraceError, match="prompt for each of 2 images, but got 1 prompts"):
            trace_images(sd, [make_image()] * 2, [CAT])
        with pytest.raises(TraceError, match="but got one text"):
            trace_images(sd, [make_image()] * len(CAT), CAT)
        with pytest.raises(TraceError, match="batch size of 1 or more, but got 0"):
            trace_images(sd, [make_image()], [CAT], batch_size=0)

        with pytest.raises(PromptError, match="at least one word"):
            trace_images(sd, [make_image()] * 2, [CAT, ""])

    def test_schedulers_without_alphas(self):
        pipe = make_sd()
        pipe.scheduler = IPNDMScheduler()
        with pytest.raises(TraceError, match=r"IPNDMScheduler.*DDIMScheduler"):
            trace_image(pipe, make_image(), CAT)

    def test_models_for_editing(self):
        pipe = make_sd(in_channels=9)
        with pytest.raises(TraceError, match="denoiser of 4 latent channels, but this one takes 9"):
            trace_image(pipe, make_image(), CAT)

    def test_inside_a_trace_of_the_same_model(self, sd):
        with trace(sd), pytest.raises(TraceError, match="open already"):
            trace_image(sd, make_image(), CAT)


class TestPhotosOfAnySize:
    """The tiny model draws 64 x 64."""

    def test_a_crop_keeps_the_center_and_its_proportions(self, sd):
        photo = make_image(80, 120)
        by_hand = photo.crop((20, 0, 100, 80)).resize((64, 64), Image.Resampling.LANCZOS)
        maps = trace_image(sd, photo, CAT, fit="crop")
        np.testing.assert_array_equal(values(maps), values(trace_image(sd, by_hand, CAT)))
        assert maps.image_size == (64, 64)
        assert maps.provenance["fit"] == {
            "choice": "crop",
            "original_size": [80, 120],
            "box": [20, 0, 100, 80],
            "size": [64, 64],
        }
        assert ds.fit_image(photo, maps) == by_hand
        assert ds.fit_image(by_hand, maps) == by_hand

    def test_the_whole_image_may_be_resized(self, sd):
        photo = make_image(33, 50)
        by_hand = photo.resize((80, 48), Image.Resampling.LANCZOS)
        maps = trace_image(sd, photo, CAT, fit="resize", size=(48, 80))
        np.testing.assert_array_equal(values(maps), values(trace_image(sd, by_hand, CAT)))
        assert maps.provenance["fit"]["box"] == [0, 0, 50, 33]
        assert ds.fit_image(photo, maps) == by_hand

    def test_a_turned_photo_is_upright_before_it_is_cropped(self, sd, tmp_path):
        photo = make_image(80, 120)
        exif = Image.Exif()
        exif[0x0112] = 6
        photo.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
        turned = trace_image(sd, tmp_path / "turned.png", CAT, fit="crop")
        np.testing.assert_array_equal(
            values(turned), values(trace_image(sd, photo, CAT, fit="crop"))
        )
        assert turned.provenance["fit"]["original_size"] == [80, 120]
        fitted = ds.fit_image(Image.open(tmp_path / "turned.png"), turned)
        np.testing.assert_array_equal(fitted, ds.fit_image(photo, turned))

    def test_photos_of_several_sizes_share_a_batch_and_their_maps_a_file(self, sd, tmp_path):
        photos = [make_image(80, 120), make_image(64, 64), np.asarray(make_image(90, 70)) / 255]
        many = trace_images(sd, photos, [CAT] * 3, fit="crop")
        assert [maps.provenance["batch_size"] for maps in many] == [3] * 3
        for photo, maps in zip(photos, many, strict=True):
            maps.save(tmp_path / "maps.npz")
            loaded = ds.HeatMaps.load(tmp_path / "maps.npz")
            page = ds.explore(photo, loaded)
            fitted = ds.fit_image(photo, loaded)
            assert fitted.size == (64, 64)
            assert page.html == ds.explore(fitted, loaded).html
        assert "given image, cropped from 90x70 to 64x64 pixels (height x width)" in page.html
        read = ds.explore(photo, loaded.with_provenance(model="emoji"))
        assert "(height x width), read by the embedded model of emoji scenes" in read.html

    def test_a_photo_that_is_huge_is_reduced_while_it_is_decoded(self, tmp_path, monkeypatch):
        """The limits stand for photos of 70 and of 270 million pixels."""
        monkeypatch.setattr(pixels, "_MANY_PIXELS", 300 * 500)
        monkeypatch.setattr(pixels, "_MOST_PIXELS", 300 * 500)
        steps = np.kron(np.arange(0, 240, 20, dtype=np.uint8).reshape(3, 4), np.ones((200, 200)))
        photo = Image.fromarray(steps.astype(np.uint8)).convert("RGB")  # 600 x 800
        exif = Image.Exif()
        exif[0x0112] = 6
        photo.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "a.jpg", quality=95, exif=exif)
        photo.save(tmp_path / "a.png")
        for fit in ("crop", "resize"):
            read, fitting = pixels.read_image(tmp_path / "a.jpg", 8, fit, (64, 64))
            whole, expected = pixels.read_image(photo, 8, fit, (64, 64))
            assert fitting == expected
            assert fitting.original_size == (600, 800)
            assert (read - whole).abs().mean() < 0.02
        for name, fit in (("a.png", "crop"), ("a.jpg", None)):
            with pytest.raises(
                FileError, match=r"pixels \(.*more than 150,000: save a smaller copy"
            ):
                pixels.read_image(tmp_path / name, 8, fit, (64, 64))

    def test_an_image_that_would_take_hours_is_refused(self):
        with pytest.raises(
            TraceError, match=r"at most 64 times .* \(64x64.*, but got 520x512: pass"
        ):
            pixels.read_image(np.zeros((520, 512, 3), np.uint8), 8, None, (64, 64))

    def test_photos_are_larger_than_pillow_allows(self, tmp_path, monkeypatch):
        make_image(80, 120).save(tmp_path / "a.png")
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # of 89 million
        read = pixels.read_image(tmp_path / "a.png", 8, "crop", (64, 64))
        assert read.fitting.original_size == (80, 120)
        assert Image.MAX_IMAGE_PIXELS == 1000

    @pytest.mark.parametrize(
        ("size", "box"), [((1, 5001), (2500, 0, 2501, 1)), ((5001, 1), (0, 2500, 1, 2501))]
    )
    def test_photos_of_any_shape(self, size, box):
        read, fitting = pixels.read_image(np.ones((*size, 3)), 8, "crop", (64, 64))
        assert (fitting.original_size, fitting.box) == (size, box)
        assert (read == 1).all()
        assert pixels.read_image(np.ones((*size, 3)), 8, "resize", (64, 64)).pixels.min() == 1

    def test_figures_and_pages_refuse_other_pixels(self, sd):
        photo = make_image(80, 120)
        maps = trace_image(sd, photo, CAT, fit="crop")
        with pytest.raises(
            ValueError, match=r"64x64 .* but got 80x120: .*fit_image\(photo, maps\)"
        ):
            ds.figures.overlay(photo, maps["cat"])
        ds.figures.overlay(ds.fit_image(photo, maps), maps["cat"])
        other = make_image(40, 60)
        with pytest.raises(ValueError, match=r"64x64 .* original of 80x120, but got 40x60"):
            ds.fit_image(other, maps)
        with pytest.raises(ValueError, match=r'Image 0: Expected .*64x64.*fit="crop"'):
            ds.explore(other, maps)

    def test_refusals_and_warnings(self, sd, monkeypatch):
        with pytest.raises(TraceError, match=r'fit="resize" or fit=None, but got .pad'):
            trace_image(sd, make_image(), CAT, fit="pad")
        with pytest.raises(TraceError, match=r"multiples of 8, but got \(60, 64\)"):
            trace_image(sd, make_image(), CAT, fit="crop", size=(60, 64))
        with pytest.raises(TraceError, match=r"with a size, but got size=\(64, 64\) alone"):
            trace_image(sd, make_image(), CAT, size=(64, 64))
        with pytest.warns(UserWarning, match=r"1 image of 136x136 .* draws 64x64") as caught:
            trace_image(sd, make_image(136, 136), CAT, timesteps=(300,))
        assert caught[0].filename == __file__
        monkeypatch.setattr(pixels, "drawn_size", lambda *_: None)
        with pytest.raises(TraceError, match=r"size=\(height, width\) with fit"):
            trace_image(sd, make_image(), CAT, fit="crop")
        assert trace_image(sd, make_image(), CAT, fit="crop", size=(64, 64)).grid == (8, 8)

    def test_sizes_of_models_that_pack_latents_and_of_those_that_know_their_own(self):
        flux = make("Flux")
        with pytest.raises(TraceError, match=r"multiples of 16, but got 40x64"):
            trace_image(flux, make_image(40, 64), CAT)
        with pytest.raises(TraceError, match=r"multiples of 16, but got \(40, 64\)"):
            trace_image(flux, make_image(), CAT, fit="crop", size=(40, 64))
        maps = trace_image(flux, make_image(40, 64), CAT, fit="resize", size=(32, 64))
        assert (maps.image_size, maps.grid) == ((32, 64), (2, 4))
        assert drawn_size(flux, family_of(flux)) == (1024, 1024)

    @pytest.mark.filterwarnings("ignore:1 image of")  # which is smaller than what the model draws
    @pytest.mark.parametrize("name", ["PixArt-alpha", "HunyuanDiT", "SD3", "Z-Image"])
    def test_sizes_whose_last_pixels_fill_no_token(self, name):
        """PixArt and HunyuanDiT would leave them out without an error."""
        pipe = make(name)
        with pytest.raises(TraceError, match=r"multiples of 16, but got 40x24 .* of 32x16"):
            trace_image(pipe, make_image(40, 24), CAT)
        maps = trace_image(pipe, make_image(32, 16), CAT, timesteps=(300,))
        assert maps.grid == (2, 1)

    @pytest.mark.filterwarnings("ignore:1 image of")
    def test_sizes_that_only_the_pipeline_refuses(self):
        sana = make("Sana")  # asks for multiples of 32, whatever its autoencoder
        with pytest.raises(TraceError, match=r'divisible by 32 .* fit="crop"'):
            trace_image(sana, make_image(40, 24), CAT, timesteps=(300,))
        maps = trace_image(sana, make_image(40, 24), CAT, timesteps=(300,), fit="crop")
        assert maps.image_size == drawn_size(sana, family_of(sana))

    def test_models_that_know_their_own_size(self):
        prx = make("PRX")
        side = prx.default_sample_size
        assert drawn_size(prx, family_of(prx)) == (side, side)

    def test_progress_shows_if_the_rest_takes_long(self, sd, monkeypatch, capsys):
        photos, prompts = [make_image()] * 3, [CAT] * 3
        options = {"timesteps": (300,), "batch_size": 1}
        trace_images(sd, photos, prompts, **options, progress=False)
        assert capsys.readouterr().err == ""
        monkeypatch.setattr(recording, "_PATIENCE", 0.0)
        trace_images(sd, photos, prompts, **options)
        assert "Tracing: 3 of 3 denoiser calls" in capsys.readouterr().err
        trace_image(
            sd, photos[0], CAT, timesteps=(300, 600)
        )  # a single large image takes long, too
        assert "Tracing: 2 of 2 denoiser calls" in capsys.readouterr().err


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_the_target_is_what_the_scheduler_takes_the_denoiser_to_predict(sd, prediction):
    """A scheduler that gets the target as the denoiser's output finds the clean latents."""
    scheduler = DDIMScheduler.from_config(
        sd.scheduler.config, prediction_type=prediction, clip_sample=False
    )
    scheduler.set_timesteps(1000)
    noising = Noising(scheduler, [10, 600])
    latents = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(0))
    noised = noising(latents, torch.Generator().manual_seed(1))
    for index, timestep in enumerate([10, 600]):
        target = noising.target(latents, noised[index], index)
        clean = scheduler.step(target, timestep, noised[index]).pred_original_sample
        torch.testing.assert_close(clean, latents, rtol=1e-3, atol=1e-4)


def test_the_target_of_flow_matching_is_the_velocity():
    noising = Noising(FlowMatchEulerDiscreteScheduler(), [0, 600])
    latents = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(0))
    noised = noising(latents, torch.Generator().manual_seed(1))
    velocity = noising.target(latents, noised[1], 1)
    torch.testing.assert_close(noised[1] - 0.6 * velocity, latents)
    torch.testing.assert_close(velocity[0] + latents[0], velocity[1] + latents[1])  # one noise
    with pytest.raises(TraceError, match="timesteps above 0"):
        noising.target(latents, noised[0], 0)


def test_predictions_are_those_of_the_denoiser(sd):
    """Independent: the denoiser called by hand on noised latents of the pipeline's own autoencoder."""
    images = [np.random.default_rng(i).random((64, 96, 3)).astype(np.float32) for i in range(2)]
    batch = GivenBatch.prepare(sd, images, ["red cat", "blue owl"], timesteps=[100, 700])
    found = []
    with torch.no_grad():
        batch.read([0, 1], 3, on_prediction=found.append)
        pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) * 2 - 1
        latents = sd.vae.encode(pixels).latent_dist.mode() * sd.vae.config.scaling_factor
        text, _ = sd.encode_prompt(["red cat", "blue owl"], "cpu", 1, False)
        generator = torch.Generator().manual_seed(3)
        for index, timestep in enumerate([100, 700]):
            noise = torch.randn(latents.shape[1:], generator=generator).expand_as(latents)
            noised = sd.scheduler.add_noise(latents, noise, torch.tensor([timestep]))
            expected = sd.unet(noised, timestep, encoder_hidden_states=text).sample
            torch.testing.assert_close(found[index].output, expected, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(found[index].target, noise, rtol=1e-3, atol=1e-4)
            assert found[index].index == index
