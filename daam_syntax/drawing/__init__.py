"""TracedImage prompts under a trace, with one seeded generator per image.

Imports ``pipelines`` and ``attention``; writes no files.
"""
