"""One call of a pipeline while it draws: its text, rows, grid and memory; observers that record it or change it.

Imports ``families``, ``hooks`` and ``softmax``.
"""
