"""Exchange of partners: what a head and its dependent would share if they were not related.

``matrices`` arranges the rows of a pair table as matrices over the words of each image, ``quadruples`` finds words
that can trade places, and ``contrasts`` compares every pair with its exchanged pairs. Works on tables alone. May import
``maps.measures`` and ``analysis.checks``.
"""
