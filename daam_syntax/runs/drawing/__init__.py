"""Drawing the shards of a run, in this process or on the workers of a cluster.

Imports ``drawing``, ``runs.store`` and the modules that ``runs.store`` imports.
"""
