"""Figures of heat maps over images.

Imports the shared modules of ``figures`` and ``figures.trees``.
"""
