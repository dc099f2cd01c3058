"""The files of a run: folder, shards, checksums, tables, stored maps, and the reader of all of them.

Draws nothing and loads no model. Imports ``runs.problems``, ``runs.run_settings``, ``analysis`` and the rooms below.
"""
