"""The heat maps of videos, and their files.

May import everything of ``maps`` except ``weight_learning``.
"""
