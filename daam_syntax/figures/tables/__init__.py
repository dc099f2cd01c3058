"""Figures of tables: forests, profiles, scatter plots.

Imports the shared modules of ``figures``.
"""
