"""The tokens that a text encoder reads from a prompt, and where in the prompt they stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from daam_syntax.errors import TraceError
from daam_syntax.maps import Subword


@dataclass(frozen=True)
class TokenizedPrompt:
    """A prompt as a text encoder reads it.

    Attributes
    ----------
    prompt
        The text.
    subwords
        Start token, text tokens and end token in the encoder's order; padding is left out.
    truncated_at
        Offset of the first character that the encoder did not read; None if it read all.
    """

    prompt: str
    subwords: tuple[Subword, ...]
    truncated_at: int | None

    @property
    def positions(self) -> list[int]:
        """The subwords' positions in the encoder's sequence."""
        return [subword.position for subword in self.subwords]


def tokenize(tokenizer: Any, prompt: str, length: int) -> TokenizedPrompt:
    """Tokenize a prompt as a pipeline does, with each token's place in the prompt.

    Parameters
    ----------
    tokenizer
        A fast tokenizer of transformers, that is, one which knows character offsets.
    prompt
        The text, as the user wrote it.
    length
        Number of positions of the encoder's sequence, which the prompt is padded or cut to.

    Raises
    ------
    TraceError
        If the tokenizer has no character offsets.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise TraceError(
            "Expected a tokenizer that knows the character offsets of its tokens (a fast one), but "
            f"{type(tokenizer).__name__} does not: its tokens cannot be matched with words. "
            "Load the pipeline with the fast version of the tokenizer, where there is one."
        )
    read = tokenizer(
        prompt,
        padding="max_length",
        max_length=length,
        truncation=True,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        return_attention_mask=True,
    )
    texts = tokenizer.convert_ids_to_tokens(read["input_ids"])
    starters = {tokenizer.bos_token_id, tokenizer.cls_token_id} - {None}
    subwords = []
    for position, (start, end) in enumerate(read["offset_mapping"]):
        if not read["attention_mask"][position]:
            continue
        if not read["special_tokens_mask"][position]:
            subwords.append(Subword(position, texts[position], start, end, "text"))
        elif read["input_ids"][position] in starters:
            subwords.append(Subword(position, texts[position], 0, 0, "start"))
        else:
            subwords.append(Subword(position, texts[position], 0, 0, "end"))
    n_read = sum(subword.kind == "text" for subword in subwords)
    return TokenizedPrompt(prompt, tuple(subwords), _truncated_at(tokenizer, prompt, n_read))


def _truncated_at(tokenizer: Any, prompt: str, n_read: int) -> int | None:
    """Return the offset of the first token after the `n_read` tokens that the encoder read."""
    # verbose=False: a prompt that is too long for the encoder is expected here.
    whole = tokenizer(prompt, add_special_tokens=False, return_offsets_mapping=True, verbose=False)[
        "offset_mapping"
    ]
    return whole[n_read][0] if len(whole) > n_read else None
