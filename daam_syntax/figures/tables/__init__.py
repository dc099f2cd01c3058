"""Figures of tables: means with intervals, profiles, and scatter plots.

May import ``figures.shared``, and ``analysis`` and everything below it.
"""
