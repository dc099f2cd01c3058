"""Exact attention probabilities from queries and keys, their sums, and edited weights.

Knows tensors, not pipelines.
"""
