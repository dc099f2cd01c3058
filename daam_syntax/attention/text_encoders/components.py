"""The text encoders of a pipeline, each with its tokenizer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from torch import nn

from daam_syntax.attention.families import Family, TextEncoder
from daam_syntax.attention.families.description import plain_tokenizer, uncompiled
from daam_syntax.errors import TraceError

_ENCODER: Final = "text_encoder"


@dataclass(frozen=True, eq=False)
class EncoderParts:
    """A text encoder and its tokenizer.

    Attributes
    ----------
    name
        Name of the pipeline's attribute that holds the encoder, such as "text_encoder_2".
    model
        The encoder.
    tokenizer
        Its tokenizer.
    has_template
        Whether the pipeline writes other text around the prompt.
    """

    name: str
    model: nn.Module
    tokenizer: Any
    has_template: bool = False


def encoders_of(
    pipe: Any, family: Family, names: Iterable[str] | str | None = None
) -> list[EncoderParts]:
    """Return the text encoders of a pipeline, also those whose tokens are not keys of the denoiser.

    Parameters
    ----------
    pipe, family
        The pipeline and its family.
    names
        Names of the encoders, such as "text_encoder"; None for all.

    Raises
    ------
    TraceError
        If the pipeline has no such encoder, or none with a tokenizer.
    """
    found = {}
    for name in sorted(name for name in pipe.components if name.startswith(_ENCODER)):
        model = uncompiled(getattr(pipe, name, None))
        tokenizer = _tokenizer_of(pipe, family, name)
        if isinstance(model, nn.Module) and tokenizer is not None:
            has_template = any(encoder.has_template for encoder in family.encoders)
            found[name] = EncoderParts(name, model, tokenizer, has_template)
    wanted = list(found) if names is None else [names] if isinstance(names, str) else list(names)
    unknown = [name for name in wanted if name not in found]
    if unknown or not found:
        having = ", ".join(found) or "none"
        raise TraceError(
            f"Expected text encoders of {type(pipe).__name__} with their tokenizers ({having}), but got "
            f"{', '.join(map(repr, unknown)) or 'a pipeline without one'}: name one that it has, or load the pipeline "
            "with its text encoders."
        )
    return [found[name] for name in wanted]


def components_of(pipe: Any, encoder: TextEncoder) -> list[str]:
    """Return the names of the pipeline's text encoders that make the vectors of an encoder of its family.

    Their vectors stand one after the other along the features.
    """
    names = [_component(name) for name in encoder.tokenizers]
    return [name for name in dict.fromkeys(names) if getattr(pipe, name, None) is not None]


def features_of(pipe: Any, encoder: TextEncoder, n_features: int) -> dict[str, slice]:
    """Return which features of an encoder's vectors each of the pipeline's text encoders makes.

    Parameters
    ----------
    pipe
        The pipeline.
    encoder
        One of its family's encoders.
    n_features
        Number of features of the vectors, which may be filled up at the end.

    Raises
    ------
    TraceError
        If the vectors have fewer features than the text encoders.
    """
    features, start = {}, 0
    for name in components_of(pipe, encoder):
        width = int(uncompiled(getattr(pipe, name)).config.hidden_size)
        features[name] = slice(start, start + width)
        start += width
    if start > n_features:
        raise TraceError(
            f"Expected vectors with the features of {' and '.join(features)} one after the other ({start}), but they "
            f"have {n_features}: which text encoder makes which is unknown. Edit those of all, without encoders=..."
        )
    return features


def _component(tokenizer: str) -> str:
    """Return the name of the text encoder that reads the tokens of a tokenizer or a processor."""
    _, _, number = tokenizer.partition("_")
    return f"{_ENCODER}_{number}" if number else _ENCODER


def _tokenizer_of(pipe: Any, family: Family, name: str) -> Any | None:
    suffix = name.removeprefix(_ENCODER)
    if not suffix:
        for encoder in family.encoders:
            # A family may name a processor first, which has a tokenizer of its own.
            if any(each in ("tokenizer", "processor") for each in encoder.tokenizers):
                return encoder.tokenizer_of(pipe)
    tokenizer = getattr(pipe, f"tokenizer{suffix}", None)
    return plain_tokenizer(tokenizer)
