"""TracedImage a run: preparing prompts, drawing shards, workers on a cluster.

Imports ``runs.store`` and ``drawing``.
"""
