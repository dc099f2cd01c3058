"""Dependency syntax and cross-attention heat maps of text-to-image diffusion models.

The names below load their rooms when they are first used, so that importing the package is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from daam_syntax import figures as figures
    from daam_syntax.analysis import Estimate as Estimate
    from daam_syntax.analysis import binding_table as binding_table
    from daam_syntax.analysis import estimate_difference as estimate_difference
    from daam_syntax.analysis import estimate_mean as estimate_mean
    from daam_syntax.analysis import measure_pairs as measure_pairs
    from daam_syntax.analysis import regress as regress
    from daam_syntax.analysis import summarize as summarize
    from daam_syntax.analysis import word_table as word_table
    from daam_syntax.analysis import write_table as write_table
    from daam_syntax.attention import Edit as Edit
    from daam_syntax.attention import intervene as intervene
    from daam_syntax.attention import overflow as overflow
    from daam_syntax.attention import predict_memory as predict_memory
    from daam_syntax.attention import record_attention as record_attention
    from daam_syntax.attention import reuse_attention as reuse_attention
    from daam_syntax.attention import trace as trace
    from daam_syntax.attention import trace_image as trace_image
    from daam_syntax.attention import trace_images as trace_images
    from daam_syntax.errors import DaamSyntaxError as DaamSyntaxError
    from daam_syntax.explorer import explore as explore
    from daam_syntax.language import PromptSet as PromptSet
    from daam_syntax.language import Sentence as Sentence
    from daam_syntax.language import compare_parses as compare_parses
    from daam_syntax.language import parse as parse
    from daam_syntax.language import prompts as prompts
    from daam_syntax.loading import load_pipeline as load_pipeline
    from daam_syntax.maps import HeatMap as HeatMap
    from daam_syntax.maps import HeatMaps as HeatMaps
    from daam_syntax.maps import MapWeights as MapWeights
    from daam_syntax.maps import learn_weights as learn_weights
    from daam_syntax.maps import mask_iou as mask_iou
    from daam_syntax.workflow import analyze as analyze

_HOMES = {
    "DaamSyntaxError": "errors",
    "Estimate": "analysis",
    "Edit": "attention",
    "HeatMap": "maps",
    "HeatMaps": "maps",
    "MapWeights": "maps",
    "PromptSet": "language",
    "Sentence": "language",
    "analyze": "workflow",
    "binding_table": "analysis",
    "estimate_difference": "analysis",
    "estimate_mean": "analysis",
    "explore": "explorer",
    "compare_parses": "language",
    "intervene": "attention",
    "learn_weights": "maps",
    "load_pipeline": "loading",
    "mask_iou": "maps",
    "measure_pairs": "analysis",
    "overflow": "attention",
    "parse": "language",
    "predict_memory": "attention",
    "prompts": "language",
    "regress": "analysis",
    "record_attention": "attention",
    "reuse_attention": "attention",
    "summarize": "analysis",
    "trace": "attention",
    "trace_image": "attention",
    "trace_images": "attention",
    "word_table": "analysis",
    "write_table": "analysis",
}
_ROOMS = ("figures",)

__all__ = ["__version__", *sorted(_HOMES), *_ROOMS]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"daam_syntax.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(f"daam_syntax.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'daam_syntax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
