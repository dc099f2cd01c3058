"""Edits that an intervention makes: of attention weights, and of the states of the text.

`attention_edit` and `state_edit` describe them; `state_editor` makes those of states, with `positions` (which tokens
are a word), `state_sources` (where new states come from) and `encoder_layers` (changes inside an encoder). May import
``observers``, ``text_encoders``, ``pipeline_call``, ``families``, ``hooks``, ``texts`` and ``softmax``.
"""
