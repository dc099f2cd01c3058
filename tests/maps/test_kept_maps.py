"""Recordings by step, layer, and attention head: each slice against a plain softmax, with an unchanged mean."""

from itertools import chain, combinations

import numpy as np
import pytest
import torch
import xarray as xr
from diffusers import HeunDiscreteScheduler

from daam_syntax.attention import Layer, predict_bytes, predict_memory, trace, trace_image
from daam_syntax.errors import MemoryLimitError, SelectionError, TraceError, WordError
from daam_syntax.maps import HeatMaps
from daam_syntax.maps.kept_maps import AXES
from helpers.attention_reference import Reference
from helpers.examples import SUBWORDS, make_maps, make_sentence
from helpers.tiny_pipelines import make_sd
from helpers.tracing import CAT, GRIDS, NATIVE, OBLONG, OWL, SQUARE, draw, latents

STEPS = 3
SUBSETS = list(chain.from_iterable(combinations(AXES, n) for n in range(4)))
BATCH = {"num_images_per_prompt": 2, "steps": STEPS}


def recorded(pipe, prompt, keep=(), *, n=STEPS, options=None, **selection):
    with trace(pipe, keep=keep, **selection) as recording:
        images = draw(pipe, prompt, steps=n, **(options or {}))
    return images, recording.heat_maps(), recording


class SmallMachine:
    """A machine with little available memory."""

    available = 3000


@pytest.fixture(scope="module", params=[5.0, 1.0], ids=["guided", "unguided"])
def reference(sd, request):
    """Attention by head in an untraced call with 2 prompts x 2 images, and its images."""
    watched = Reference(sd.unet, GRIDS)
    options = {"guidance": request.param, "num_images_per_prompt": 2}
    images = watched.watch(lambda: draw(sd, [CAT, OWL], steps=STEPS, **options))
    rows = slice(4, 8) if request.param > 1 else slice(0, 4)
    plain = recorded(sd, [CAT, OWL], options=options)[1]
    return watched, rows, images, plain, options


def reference_array(watched, rows, keep):
    """Return reference values by plain softmaxes. *Shape:* ``(row, token, [step], [layer], [head], y, x)``."""
    layers = []
    for calls in watched.by_head.values():
        values = torch.stack(calls)[:, rows]  # (step, row, head, pixel, token)
        apart = [axis for axis in ("step", "head") if axis in keep]
        reduced = [dim for axis, dim in (("step", 0), ("head", 2)) if axis not in keep]
        values = values.mean(dim=reduced) if reduced else values
        order = {"step": "s", "head": "h"}
        given = [*(["s"] if "step" in keep else []), "r", *(["h"] if "head" in keep else [])]
        resized = watched.on_grid(values, (9, 13))
        wanted = ["r", "t", *(order[axis] for axis in apart), "y", "x"]
        given += ["t", "y", "x"]
        layers.append(resized.permute(*(given.index(name) for name in wanted)))
    place = 3 if "step" in keep else 2
    stacked = torch.stack(layers, dim=place)
    return np.asarray(stacked if "layer" in keep else stacked.mean(dim=place))


@pytest.mark.parametrize("keep", SUBSETS, ids="+".join)
def test_each_slice_is_a_plain_softmax_and_axes_do_not_change_the_mean(sd, reference, keep):
    watched, rows, untraced, plain, options = reference
    images, maps, recording = recorded(sd, [CAT, OWL], keep, options=options)
    assert torch.equal(images, untraced)
    expected = reference_array(watched, rows, keep)
    for row, (each, without) in enumerate(zip(maps, plain, strict=True)):
        assert each.axes == keep
        assert each.data.dims == ("token", *keep, "y", "x")
        np.testing.assert_allclose(each.data, expected[row, : len(each.subwords)], atol=1e-6)
        np.testing.assert_allclose(each.stack(), without.stack(), atol=1e-6)
        np.testing.assert_allclose(
            each.phrase([0, 2]).values, without.phrase([0, 2]).values, atol=1e-6
        )
        np.testing.assert_allclose(each.subword(0).values, without.subword(0).values, atol=1e-6)
    (call,) = recording._recorder.finished
    assert call.sums.n_bytes == recording.predicted_bytes
    assert recording.predicted_bytes == predict_memory(
        sd,
        [CAT, OWL],
        keep=keep,
        num_inference_steps=STEPS,
        num_images_per_prompt=2,
        guidance_scale=options["guidance"],
        height=OBLONG[0],
        width=OBLONG[1],
        output_type="latent",
    )
    if keep:  # the same number of values, except that the shorter prompt has fewer tokens
        tokens = {each.prompt: len(each.subwords) for each in maps}
        assert sum(each.nbytes for each in maps) == recording.predicted_bytes * (
            sum(tokens.values()) / (2 * max(tokens.values()))
        )


