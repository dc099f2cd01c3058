"""Estimates, tests, regressions and power, with prompts as the sample.

Functions take and return tables. Below them, ``resampling``, ``effects`` and ``multiplicity`` work on arrays, and
``sample`` checks the rows of a pair table. May import ``analysis.checks``, ``analysis.formatting`` and ``maps``, and no
other part of ``analysis``.
"""
