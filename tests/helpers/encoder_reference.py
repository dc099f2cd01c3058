"""Independent attention of text encoders in 64 bits, and attention between words pair by pair."""

from __future__ import annotations

import copy
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn


def sharpened(model: nn.Module) -> nn.Module:
    """Make the attention of a random encoder differ from uniform, as in trained ones."""
    names = ("q_proj", "k_proj", ".q.", ".k.", "self.query", "self.key")
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("weight") and any(part in f"{name}." for part in names):
                weight *= 6
    return model


@contextmanager
def seen_inputs(model: nn.Module):
    """Collect the keyword arguments and outputs of a model's calls."""
    names = ["input_ids", "attention_mask"]
    calls: list[dict] = []

    def hook(module, args, kwargs, output):
        given = dict(zip(names, args, strict=False)) | kwargs
        calls.append({name: given[name] for name in names if given.get(name) is not None})
        calls[-1]["output"] = output[0].detach().clone()

    handle = model.register_forward_hook(hook, with_kwargs=True)
    try:
        yield calls
    finally:
        handle.remove()


def eager_attention(model: nn.Module, call: dict, dtype: torch.dtype = torch.float64) -> np.ndarray:
    """Return the attention that transformers itself computes, *shape* ``(row, layer, head, query, key)``."""
    reference = copy.deepcopy(model).to(dtype)
    reference.set_attn_implementation("eager")
    inputs = {name: value for name, value in call.items() if name != "output"}
    with torch.no_grad():
        found = reference(**inputs, output_attentions=True, return_dict=True).attentions
    return torch.stack(list(found), dim=1).double().numpy()


def projected_attention(model, call, *, query, key, n_heads, scale, bias=0.0, causal=False):
    """Return the softmax of the projections of each layer, *shape* ``(row, layer, head, query, key)``.

    `query` and `key` are the last names of the projections' paths.
    """
    seen: dict[str, list[torch.Tensor]] = {query: [], key: []}
    handles = [
        module.register_forward_hook(lambda m, args, out, name=name: seen[name].append(out))
        for path, module in model.named_modules()
        for name in (query, key)
        if path.rpartition(".")[2] == name
    ]
    with torch.no_grad():
        model(**{name: value for name, value in call.items() if name != "output"})
    for handle in handles:
        handle.remove()
    layers = []
    for queries, keys in zip(seen[query], seen[key], strict=True):
        rows, length, width = queries.shape
        mask = call.get("attention_mask", torch.ones(rows, length)).numpy()
        weights = np.zeros((rows, n_heads, length, length))
        size = width // n_heads
        for row in range(rows):
            for head in range(n_heads):
                part = slice(head * size, (head + 1) * size)
                q = queries[row, :, part].double().numpy()
                k = keys[row, :, part].double().numpy()
                logits = q @ k.T * scale + (bias if np.isscalar(bias) else bias[head])
                logits[:, mask[row] == 0] = -np.inf
                if causal:
                    logits[np.triu_indices(length, 1)] = -np.inf
                exp = np.exp(logits - logits.max(axis=1, keepdims=True))
                weights[row, head] = exp / exp.sum(axis=1, keepdims=True)
        layers.append(weights)
    return np.stack(layers, axis=1)


def between_by_hand(weights, members):
    """Average over the queries of each entry and sum over its keys, one pair at a time.

    `members` has, for each entry, a mapping from positions to the share of the key that is the entry's.
    """
    result = np.zeros((*weights.shape[:-2], len(members), len(members)))
    for row, queries in enumerate(members):
        for column, keys in enumerate(members):
            part = weights[..., list(queries), :][..., list(keys)] * np.array(list(keys.values()))
            result[..., row, column] = part.sum(axis=-1).mean(axis=-1)
    return result


def members_by_hand(sentence, spans, kinds, length):
    """Return the positions of each word, and of each kind of special token, from character spans by position."""
    text = [position for position in range(length) if kinds.get(position, "padding") == "text"]
    owners = {
        position: [
            token.index
            for token in sentence.tokens
            if spans[position][0] < token.end and spans[position][1] > token.start
        ]
        for position in text
    }
    members = [
        {p: 1 / len(own) for p, own in owners.items() if token.index in own}
        for token in sentence.tokens
    ]
    stray = {p: 1.0 for p, own in owners.items() if not own}
    if stray:
        members.append(stray)
    for kind in ("start", "end", "template", "padding"):
        own = [p for p in range(length) if kinds.get(p, "padding") == kind]
        if own:
            members.append(dict.fromkeys(own, 1.0))
    return members
