"""Tidy tables of pairs, words, modifiers with their nouns, and shares of attention.

A table is measured batch by batch (`image_batches`). May import ``maps`` and ``language``.
"""
