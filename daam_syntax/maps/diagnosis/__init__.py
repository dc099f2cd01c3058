"""Faults of heat maps that can be seen in the maps, their words, and their provenance, each with what to try.

`examination` holds what is examined; `shapes` checks the maps of words, and `recording` the words, tokens, steps, and
image; `findings` presents the result. `daam_syntax.maps.HeatMaps.diagnose` is the entry point. May import
``language``, ``maps.measures``, and ``maps.subwords``, but not ``maps.heatmaps``, which uses it.
"""
