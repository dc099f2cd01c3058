"""Pipelines with perturbed-attention guidance, whose batches have extra rows at the end."""

import diffusers
import numpy as np
import pytest
import torch

from daam_syntax.attention import Edit, intervene, trace
from daam_syntax.errors import TraceError
from helpers.attention_reference import CallsWithin
from helpers.family_cases import CASES
from helpers.family_pipelines import make
from helpers.family_runs import keys_of
from helpers.tiny_pipelines import as_pipeline, make_sd, make_sdxl
from helpers.tracing import CAT, OWL

SIZE = (64, 96)


# Pipeline, perturbed layers, attentions to text, side of a cell in pixels, options
PIPELINES = {
    "sd": lambda: (
        as_pipeline(
            make_sd(),
            diffusers.StableDiffusionPAGPipeline,
            pag_applied_layers=["mid", "down_blocks.1"],
        ),
        r"down_blocks\.1.*\.attn2",
        16,
        {},
    ),
    "sdxl": lambda: (
        as_pipeline(
            make_sdxl(), diffusers.StableDiffusionXLPAGPipeline, pag_applied_layers=["mid"]
        ),
        r"down_blocks\.1.*\.attn2",
        16,
        {},
    ),
    "SD3": lambda: (
        as_pipeline(
            make("SD3"),
            diffusers.StableDiffusion3PAGPipeline,
            pag_applied_layers=["transformer_blocks.1"],
        ),
        r".*\.attn",
        16,
        {"max_sequence_length": 24},
    ),
    "PixArt-sigma": lambda: (
        as_pipeline(
            make("PixArt-sigma"), diffusers.PixArtSigmaPAGPipeline, pag_applied_layers=["blocks.1"]
        ),
        r".*\.attn2",
        16,
        {"max_sequence_length": 24, "use_resolution_binning": False},
    ),
    "Sana": lambda: (
        as_pipeline(
            make("Sana"), diffusers.SanaPAGPipeline, pag_applied_layers=["transformer_blocks.1"]
        ),
        r".*\.attn2",
        8,
        {"max_sequence_length": 24, "use_resolution_binning": False},
    ),
    "HunyuanDiT": lambda: (
        as_pipeline(
            make("HunyuanDiT"), diffusers.HunyuanDiTPAGPipeline, pag_applied_layers=["blocks.1"]
        ),
        r".*\.attn2",
        16,
        {"use_resolution_binning": False},
    ),
}


def draw(pipe, prompts, guidance, **options):
    return pipe(
        prompts,
        height=SIZE[0],
        width=SIZE[1],
        num_inference_steps=2,
        guidance_scale=guidance,
        generator=torch.Generator().manual_seed(7),
        output_type="pt",
        **{"pag_scale": 2.0} | options,
    ).images


# Without guidance, diffusers 0.42 itself fails with HunyuanDiT.
CASES_RUN = [(name, guidance) for name in PIPELINES for guidance in (1.0, 4.0)]
CASES_RUN.remove(("HunyuanDiT", 1.0))


@pytest.mark.parametrize(("name", "guidance"), CASES_RUN)
def test_rows_of_the_prompts_are_read(name, guidance):
    pipe, modules, cell, options = PIPELINES[name]()
    prompts, rows = [OWL, CAT], slice(2, 4) if guidance > 1 else slice(0, 2)
    denoiser = getattr(pipe, "transformer", None) or pipe.unet
    watch = CallsWithin(denoiser, modules)
    untraced = watch.during(lambda: draw(pipe, prompts, guidance, **options))
    assert {inputs["encoder_hidden_states"].shape[0] for inputs in watch.inputs} == {rows.stop + 2}
    with trace(pipe, layers=["down_blocks.1"] if name.startswith("sd") else None) as recording:
        assert torch.equal(draw(pipe, prompts, guidance, **options), untraced)
    maps, grid = recording.heat_maps(), (SIZE[0] // cell, SIZE[1] // cell)
    n_pixels = grid[0] * grid[1]
    calls = [call for step in watch.steps for call in step]
    if (
        name == "SD3"
    ):  # whose perturbed rows have a call of their own, in which a mask separates pixels
        assert any(call.mask is not None for call in calls)
        calls = [call for call in calls if call.mask is None]
    expected = torch.stack([call.shares()[rows, :n_pixels] for call in calls]).mean(0)
    case = next((each for each in CASES if each.name == name), None)
    for row, each in enumerate(maps):
        assert (each.prompt, each.grid) == (prompts[row], grid)
        assert each.provenance["guided"] is (guidance > 1)
        keys = [s.position for s in each.subwords] if case is None else keys_of(case, each)
        first = n_pixels if name == "SD3" else 0
        own = expected[row][:, [first + key for key in keys]]
        np.testing.assert_allclose(each.data, own.T.reshape(-1, *grid), atol=1e-6)


def test_interventions_leave_perturbed_rows_alone():
    pipe, modules, _, options = PIPELINES["SD3"]()
    edit = Edit(["cat"], scale=0.0)
    watch = CallsWithin(pipe.transformer, modules)
    plain = watch.during(lambda: draw(pipe, [CAT], 4.0, **options))
    with intervene(pipe, [edit]), trace(pipe) as recording:
        changed = draw(pipe, [CAT], 4.0, **options)
    assert not torch.equal(changed, plain)
    assert recording.heat_maps()[0].provenance["guided"]
    with (
        pytest.raises(TraceError, match=r"guidance scale above 1.*or pag_scale=0"),
        intervene(pipe, [edit]),
    ):
        draw(pipe, [CAT], 1.0, **options)
    pipe, _, _, _ = PIPELINES["SD3"]()  # diffusers does not restore processors after a failure
    with intervene(pipe, [edit]):
        draw(pipe, [CAT], 1.0, **options | {"pag_scale": 0.0})
