"""The tables of a run: their schemas, their files, summaries of many shards, and the prompts' own columns."""
