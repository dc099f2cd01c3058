"""What the studies share: their design, setup, findings, result, plots, and rewritten prompts.

It imports no study, and nothing from `daam_syntax.studies` outside this folder.
"""
