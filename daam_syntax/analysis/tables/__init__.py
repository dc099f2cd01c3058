"""Tidy tables of pairs, words, and modifiers with their nouns.

Imports ``maps`` and ``language``.
"""
