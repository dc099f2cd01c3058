"""Blocks of Flux, Chroma, and Flux 2, with a concept in place of the prompt."""

from __future__ import annotations

import torch

from helpers.joint_blocks.arithmetic import (
    OF_PIXELS,
    OF_TEXT,
    attend,
    chunks,
    feed_forward,
    gelu,
    heads,
    joined,
    layer_norm,
    linear,
    projected,
    rms_norm,
    shifted,
    silu,
    turned_by,
)


def flux(block, a, text):
    """Flux and Chroma: text first; single blocks project text and pixels with the same weights."""
    attention, rotary, n = block.attn, a["image_rotary_emb"], block.attn.heads
    n_text = text.shape[1]
    both, first = slice(0, n_text), slice(n_text, None)
    temb = a["temb"]
    is_single = not hasattr(block, "norm1_context")
    whole = a["hidden_states"]
    if is_single:
        if a.get("encoder_hidden_states") is None:
            whole = whole[:, n_text:]
        given = temb if temb.ndim == 3 else linear(block.norm.linear, silu(temb))
        shift, scale, gate = _modulations(given, 3)
        own = shifted(layer_norm(text), shift, scale)
        shares, out = attend(
            turned_by(projected(attention, own, *OF_PIXELS, n), rotary, both),
            turned_by(
                projected(attention, shifted(layer_norm(whole), shift, scale), *OF_PIXELS, n),
                rotary,
                first,
            ),
            a["marks"],
        )
        inner = gelu(linear(block.proj_mlp, own))
        return (
            text + gate * linear(block.proj_out, torch.cat([joined(out), inner], -1)),
            shares,
            out,
        )
    if temb.ndim == 3:
        of_image, of_text = temb[:, :6], temb[:, 6:]
    else:
        of_image, of_text = (
            linear(norm.linear, silu(temb)) for norm in (block.norm1, block.norm1_context)
        )
    shift, scale = _modulations(of_image, 6)[:2]
    pixels = shifted(layer_norm(whole), shift, scale)
    shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = _modulations(of_text, 6)
    own = shifted(layer_norm(text), shift, scale)
    shares, out = attend(
        turned_by(projected(attention, own, *OF_TEXT, n), rotary, both),
        turned_by(projected(attention, pixels, *OF_PIXELS, n), rotary, first),
        a["marks"],
    )
    text = text + gate * linear(attention.to_add_out, joined(out))
    inner = shifted(layer_norm(text), mlp_shift, mlp_scale)
    return text + mlp_gate * feed_forward(block.ff_context, inner), shares, out


def _modulations(x, n):
    """Split modulations that are given in one vector, or each in its own, *shape* ``(row, n, feature)``."""
    return [x[:, i : i + 1] for i in range(n)] if x.ndim == 3 else chunks(x, n)


def _swiglu(x):
    first, second = x.chunk(2, dim=-1)
    return silu(first) * second


def flux_2(block, a, text):
    attention, rotary, n, n_text = (
        block.attn,
        a["image_rotary_emb"],
        block.attn.heads,
        text.shape[1],
    )
    both, first = slice(0, n_text), slice(n_text, None)
    if a.get("encoder_hidden_states") is None:
        shift, scale, gate = chunks(a["temb_mod"], 3)

        def parts(x, places):
            whole = linear(attention.to_qkv_mlp_proj, shifted(layer_norm(x), shift, scale))
            size = attention.inner_dim
            query, key, value = (heads(each, n) for each in whole[..., : 3 * size].chunk(3, dim=-1))
            query, key = rms_norm(attention.norm_q, query), rms_norm(attention.norm_k, key)
            return turned_by((query, key, value), rotary, places), whole[..., 3 * size :]

        own, inner = parts(text, both)
        shares, out = attend(own, parts(a["hidden_states"][:, n_text:], first)[0])
        whole = torch.cat([joined(out), _swiglu(inner)], dim=-1)
        return text + gate * linear(attention.to_out, whole), shares, out
    shift, scale = chunks(a["temb_mod_img"], 6)[:2]
    pixels = shifted(layer_norm(a["hidden_states"]), shift, scale)
    shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = chunks(a["temb_mod_txt"], 6)
    own = shifted(layer_norm(text), shift, scale)
    shares, out = attend(
        turned_by(projected(attention, own, *OF_TEXT, n), rotary, both),
        turned_by(projected(attention, pixels, *OF_PIXELS, n), rotary, first),
    )
    text = text + gate * linear(attention.to_add_out, joined(out))
    inner = _swiglu(
        linear(block.ff_context.linear_in, shifted(layer_norm(text), mlp_shift, mlp_scale))
    )
    return text + mlp_gate * linear(block.ff_context.linear_out, inner), shares, out
