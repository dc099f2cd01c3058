"""What the studies share: design, setup, findings, result, plots, rewritten prompts, and parts of tables.

It imports no study, and nothing from `daam_syntax.studies` outside this folder.
"""
