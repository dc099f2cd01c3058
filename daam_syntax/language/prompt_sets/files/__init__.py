"""Reading and writing files of prompts: plain tables, published benchmarks, and how their rows become prompts.

Imports the modules of ``prompt_sets`` for one row or one text (rows, problems, articles), never `PromptSet`.
"""
