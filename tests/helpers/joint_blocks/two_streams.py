"""Blocks of SD3, AuraFlow, Qwen-Image, CogView4, and CogVideoX, with a concept in place of the prompt."""

from __future__ import annotations

import torch

from helpers.joint_blocks.arithmetic import (
    OF_PIXELS,
    OF_TEXT,
    attend,
    chunks,
    feed_forward,
    frequencies,
    heads,
    joined,
    layer_norm,
    linear,
    projected,
    shifted,
    silu,
    turned,
    turned_by,
    unit,
)


def sd3(block, a, text):
    condition = silu(a["temb"])
    own = linear(block.norm1.linear, condition)
    shift, scale = chunks(own, own.shape[-1] // a["hidden_states"].shape[-1])[:2]
    pixels = shifted(layer_norm(a["hidden_states"]), shift, scale)
    given = linear(block.norm1_context.linear, condition)
    if block.context_pre_only:
        text_scale, text_shift = chunks(given, 2)
    else:
        text_shift, text_scale, gate, mlp_shift, mlp_scale, mlp_gate = chunks(given, 6)
    n = block.attn.heads
    shares, out = attend(
        projected(block.attn, shifted(layer_norm(text), text_shift, text_scale), *OF_TEXT, n),
        projected(block.attn, pixels, *OF_PIXELS, n),
    )
    if block.context_pre_only:
        return None, shares, out
    text = text + gate * linear(block.attn.to_add_out, joined(out))
    inner = shifted(layer_norm(text), mlp_shift, mlp_scale)
    return text + mlp_gate * feed_forward(block.ff_context, inner), shares, out


def _aura_forward(module, x):
    return linear(
        module.out_projection, silu(linear(module.linear_1, x)) * linear(module.linear_2, x)
    )


def aura_flow(block, a, text):
    condition, attention, n_text = silu(a["temb"]), block.attn, text.shape[1]
    if "encoder_hidden_states" in a:
        shift, scale = chunks(linear(block.norm1.linear, condition), 6)[:2]
        pixels = shifted(layer_norm(a["hidden_states"], 1e-5), shift, scale)
        modulation, ff = linear(block.norm1_context.linear, condition), block.ff_context
        names, out_of = OF_TEXT, attention.to_add_out
    else:
        modulation, ff = linear(block.norm1.linear, condition), block.ff
        shift, scale = chunks(modulation, 6)[:2]
        image = a["hidden_states"][:, a["n_text"] :]
        pixels = shifted(layer_norm(image, 1e-5), shift, scale)
        names, out_of = OF_PIXELS, attention.to_out[0]
    shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = chunks(modulation, 6)
    own = shifted(layer_norm(text, 1e-5), shift, scale)
    n = attention.heads
    shares, out = attend(
        projected(attention, own, *names, n), projected(attention, pixels, *OF_PIXELS, n)
    )
    inner = layer_norm(text + gate * linear(out_of, joined(out)), 1e-5)
    text = text + mlp_gate * _aura_forward(ff, shifted(inner, mlp_shift, mlp_scale))
    assert text.shape[1] == n_text
    return text, shares, out


def qwen_image(block, a, text):
    n, n_text = block.attn.heads, text.shape[1]
    condition = silu(a["temb"])
    shift, scale = chunks(linear(block.img_mod[1], condition), 6)[:2]
    pixels = shifted(layer_norm(a["hidden_states"]), shift, scale)
    modulation = linear(block.txt_mod[1], condition)
    shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = chunks(modulation, 6)
    own = shifted(layer_norm(text), shift, scale)
    # Text stands on the diagonal, after half of the image's longer side.
    places = max(a["grid"]) // 2 + torch.arange(n_text, dtype=torch.float64)
    of_text = unit(torch.cat([torch.outer(places, frequencies(d, 10000)) for d in a["axes"]], -1))
    of_pixels = a["image_rotary_emb"][0].to(torch.complex128)
    tq, tk, tv = projected(block.attn, own, *OF_TEXT, n)
    pq, pk, pv = projected(block.attn, pixels, *OF_PIXELS, n)
    shares, out = attend(
        (turned(tq, of_text), turned(tk, of_text), tv),
        (turned(pq, of_pixels), turned(pk, of_pixels), pv),
    )
    text = text + gate * linear(block.attn.to_add_out, joined(out))
    inner = shifted(layer_norm(text), mlp_shift, mlp_scale)
    return text + mlp_gate * feed_forward(block.txt_mlp, inner), shares, out


def _turned_halves(x, rotary):
    cosine, sine = (each.double() for each in rotary)
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat([-second, first], dim=-1) * sine


def cogview_4(block, a, text):
    parts = chunks(linear(block.norm1.linear, a["temb"]), 12)
    of_pixels, of_text = parts[::2], parts[1::2]
    pixels = shifted(layer_norm(a["hidden_states"], 1e-5), of_pixels[0], of_pixels[1])
    shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = of_text
    own, n = shifted(layer_norm(text, 1e-5), shift, scale), block.attn1.heads
    pq, pk, pv = projected(block.attn1, pixels, *OF_PIXELS, n)
    pq, pk = (_turned_halves(each, a["image_rotary_emb"]) for each in (pq, pk))
    shares, out = attend(projected(block.attn1, own, *OF_PIXELS, n), (pq, pk, pv))
    text = text + linear(block.attn1.to_out[0], joined(out)) * gate
    inner = shifted(layer_norm(text, 1e-5), mlp_shift, mlp_scale)
    return text + feed_forward(block.ff, inner) * mlp_gate, shares, out


def _affine(module, x):
    return layer_norm(x, module.eps) * module.weight.double() + module.bias.double()


def cog_video_x(block, a, text):
    """One set of weights for text and pixels, except for modulation; only pixels have positions."""

    def modulated(norm, x, of_text):
        shift, scale, gate = chunks(linear(norm.linear, silu(a["temb"])), 6)[3 * of_text :][:3]
        return shifted(_affine(norm.norm, x), shift, scale), gate

    def parts(x):
        query, key, value = (
            heads(linear(getattr(block.attn1, name), x), block.attn1.heads) for name in OF_PIXELS[0]
        )
        return _affine(block.attn1.norm_q, query), _affine(block.attn1.norm_k, key), value

    pixels = parts(modulated(block.norm1, a["hidden_states"], False)[0])
    own, gate = modulated(block.norm1, text, True)
    shares, out = attend(parts(own), turned_by(pixels, a["image_rotary_emb"], slice(None)))
    text = text + gate * linear(block.attn1.to_out[0], joined(out))
    inner, gate = modulated(block.norm2, text, True)
    return text + gate * feed_forward(block.ff, inner), shares, out
