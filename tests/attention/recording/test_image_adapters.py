"""IP-Adapters in joint attention, with texts outside the prompt; that of UNets is in test_trace_variants.py."""

import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import SD3IPAdapterJointAttnProcessor2_0
from diffusers.models.embeddings import IPAdapterTimeImageProjection

from daam_syntax.attention import trace
from helpers.attention_reference import CallsWithin, close
from helpers.family_cases import CASES
from helpers.family_pipelines import make
from helpers.family_runs import conditional, draw, keys_of
from helpers.image_adapters import adapter_weights
from helpers.tracing import CAT, OWL

CASE_OF = {case.name: case for case in CASES}


def flux_with_adapter():
    """Load an adapter with random weights as diffusers does; an image has four keys."""
    pipe, generator = make("Flux"), torch.Generator().manual_seed(3)
    transformer = pipe.transformer
    width, inner = transformer.config.joint_attention_dim, transformer.inner_dim
    shapes = {}
    for number in range(len(transformer.transformer_blocks)):
        for name in ("to_k_ip", "to_v_ip"):
            shapes |= {f"{number}.{name}.weight": (inner, width), f"{number}.{name}.bias": (inner,)}
    weights = adapter_weights(width, shapes, generator)
    transformer._load_ip_adapter_weights([weights], low_cpu_mem_usage=False)
    image, other = (torch.randn(1, 1, 8, generator=generator) for _ in range(2))
    return pipe, {
        "ip_adapter_image_embeds": [image],
        "negative_ip_adapter_image_embeds": [other],
    }


def sd3_with_adapter():
    """The adapter of SD3, whose image has attention of its own in the transformer, beside its blocks."""
    pipe = make("SD3")
    torch.manual_seed(3)
    transformer = pipe.transformer
    width = transformer.inner_dim
    processors = {
        name: SD3IPAdapterJointAttnProcessor2_0(
            hidden_size=width,
            ip_hidden_states_dim=width,
            head_dim=transformer.config.attention_head_dim,
            timesteps_emb_dim=64,
        )
        for name in transformer.attn_processors
    }
    transformer.set_attn_processor(processors)
    transformer.image_proj = IPAdapterTimeImageProjection(
        embed_dim=8, output_dim=width, hidden_dim=64, heads=1, num_queries=4, timestep_in_dim=32
    )
    return pipe, {"ip_adapter_image_embeds": torch.randn(2, 3, 8)}


@pytest.mark.parametrize(
    ("name", "maker"), [("Flux", flux_with_adapter), ("SD3", sd3_with_adapter)]
)
def test_texts_beside_an_image_adapter(name, maker):
    """The reference leaves out the adapter's own attention calls, whose keys are those of its image."""
    case, (pipe, options) = CASE_OF[name], maker()
    watch = CallsWithin(pipe.transformer, r"(single_)?transformer_blocks\.\d+\.attn")
    untraced = watch.during(lambda: draw(case, [CAT], pipe=pipe, **options))
    assert not torch.equal(untraced, draw(case, [CAT], pipe=make(name)))
    with trace(pipe, also=[OWL, CAT], outputs=True) as recording:
        assert torch.equal(draw(case, [CAT], pipe=pipe, **options), untraced)
    (maps,), (same,), (other,) = (recording.heat_maps(of=of) for of in (None, CAT, OWL))
    np.testing.assert_allclose(same.data, maps.data, atol=1e-6)
    assert np.abs(other[1].values - maps[1].values).max() > 1e-4
    close(recording.output_maps(of=CAT)[0].data, recording.output_maps()[0].data)
    n_pixels, shares = maps.grid[0] * maps.grid[1], []
    for number, calls in enumerate(watch.steps):
        rows = conditional(case, number, len(calls[0].query), 1)
        for call in calls if rows is not None else ():
            if call.query.shape[2] == call.key.shape[2]:
                pixels, text = case.where(call.query.shape[2], n_pixels)
                whole = call.shares()[rows][0]
                shares.append(whole[pixels : pixels + n_pixels, text:][:, keys_of(case, maps)])
    expected = torch.stack(shares).mean(dim=0).T.reshape(maps.data.shape)
    np.testing.assert_allclose(maps.data, expected, atol=1e-6)
