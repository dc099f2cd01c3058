"""Files of a run: folder, shards, checksums, tables, stored maps.

Draws nothing and loads no model.
"""
