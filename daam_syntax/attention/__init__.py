"""The attention from pixels to words in text-to-image pipelines: tracing it, observing it, and intervening on it.

The modules here are what a user calls; `recording` makes heat maps of a pipeline call, `pipeline_call` follows it,
`families` describes models, `hooks` intercepts attention calls, and `softmax` computes with them. This package may
import `language`, `maps`, `pipelines` and `util`; within it, imports run in this order.
"""

from daam_syntax.attention.edits.attention_edit import Edit
from daam_syntax.attention.edits.state_edit import StateEdit
from daam_syntax.attention.families import (
    FAMILIES,
    UNET,
    Family,
    TextEncoder,
    family_of,
    register_family,
)
from daam_syntax.attention.given_images import trace_image, trace_images, trace_output_maps
from daam_syntax.attention.intervention import Intervention, intervene
from daam_syntax.attention.memory_prediction import predict_memory
from daam_syntax.attention.observation import Observation, ObservedAttention, observe
from daam_syntax.attention.pipeline_call.memory import Layer, predict_bytes
from daam_syntax.attention.pipeline_call.recording_spec import RecordingSpec
from daam_syntax.attention.prompt_overflow import Overflow, TextLimit, overflow, text_limits
from daam_syntax.attention.prompt_to_prompt import (
    RecordedAttention,
    record_attention,
    reuse_attention,
)
from daam_syntax.attention.text_tracing import trace_encoder, trace_text
from daam_syntax.attention.tracing import Trace, trace
from daam_syntax.maps.selection import LayerSelection

__all__ = [
    "FAMILIES",
    "UNET",
    "Edit",
    "Family",
    "Intervention",
    "Layer",
    "LayerSelection",
    "Observation",
    "ObservedAttention",
    "Overflow",
    "RecordedAttention",
    "RecordingSpec",
    "StateEdit",
    "TextEncoder",
    "TextLimit",
    "Trace",
    "family_of",
    "intervene",
    "observe",
    "overflow",
    "predict_bytes",
    "predict_memory",
    "record_attention",
    "register_family",
    "reuse_attention",
    "text_limits",
    "trace",
    "trace_encoder",
    "trace_image",
    "trace_images",
    "trace_output_maps",
    "trace_text",
]


def __dir__() -> list[str]:
    """Return the public names, so that completion offers no module beside the functions that it holds."""
    return __all__
