"""Estimates, tests, regressions and power with prompts as the sample.

Takes tables and gives tables; imports no other part of ``analysis``.
"""
