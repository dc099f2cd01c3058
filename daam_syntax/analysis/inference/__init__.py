"""Estimates of means and differences, their balance, and power, with prompts as the sample.

Functions take and return tables; ``sample`` checks the rows of a pair table. May import ``analysis.statistics``,
``analysis.checks``, ``analysis.formatting`` and ``maps``.
"""
