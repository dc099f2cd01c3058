"""Control pairs match head-dependent pairs in everything except the property under test.

Each control rules out another explanation of why heads and dependents overlap; `kinds` lists them. `borrowed_maps` is
shared by controls that replace the map of a word, and `tree_distance` estimates by distance. Unrelated pairs are made
in ``analysis.tables.pairs``. May import ``analysis.tables`` and ``analysis.inference``.
"""
