"""Exact attention probabilities from queries and keys, their running sums, refinement, and edited weights.

Independent of pipelines and hooks. Imports ``maps`` and ``errors``.
"""
