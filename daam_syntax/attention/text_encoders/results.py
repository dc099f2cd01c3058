"""Recorded attention of text encoders as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr

from daam_syntax.attention.text_encoders.components import EncoderParts
from daam_syntax.attention.text_encoders.encoder_recorder import RecordedText
from daam_syntax.language import Sentence
from daam_syntax.maps.kept_maps import AXES
from daam_syntax.maps.word_attention.values import WordAttention
from daam_syntax.pipelines.identity import library_versions


def recorded_attention(
    parts: EncoderParts,
    text: RecordedText,
    keep: Sequence[str],
    sentence: Sentence,
    provenance: Mapping[str, Any],
) -> WordAttention:
    """Return the recorded attention of one encoder to one prompt.

    Parameters
    ----------
    parts
        The encoder.
    text
        The recording.
    keep
        The axes that were kept.
    sentence
        The prompt's parse.
    provenance
        What is known of the model.
    """
    axes = [axis for axis in AXES if axis in keep and axis != "step"]
    coordinates = {"layer": text.layers} if "layer" in axes else {}
    return WordAttention(
        xr.DataArray(text.values(axes), dims=[*axes, "query", "key"], coords=coordinates),
        text.groups,
        sentence,
        relation="encoder",
        encoder=parts.name,
        causal=not text.looks_forward,
        truncated_at=text.truncated_at,
        provenance={
            **provenance,
            "encoder_class": type(parts.model).__name__,
            "dtype": str(parts.model.dtype).removeprefix("torch."),
            "layers": len(text.layers),
            "keep": axes,
            "parser": sentence.parser,
            "versions": library_versions(),
        },
    )
