"""Figures of heat maps over images.

May import ``figures.shared`` and ``figures.trees``, and ``language`` and ``maps`` below them.
"""
