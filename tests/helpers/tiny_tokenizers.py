"""Tiny tokenizers of the same classes as in real pipelines. "strawberry" is two tokens in each."""

from __future__ import annotations

import string

from transformers import (
    BertTokenizer,
    GemmaTokenizer,
    PreTrainedTokenizerFast,
    Qwen2Tokenizer,
    T5Tokenizer,
)

from helpers.tiny_pipelines import byte_symbols

WORDS = ["cat", "red", "blue", "owl", "and", "the", "straw"]
ENDING = "berry"
LETTERS = string.ascii_letters + string.digits + string.punctuation

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{{ part['text'] }}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def _merges(words: list[str]) -> list[tuple[str, str]]:
    """Return the merges of a byte-pair encoding that builds words letter by letter."""
    merges = []
    for word in words:
        start = word[0]
        for letter in word[1:]:
            merges.append((start, letter))
            start += letter
    return list(dict.fromkeys(merges))


def make_t5_tokenizer(length: int = 512) -> T5Tokenizer:
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -3.0)]
    pieces += [(f"▁{word}", -1.0) for word in WORDS] + [(ENDING, -1.0)]
    pieces += [(letter, -5.0) for letter in LETTERS]
    return T5Tokenizer(
        vocab=pieces, extra_ids=0, additional_special_tokens=[], model_max_length=length
    )


def make_bert_tokenizer() -> BertTokenizer:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, f"##{ENDING}", *LETTERS]
    pieces += [f"##{letter}" for letter in LETTERS]
    pieces = list(dict.fromkeys(pieces))
    return BertTokenizer(vocab={piece: i for i, piece in enumerate(pieces)})


def make_gemma_tokenizer() -> GemmaTokenizer:
    merges = _merges([*WORDS, *(f"▁{word}" for word in WORDS), ENDING])
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", "\n", *LETTERS]
    pieces += ["".join(merge) for merge in merges]
    pieces = list(dict.fromkeys(pieces))
    return GemmaTokenizer(
        vocab={piece: i for i, piece in enumerate(pieces)}, merges=merges, add_bos_token=True
    )


def make_qwen_tokenizer(**options: object) -> Qwen2Tokenizer:
    merges = _merges([*(f"Ġ{word}" for word in WORDS), ENDING, "cat", "red", "the"])
    pieces = list(dict.fromkeys([*byte_symbols(), *("".join(merge) for merge in merges)]))
    pieces += ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]
    tokenizer = Qwen2Tokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, merges=merges)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def make_glm_tokenizer() -> PreTrainedTokenizerFast:
    """Make a byte-level tokenizer that adds two tokens before the text and pads on the left."""
    from tokenizers import processors

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=make_qwen_tokenizer()._tokenizer,
        pad_token="<|endoftext|>",
        eos_token="<|endoftext|>",
        padding_side="left",
    )
    tokenizer.add_special_tokens({"additional_special_tokens": ["[gMASK]", "<sop>"]})
    ids = [(t, tokenizer.convert_tokens_to_ids(t)) for t in ("[gMASK]", "<sop>")]
    tokenizer._tokenizer.post_processor = processors.TemplateProcessing(
        single="[gMASK] <sop> $A", special_tokens=ids
    )
    return tokenizer
