"""Reading which pixels of a picture attend to which word of its prompt, and intervening on it."""

from daam_syntax.attention.families import (
    FAMILIES,
    UNET,
    Family,
    TextEncoder,
    family_of,
    register_family,
)
from daam_syntax.attention.given_images import trace_image, trace_images
from daam_syntax.attention.intervention import Edit, Intervention, intervene
from daam_syntax.attention.memory_prediction import predict_memory
from daam_syntax.attention.pipeline_call.memory import Layer, predicted_bytes
from daam_syntax.attention.prompt_to_prompt import (
    RecordedAttention,
    record_attention,
    reuse_attention,
)
from daam_syntax.attention.softmax.layer_sums import LayerSelection
from daam_syntax.attention.text_limits import Overflow, TextLimit, overflow, text_limits
from daam_syntax.attention.tracing import Trace, trace

__all__ = [
    "FAMILIES",
    "UNET",
    "Edit",
    "Family",
    "Intervention",
    "Layer",
    "LayerSelection",
    "Overflow",
    "RecordedAttention",
    "TextEncoder",
    "TextLimit",
    "Trace",
    "family_of",
    "intervene",
    "overflow",
    "predict_memory",
    "predicted_bytes",
    "record_attention",
    "register_family",
    "reuse_attention",
    "text_limits",
    "trace",
    "trace_image",
    "trace_images",
]
