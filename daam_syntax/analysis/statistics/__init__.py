"""Tests, intervals, and errors as pure functions of arrays; the sample is made in ``analysis.inference``."""
