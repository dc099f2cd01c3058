"""Similarity of attention outputs in cross-attention, compared with dot products that are computed by hand in 64 bits.

That in joint attention is compared in test_concept_streams.py, and that of videos in test_texts_in_videos.py.
"""

import pytest
import torch

from daam_syntax.attention import predict_memory, trace, trace_output_maps
from daam_syntax.errors import MemoryLimitError, TraceError
from helpers.attention_reference import CallsWithin, close
from helpers.family_cases import CASES
from helpers.family_runs import denoiser, draw, keys_of, pipeline
from helpers.tiny_pipelines import make_sd
from helpers.tracing import CAT, OWL, make_image
from helpers.tracing import draw as draw_sd

CROSS = [case for case in CASES if not case.keys.startswith("joint")]
CASE_OF = {case.name: case for case in CASES}
FOIL = "a big strawberry"
names = pytest.mark.parametrize


def by_hand(module, call, row, positions, value=None):
    """Return the dot products of projected outputs and values, *shape* ``(head, pixel, token)``."""
    project = module.to_out[0].weight.detach().double()
    value = (call.value if value is None else value)[row].double()
    tokens = project @ value[:, positions].transpose(0, 1).flatten(1).T  # (feature, token)
    parts = []
    outputs = call.outputs()[row]
    size = outputs.shape[-1]
    for head, each in enumerate(outputs):
        columns = project[:, head * size : (head + 1) * size]
        parts.append(each @ columns.T @ tokens)
    return torch.stack(parts)


@names("guidance", [5.0, 1.0], ids=["guided", "unguided"])
def test_cross_attention_by_head(guidance):
    """A token has no output, so its value takes the place, after the output projection."""
    pipe = make_sd()
    layer = "down_blocks.1.attentions.0.transformer_blocks.0.attn2"
    module = pipe.unet.get_submodule(layer)
    watch, foreign = (CallsWithin(pipe.unet, layer.replace(".", r"\.")) for _ in range(2))
    untraced = watch.during(lambda: draw_sd(pipe, [CAT, OWL], guidance=guidance))
    foreign.during(lambda: draw_sd(pipe, FOIL, guidance=1.0))
    with trace(pipe, outputs=True, also=[FOIL], layers=[layer], keep=("step", "head")) as recording:
        assert torch.equal(draw_sd(pipe, [CAT, OWL], guidance=guidance), untraced)
    with trace(pipe, outputs=True, layers=[layer]) as plain:
        draw_sd(pipe, [CAT, OWL], guidance=guidance)
    first = 2 if guidance > 1 else 0
    of_foil = foreign.steps[0][0].value
    for image, maps in enumerate(recording.output_maps()):
        other = recording.output_maps(of=FOIL)[image]
        for found, value in ((maps, None), (other, of_foil.expand(4, -1, -1, -1))):
            places = [subword.position for subword in found.subwords]
            parts = torch.stack(
                [by_hand(module, calls[0], first + image, places, value) for calls in watch.steps]
            )
            own = found.data.transpose("step", "head", "y", "x", "token").values
            expected = parts * parts.shape[1]  # of a head times the number of heads
            close(own.reshape(expected.shape), expected)
        close(maps.similarity(2), plain.output_maps()[image].similarity(2))


@names("case", CROSS, ids=lambda case: case.name)
def test_families_with_cross_attention(case):
    watch = CallsWithin(denoiser(case), case.modules)
    untraced = watch.during(lambda: draw(case, [OWL], guided=False))
    with trace(pipeline(case.name), outputs=True, layers=None, keep="layer") as recording:
        assert torch.equal(draw(case, [OWL], guided=False), untraced)
    (maps,) = recording.output_maps()
    layers = maps.data["layer"].values
    for number, path in enumerate(layers):
        call = next(c for c, p in zip(watch.steps[0], layers, strict=True) if p == path)
        module = denoiser(case).get_submodule(path)
        expected = by_hand(module, call, 0, keys_of(case, maps)).sum(dim=0)
        found = maps.select(layers=[path]).data.values[:, 0]
        if maps.select(layers=[path]).grid == maps.grid and found[0].size == len(expected):
            close(found.reshape(len(found), -1).T, expected)
        else:
            assert number > 0


def test_memory_is_predicted_and_limited():
    case = CASE_OF["SD3"]
    options = {"keep": ("step",), "outputs": True, "also": [FOIL]}
    with trace(pipeline("SD3"), **options) as recording:
        draw(case, [CAT])
    (pipeline_call,) = recording._recorder.finished
    assert recording.predicted_bytes == pipeline_call.n_bytes
    arguments = {"num_inference_steps": 1, "height": 64, "width": 96} | dict(case.arguments)
    size = predict_memory(pipeline("SD3"), CAT, **options, **arguments, guidance_scale=4.0)
    assert size == pipeline_call.n_bytes
    with trace(pipeline("SD3"), **options | {"outputs": False}) as without:
        draw(case, [CAT])
    assert 2 * without.predicted_bytes == size
    with (
        pytest.raises(
            MemoryLimitError, match=r"do not compare outputs \(.* without outputs=True\)"
        ),
        trace(pipeline("SD3"), max_bytes=size - 1, **options),
    ):
        draw(case, [CAT])
    with pytest.raises(TraceError, match="trace with outputs=True"):
        without.output_maps()


def test_given_images():
    pipe = make_sd()
    layer = "down_blocks.1.attentions.0.transformer_blocks.0.attn2"
    watch = CallsWithin(pipe.unet, layer.replace(".", r"\."))
    images, options = [make_image(72, 104)] * 2, {"layers": [layer], "timesteps": (100, 700)}
    found = watch.during(lambda: trace_output_maps(pipe, images, [CAT, OWL], **options))
    for row, maps in enumerate(found):
        assert maps.prompt == [CAT, OWL][row]
        assert maps.provenance["source"] == "given image"
        places = [subword.position for subword in maps.subwords]
        module = pipe.unet.get_submodule(layer)
        each = [by_hand(module, calls[0], row, places).sum(dim=0) for calls in watch.steps]
        expected = torch.stack(each).mean(dim=0).T
        close(maps.data.values.reshape(expected.shape), expected)
    (fitted,) = trace_output_maps(pipe, images[:1], [CAT], fit="crop", size=(64, 64), **options)
    assert fitted.image_size == (64, 64)
    assert "crop" in fitted.provenance["fit"].values()
    assert trace_output_maps(pipe, [], []) == []
