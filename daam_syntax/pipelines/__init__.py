"""Diffusers pipelines as this package uses them: loading, drawing settings, and the identity of a model.

Imports ``emoji`` (for the embedded model), ``util`` and ``errors``.
"""

from daam_syntax.pipelines.loading import load_pipeline

__all__ = ["load_pipeline"]
