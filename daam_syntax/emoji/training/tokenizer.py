"""A byte-pair tokenizer of CLIP's class, learned from the captions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

MAX_TOKENS: Final = 32
"""Length of the input of the text encoder, including the start and end tokens."""

_MERGES: Final = 268
_END: Final = "</w>"
# How CLIP splits text before merging: runs of letters, single digits, runs of anything else.
_CLIP_WORDS: Final = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def learn_tokenizer(captions: Iterable[str]) -> CLIPTokenizer:
    """Learn a tokenizer that keeps frequent words whole and splits rarer ones.

    Every byte is in the vocabulary, both inside a word and at its end, so any text can be tokenized.
    """
    specials = ["<|startoftext|>", "<|endoftext|>"]
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix=_END, continuing_subword_prefix=""))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_CLIP_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=len(symbols) + 32 + _MERGES,
        initial_alphabet=symbols,
        end_of_word_suffix=_END,
        show_progress=False,
    )
    tokenizer.train_from_iterator(captions, trainer)
    merges: Any = [tuple(m) for m in json.loads(tokenizer.to_str())["model"]["merges"]][:_MERGES]
    pieces = symbols + [s + _END for s in symbols] + ["".join(merge) for merge in merges]
    vocabulary = {piece: i for i, piece in enumerate([*dict.fromkeys(pieces), *specials])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=MAX_TOKENS)
