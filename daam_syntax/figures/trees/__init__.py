"""Figures of dependency trees.

May import ``figures.shared``, and ``language`` and ``maps`` below it.
"""
