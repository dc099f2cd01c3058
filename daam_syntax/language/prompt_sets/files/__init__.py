"""Reading prompt files: formats, importers of benchmarks, tables, and collecting their rows.

Imports rows and problems of ``prompt_sets``, never `PromptSet`.
"""
