"""Reading which pixels of a picture attended to which word of its prompt."""

from daam_syntax.attention.accumulate import LayerSelection
from daam_syntax.attention.families import (
    FAMILIES,
    UNET,
    Family,
    TextEncoder,
    family_of,
    register_family,
)
from daam_syntax.attention.images import trace_image, trace_images
from daam_syntax.attention.tracing import Trace, trace

__all__ = [
    "FAMILIES",
    "UNET",
    "Family",
    "LayerSelection",
    "TextEncoder",
    "Trace",
    "family_of",
    "register_family",
    "trace",
    "trace_image",
    "trace_images",
]