@pytest.fixture(scope="module")
def whole(sd):
    """A recording of one image with all axes."""
    return recorded(sd, OWL, AXES)[1][0]


@pytest.mark.parametrize(
    "selection",
    [
        {"steps": slice(0, 2 / 3)},
        {"steps": [2]},
        {"layers": [5]},
        {"layers": "mid"},
        {"layers": "5x7", "steps": slice(1, None)},
        pytest.param(
            {
                "layers": lambda path, grid: "up" in path,
                "steps": lambda step, timestep: timestep > 300,
            },
            id="functions",
        ),
    ],
    ids=str,
)
def test_selecting_afterwards_equals_recording_only_the_selection(sd, whole, selection):
    alone = recorded(sd, OWL, **selection)[1][0]
    selected = whole.select(**selection)
    assert selected.grid == alone.grid
    assert selected.axes == AXES
    np.testing.assert_allclose(selected.stack(), alone.stack(), atol=1e-6)
    assert alone.provenance.get("recorded") == selected.provenance["selected"].get("steps")
    apart = recorded(sd, OWL, AXES, **selection)[1][0]
    xr.testing.assert_allclose(selected.data, apart.data, atol=1e-6)


def test_coordinates(whole):
    data = whole.data
    np.testing.assert_array_equal(data["step"], [0, 1, 2])
    np.testing.assert_array_equal(data["timestep"], [667, 334, 1])
    np.testing.assert_allclose(data["progress"], [0, 1 / 3, 2 / 3])
    np.testing.assert_array_equal(data["head"], [0, 1])
    assert data["layer"].values[0].startswith("down_blocks.0")
    assert data["grid"].values.tolist() == ["9x13", "5x7", "3x4", "5x7", "5x7", "9x13", "9x13"]
    assert data.sel(layer=data["grid"] == "3x4").sizes["layer"] == 1
    assert data["subword"].values[2:4].tolist() == ["straw", "berry</w>"]
    late = whole.select(steps=slice(1 / 3, 1.0), heads=[1])
    np.testing.assert_array_equal(late.data["step"], [1, 2])
    np.testing.assert_allclose(late.data["progress"], [1 / 3, 2 / 3])
    assert late.provenance["selected"] == {"steps": [1, 2], "heads": [1]}
    assert late.select(steps=1).provenance["selected"] == {"steps": [1], "heads": [1]}
    assert "by 2 steps x 7 layers x 1 heads" in repr(late)


def test_maps_of_a_word_by_axis(whole):
    word = whole.word_array("strawberry")
    assert (word.name, word.dims) == ("strawberry", ("step", "layer", "head", "y", "x"))
    np.testing.assert_allclose(word, whole.data.values[2:4].mean(axis=0), atol=1e-7)
    with pytest.raises(WordError, match="indices 0, 3"):
        whole.word_array("the")


def test_where_nothing_is_resized_the_mean_of_the_slices_is_the_map(sd):
    (maps,) = recorded(sd, OWL, AXES, layers=NATIVE)[1]
    mean = maps.word_array(1).mean(["step", "layer", "head"])
    np.testing.assert_allclose(mean, maps[1].values, atol=1e-6)


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"steps": 3}, r"steps=3 to match a step.*steps are 0, 1, 2 \(timesteps 667 to 1\)"),
        ({"heads": [2]}, r"heads=\[2\] to match a head.*heads are 0, 1\."),
        (
            {"layers": "16x16"},
            r"layers='16x16' to match a layer.*down_blocks\.0\S* 9x13; .*mid\S* 3x4",
        ),
    ],
)
def test_a_selection_that_matches_nothing_lists_what_was_recorded(whole, selection, message):
    with pytest.raises(SelectionError, match=message):
        whole.select(**selection)


