"""Reading which pixels of a picture attended to which word of its prompt."""

from daam_syntax.attention.accumulate import LayerSelection
from daam_syntax.attention.families import FAMILIES, UNET, Family, family_of
from daam_syntax.attention.images import trace_image, trace_images
from daam_syntax.attention.tracing import Trace, trace

__all__ = [
    "FAMILIES",
    "UNET",
    "Family",
    "LayerSelection",
    "Trace",
    "family_of",
    "trace",
    "trace_image",
    "trace_images",
]
