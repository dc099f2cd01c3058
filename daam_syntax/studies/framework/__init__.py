"""What studies share: design, setup, findings, results, plots, rewritten prompts.

Imports no study.
"""