def test_an_axis_that_was_not_kept_cannot_be_selected_from():
    for selection, axis in (
        ({"steps": 0}, "step"),
        ({"layers": 16}, "layer"),
        ({"heads": 0}, "head"),
    ):
        with pytest.raises(
            SelectionError, match=rf"keep the {axis} axis.*they keep none.*keep=\('{axis}"
        ):
            make_maps().select(**selection)
    assert make_maps().select().axes == ()


def test_unknown_axes_are_refused(sd):
    with pytest.raises(ValueError, match=r"among \('step', 'layer', 'head'\).*'time'"):
        trace(sd, keep=("step", "time"))
    with pytest.raises(TypeError, match="as keep of trace, but got True"):
        trace(sd, keep=True)


def test_save_and_load_keep_the_axes(whole, tmp_path):
    whole.save(tmp_path / "maps.npz")
    loaded = HeatMaps.load(tmp_path / "maps.npz")
    xr.testing.assert_identical(loaded.data, whole.data)
    np.testing.assert_array_equal(loaded.stack(), whole.stack())
    xr.testing.assert_identical(
        loaded.select(layers="mid", steps=1).data, whole.select(layers="mid", steps=1).data
    )
    assert loaded.nbytes == whole.nbytes


def test_maps_with_axes_can_be_made_from_one_array():
    values = np.random.default_rng(0).random((2, 3, 8, 4, 6))
    data = xr.DataArray(values, dims=("layer", "step", "token", "y", "x"))
    with pytest.raises(ValueError, match="dims must be"):
        HeatMaps(data, SUBWORDS, make_sentence(), (4, 6))
    ordered = data.transpose("token", "step", "layer", "y", "x")
    maps = HeatMaps(ordered, SUBWORDS, make_sentence(), (4, 6))
    np.testing.assert_allclose(maps.data, ordered, atol=1e-7)
    np.testing.assert_allclose(maps[1].values, values[:, :, 2].mean(axis=(0, 1)), atol=1e-6)
    np.testing.assert_allclose(
        maps.select(steps=slice(0, 0.5)).data, ordered.isel(step=[0, 1]), atol=1e-7
    )


def test_layers_with_different_numbers_of_heads():
    pipe = make_sd(attention_head_dim=(2, 4, 4))
    assert recorded(pipe, CAT, ("step", "layer"), n=1)[1][0].data.sizes["layer"] == 7
    with pytest.raises(
        TraceError, match=r"down_blocks\.0\S* has 2 and down_blocks\.1\S* has 4: choose layers"
    ):
        recorded(pipe, CAT, ("head",), n=1)
    (maps,) = recorded(pipe, CAT, ("head",), n=1, layers=["blocks.1.attentions"])[1]
    assert maps.data.sizes["head"] == 4


class TestMemory:
    def test_prediction_by_hand(self):
        layers = [Layer((4, 6), 8), Layer((2, 3), 8), Layer((2, 3), 8), Layer((4, 6), 8)]
        sizes = {"n_images": 2, "n_tokens": 5, "n_steps": 10}
        assert predict_bytes(layers, **sizes) == 4 * 2 * 5 * 60
        assert predict_bytes(layers, keep=["step"], **sizes) == 4 * 2 * 5 * 36 * 10
        assert predict_bytes(layers, keep=["head", "layer"], **sizes) == 4 * 2 * 5 * 60 * 8

    def test_a_recording_that_is_too_large_is_refused_after_the_first_step(self, sd):
        calls = []
        handle = sd.unet.register_forward_hook(lambda *_: calls.append(1))
        try:
            with pytest.raises(MemoryLimitError) as caught:
                recorded(sd, CAT, AXES, n=50, max_bytes=100_000)
        finally:
            handle.remove()
        predicted = 4 * 5 * 50 * 2 * (3 * 117 + 3 * 35 + 12)
        assert len(calls) == 1
        assert (caught.value.predicted_bytes, caught.value.max_bytes) == (predicted, 100_000)
        message = str(caught.value)
        assert "at most 100 kB" in message
        assert f"takes {predicted / 1000:.3g} kB" in message
        assert "1 images, 5 tokens, 50 steps and 7 layers of up to 2 heads" in message
        assert f"without 'step' {predicted / 50 / 1000:.3g} kB" in message
        assert f"without 'head' {predicted / 2 / 1000:.3g} kB" in message

    def test_only_recorded_steps_and_layers_count(self, sd):
        selection = {"steps": slice(0, 0.5), "layers": NATIVE}
        _, (maps,), recording = recorded(sd, CAT, ("step",), n=6, max_bytes=100_000, **selection)
        assert recording.predicted_bytes == maps.nbytes == 4 * 5 * 3 * 35

    def test_earlier_calls_count(self, sd):
        with trace(sd, keep="layer", layers=NATIVE, max_bytes=1300) as recording:
            draw(sd, CAT, steps=1)
            with pytest.raises(MemoryLimitError, match="at most 600 bytes"):
                draw(sd, CAT, steps=1)
        assert len(recording.heat_maps()) == 1

    def test_half_of_the_available_memory_is_the_default(self, sd, monkeypatch):
        monkeypatch.setattr(
            "daam_syntax.attention.pipeline_call.memory.psutil.virtual_memory", lambda: SmallMachine
        )
        with pytest.raises(MemoryLimitError, match=r"at most 1\.5 kB"):
            recorded(sd, CAT, AXES)


