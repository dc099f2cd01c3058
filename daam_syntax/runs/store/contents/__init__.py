"""Checks that the rows of a shard are those of its plan, its settings, and its prompts, with possible values."""
