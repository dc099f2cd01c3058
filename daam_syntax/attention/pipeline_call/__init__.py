"""One pipeline call: its prompts, batch rows, memory and provenance.

The order of the modules, from the lowest: `memory`, `provenance` and `timesteps`; `refusals`; `call`, which holds the
state of a pipeline call; `word_keys`, `rows`, `recording_spec` and `other_texts`; `image_guidance`; `prompt_encoding`.
This package may import ``texts``, ``families``, ``hooks`` and ``softmax``.
"""
