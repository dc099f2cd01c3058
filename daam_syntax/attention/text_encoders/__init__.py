"""The self-attention of text encoders, while a pipeline encodes its prompts.

May import ``texts``, ``families``, ``hooks`` and ``softmax``. `encoder_recorder` is what traces use.
"""
