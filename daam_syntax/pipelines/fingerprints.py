"""A checksum of what decides the images of a pipeline: weights, buffers, settings, tokenizers, scheduler."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline

_CHUNK: Final = 2**24  # bytes that are copied from a GPU at a time
_SCHEDULER_TENSORS: Final = ("betas", "alphas", "alphas_cumprod")
"""Tensors of a scheduler that are fixed; its others change while it draws."""
_NOT_SETTINGS: Final = ("transformers_version", "dtype", "torch_dtype", "architectures")


def fingerprint(pipe: DiffusionPipeline) -> str:
    """Return a checksum of a pipeline, 16 hexadecimal digits, the same on every device.

    Every number of every weight and buffer counts, with its name, shape, and dtype; so do the settings of the pipeline,
    its models and its scheduler (such as the activation function or the scaling factor of the decoder), the
    vocabularies and rules of the tokenizers, and the scales of adapters.
    """
    own = {name: value for name, value in pipe.config.items() if name not in pipe.components}
    digest = hashlib.sha256(_settings(own).encode())
    for name, component in sorted(pipe.components.items()):
        for part in _parts(component):
            digest.update(f"{name} {part}\n".encode())
    return digest.hexdigest()[:16]


def _parts(component: Any) -> Iterator[str]:
    import torch

    if isinstance(component, torch.nn.Module):
        yield from _tensors(component)
        yield _settings(_config(component))
        yield from _adapter_scales(component)
    elif hasattr(component, "get_vocab"):
        yield _tokenizer(component)
    elif hasattr(component, "set_timesteps"):
        yield type(component).__name__
        yield _settings(_config(component))
        for name in _SCHEDULER_TENSORS:
            values = getattr(component, name, None)
            if values is not None:
                yield f"{name} {_checksum(torch.as_tensor(values))}"


def _tensors(module: Any) -> Iterator[str]:
    """Yield a line for each parameter and each buffer, also those that are not saved with the model."""
    import torch

    for name, tensor in sorted({**dict(module.named_buffers()), **module.state_dict()}.items()):
        if not isinstance(tensor, torch.Tensor):  # settings of quantized layers
            yield f"{name} {tensor!r}"
            continue
        if tensor.is_meta:
            tensor = _offloaded(module, name)
        sums = "" if tensor.is_meta else _checksum(tensor)
        yield f"{name} {tuple(tensor.shape)} {tensor.dtype} {sums}"


def _config(component: Any) -> dict[str, Any]:
    """Return the settings of a model or scheduler; those of a model without any are empty."""
    config = getattr(component, "config", {})
    return dict(config.to_diff_dict() if hasattr(config, "to_diff_dict") else config)


def _settings(config: Mapping[str, Any]) -> str:
    """Return settings as text, without names of files, and versions and dtypes with which they were saved."""
    own = {
        str(name): value
        for name, value in config.items()
        if not str(name).startswith("_") and name not in _NOT_SETTINGS
    }
    return json.dumps(own, sort_keys=True, default=str)


def _offloaded(module: Any, name: str) -> torch.Tensor:
    """Return a weight that a hook of accelerate keeps elsewhere until its layer runs."""
    path, _, own = name.rpartition(".")
    owner = module.get_submodule(path)
    for hook in _hooks(getattr(owner, "_hf_hook", None)):
        weights = getattr(hook, "weights_map", None)
        if weights is not None:
            stored: torch.Tensor = weights[own]
            return stored
    weight: torch.Tensor = getattr(owner, own)
    return weight


def _hooks(hook: Any) -> list[Any]:
    return list(getattr(hook, "hooks", (hook,)))


def _adapter_scales(module: Any) -> Iterator[str]:
    for path, layer in module.named_modules():
        scaling = getattr(layer, "scaling", None)
        if isinstance(scaling, dict) and hasattr(layer, "active_adapters"):
            yield f"{path} {sorted(scaling.items())} {list(layer.active_adapters)}"


def _tokenizer(tokenizer: Any) -> str:
    """Return a checksum of a tokenizer's vocabulary, added tokens, and rules."""
    described: dict[str, Any] = {"vocabulary": sorted(tokenizer.get_vocab().items())}
    added = getattr(tokenizer, "added_tokens_decoder", {})
    described["added"] = {str(number): repr(token) for number, token in sorted(added.items())}
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        rules = json.loads(backend.to_str())
        # A call of the tokenizer changes the first two; the vocabulary is listed above.
        for changing in ("padding", "truncation", "added_tokens"):
            rules.pop(changing, None)
        described["rules"] = rules
    text = json.dumps(described, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _checksum(tensor: torch.Tensor) -> str:
    """Return a checksum of all bits of a tensor."""
    import torch

    tensor = tensor.detach()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor)
    digest = hashlib.sha256()
    for chunk in torch.split(tensor.contiguous().flatten().view(torch.uint8), _CHUNK):
        digest.update(chunk.cpu().numpy().data)
    return digest.hexdigest()
