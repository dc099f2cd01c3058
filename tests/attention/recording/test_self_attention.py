"""Self-attention that cannot be used to refine maps is refused."""

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor

from daam_syntax.attention import trace
from daam_syntax.errors import TraceError
from helpers.tiny_pipelines import make_sd
from helpers.tracing import CAT, draw


def test_text_attention_without_self_attention_is_refused(monkeypatch):
    pipe = make_sd()
    block = pipe.unet.mid_block.attentions[0].transformer_blocks[0]
    with monkeypatch.context() as patch:
        patch.setitem(block._modules, "attn1", torch.nn.Identity())
        with pytest.raises(TraceError, match="UNet family has 6 for 7: trace it without refine"):
            trace(pipe, refine=True)
    # Without a self-attention of a known name, the text attention would have to attend to pixels.
    monkeypatch.setattr("daam_syntax.attention.recording.recorder.self_attentions", lambda *_: {})
    with pytest.raises(TraceError, match="attends to text alone"), trace(pipe, refine=True):
        draw(pipe, CAT)


def test_self_attention_to_something_else_is_refused(sd):
    module = sd.unet.mid_block.attentions[0].transformer_blocks[0].attn1
    forward = module.forward

    def elsewhere(hidden, *args, **kwargs):
        return forward(hidden, encoder_hidden_states=hidden[:, :5])

    module.forward = elsewhere
    try:
        with (
            pytest.raises(TraceError, match=r"mid_block\S*attn1 to attend once"),
            trace(sd, refine=True),
        ):
            draw(sd, CAT)
    finally:
        module.forward = forward


def test_an_unobserved_self_attention_is_refused(sd):
    module = sd.unet.mid_block.attentions[0].transformer_blocks[0].attn1
    processor = module.processor
    module.set_processor(AttnProcessor())
    try:
        with (
            pytest.raises(TraceError, match=r"attn1 to attend to all pixels, but .*classic"),
            trace(sd, refine=True),
        ):
            draw(sd, CAT)
    finally:
        module.set_processor(processor)
