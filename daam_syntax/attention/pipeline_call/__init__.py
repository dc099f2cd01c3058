"""One pipeline call: its prompts and tokens, batch rows, grids, memory and provenance, and what observes it.

The order of the modules, from the lowest: `token_spans`, `memory`, `provenance`, `refusals` and `sentences`; `call`,
which holds the state of a pipeline call; `word_keys`, `rows`, `recording_spec`, `other_texts` and `self_attention`;
`memory_limit` and `prompt_encoding`; `observer`; `recorder` and `controller`. This package may import ``families``,
``hooks`` and ``softmax``.
"""