class TestSteps:
    def test_a_scheduler_of_second_order_makes_two_calls_of_a_timestep(self, sd):
        before = sd.scheduler
        sd.scheduler = HeunDiscreteScheduler(steps_offset=1)
        try:
            _, (maps,), recording = recorded(sd, CAT, ("step",), layers=NATIVE)
            plain = recorded(sd, CAT, layers=NATIVE)[1][0]
        finally:
            sd.scheduler = before
        timesteps = maps.data["timestep"].values.tolist()
        assert len(timesteps) == 5
        assert timesteps[1] == timesteps[2]
        assert maps.provenance["steps"] == 3
        assert recording.predicted_bytes == maps.nbytes
        np.testing.assert_allclose(maps.stack(), plain.stack(), atol=1e-6)

    def test_a_step_beyond_the_last_is_refused(self, sd):
        expected = r"steps= to select a step, but 7 matches none of 0 to 1"
        with trace(sd, steps=7), pytest.raises(TraceError, match=expected):
            draw(sd, CAT)

    def test_a_custom_loop_passes_its_timesteps(self, sd):
        def run(described, **selection):
            with trace(sd, layers=NATIVE, **selection) as recording:
                embeddings, _ = sd.encode_prompt(CAT, "cpu", 1, False)
                if described:
                    recording.describe_call(seeds=[0], timesteps=[500, 300, 100])
                for timestep in (500, 300, 100):
                    sd.unet(latents(1), timestep, embeddings)
                sd.maybe_free_model_hooks()
            return recording

        half = {"steps": slice(0, 0.5), "keep": "step"}
        (maps,) = run(True, **half).heat_maps()
        np.testing.assert_array_equal(maps.data["timestep"], [500, 300])
        with pytest.raises(TraceError, match="a known number of steps"):
            run(False, **half)
        recording = run(False, keep="step")
        assert recording.predicted_bytes == recording.heat_maps()[0].nbytes == 4 * 5 * 3 * 35
        with pytest.raises(MemoryLimitError, match="2 steps"):
            run(False, keep="step", max_bytes=4 * 5 * 35)

    def test_an_interrupted_call_warns_that_it_made_fewer_steps(self, sd):
        def interrupt(pipe, step, timestep, tensors):
            pipe._interrupt = step == 1
            return {}

        with pytest.warns(UserWarning, match="4 steps were announced, but 2 were made"):
            recorded(sd, CAT, steps=slice(0, 0.5), options={"callback_on_step_end": interrupt}, n=4)


def test_given_images_by_timestep(sd):
    image = np.random.default_rng(0).random((*SQUARE, 3))
    options = {"timesteps": [100, 600], "layers": NATIVE}
    maps = trace_image(sd, image, CAT, keep=("step", "head"), **options)
    np.testing.assert_array_equal(maps.data["timestep"], [100, 600])
    plain = trace_image(sd, image, CAT, **options)
    np.testing.assert_allclose(maps.stack(), plain.stack(), atol=1e-6)
    alone = trace_image(sd, image, CAT, timesteps=[100], layers=NATIVE)
    np.testing.assert_allclose(maps.select(steps=0).stack(), alone.stack(), atol=1e-6)
