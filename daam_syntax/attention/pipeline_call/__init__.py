"""One pipeline call: its prompts and tokens, batch rows, grids, memory and provenance, and what observes it.

The order of the modules, from the lowest: `token_spans`, `memory`, `provenance` and `sentences`; `refusals`; `call`,
which holds the state of a pipeline call; `word_keys`, `rows`, `recording_spec` and `other_texts`; `prompt_encoding`;
`observer`; `controller`. This package may import ``families``, ``hooks`` and ``softmax``.
"""
