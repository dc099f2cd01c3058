"""Texts as tokenizers read them and as denoisers receive them, and the parses of prompts.

Independent of pipeline calls: imports only ``errors``, ``language`` and ``maps``. `textual_inversion` is the lowest
module, then `token_spans`.
"""
