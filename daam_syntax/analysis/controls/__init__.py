"""Pairs that dependency pairs are compared with, and matching of the two.

Imports ``analysis.tables`` and ``analysis.inference``.
"""
