"""The self-attention and the states of text encoders, while a pipeline encodes its prompts.

May import ``texts``, ``families``, ``hooks`` and ``softmax``. `encoder_recorder` is what traces use, and
`encoder_states` what edits of states use.
"""
