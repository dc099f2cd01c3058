"""Edits of the states of the text: which words get another vector, and from where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from daam_syntax.errors import WordError
from daam_syntax.language import Sentence, check_prompt
from daam_syntax.util.arguments.checks import checked

Source = Literal["context", "alone", "padding"]
"""Where a new state comes from: a word in a context, the word alone, or padding."""


@checked
@dataclass(frozen=True)
class StateEdit:
    """A change of the vectors that stand for words of the prompt, in a text encoder or at its output.

    A word's vector (of each of its subwords) is replaced by exactly one of:

    - that of the same word in another prompt: ``StateEdit("car", context="a blue car")``;
    - that of another word of this prompt, or of another prompt: ``StateEdit("car", by="cat")``, ``StateEdit("car",
      by="cat", context="a cat in the snow")``;
    - its decontextualized vector: ``StateEdit("car", alone=True)``. The encoder reads the prompt with all *other words*
      hidden: no token may attend to them in any layer. The word therefore keeps its subwords and its position, and
      differs in nothing except its context. (Encoded as a prompt of its own, it would move to the first position and,
      with some tokenizers, get other subwords, and the change of the image would be partly one of position.) It still
      attends to what every text has: the start token, the end token, the template around the prompt, and padding, as
      far as the encoder lets it. A word of several subwords attends to all of them;
    - padding: ``StateEdit("car", padding=True)``. The vector is that of the empty prompt, in which no token has read
      any word, at the word's own place; if there is no padding there, at the nearest place with padding.

    Vectors are always taken from encodings without any edit, so two edits can exchange two words. Only the prompts are
    changed, never the negative prompts. ``StateEdit("car", by="car")`` changes nothing, and the image is bit-identical.

    Attributes
    ----------
    words
        Indices in the parse, or texts that are unambiguous.
    by
        The words whose vectors replace theirs, one for each, with as many subwords; those of `context`, or of the
        prompt itself. Empty for the same words; a word that occurs several times stands for the same occurrence.
    context
        Another prompt, from which the vectors come; None for the prompt itself.
    alone
        Whether each word gets its decontextualized vector.
    padding
        Whether each word gets the vector of padding.
    encoders
        Names of the pipeline's text encoders, such as "text_encoder_2", whose states are changed; None for all whose
        tokens are keys of the denoiser.
    layer
        Number of the encoder's blocks after which the states are changed: 0 for the input of the first, -1 for the
        output of the last. The following blocks read the new states, so the change spreads to the tokens that attend to
        the word (in causal encoders, to later ones). None to change the vectors that the denoiser receives, and those
        of the words alone.
    pooled
        Whether the pooled vectors of the text, which some denoisers receive beside the words (SDXL, SD3, Flux), follow
        an edit inside the encoder. If not, they stay those of the prompt, which name its words. Vectors that the
        denoiser itself pools from the words always follow.
    images
        For which images of a pipeline call, in its order; None for all.

    Raises
    ------
    ValueError
        If there is no word, not exactly one source, not one word of `by` for each word, or `pooled` without `layer`.
    PromptError
        If `context` has no words.
    """

    words: tuple[int | str, ...]
    by: tuple[int | str, ...] = ()
    context: str | None = None
    alone: bool = False
    padding: bool = False
    encoders: tuple[str, ...] | None = None
    layer: int | None = None
    pooled: bool = False
    images: tuple[int, ...] | None = None

    def __init__(
        self,
        words: int | str | Iterable[int | str],
        *,
        by: int | str | Iterable[int | str] = (),
        context: str | None = None,
        alone: bool = False,
        padding: bool = False,
        encoders: str | Iterable[str] | None = None,
        layer: int | None = None,
        pooled: bool = False,
        images: Iterable[int] | None = None,
    ) -> None:
        values = {
            "words": _as_words(words),
            "by": _as_words(by),
            "context": None if context is None else check_prompt(context),
            "alone": alone,
            "padding": padding,
            "encoders": (encoders,) if isinstance(encoders, str) else _as_tuple(encoders),
            "layer": layer,
            "pooled": pooled,
            "images": _as_tuple(images),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        if not self.words:
            raise ValueError("Expected at least one word whose vector is replaced, but got none.")
        from_words = bool(self.by) or self.context is not None
        if from_words + self.alone + self.padding != 1:
            got = [name for name in ("alone", "padding") if getattr(self, name)]
            got = [*(["by or context"] if from_words else []), *got]
            raise ValueError(
                "Expected one source of the new vectors, by= or context= (or both), alone=True, or padding=True, but "
                f"got {' and '.join(got) or 'none'}: make an edit for each."
            )
        if self.by and len(self.by) != len(self.words):
            raise ValueError(
                f"Expected one word of by= for each of the words {self.words}, but got {self.by}."
            )
        if self.alone and self.layer == 0:
            raise ValueError(
                "Expected layer=1 or a later one with alone=True, but got 0: the input of the first block has not "
                "read any context yet."
            )
        if self.pooled and self.layer is None:
            raise ValueError(
                "Expected layer= with pooled=True, but got none: pooled vectors are made inside the encoder, so an "
                "edit of the vectors that it returns cannot reach them. Pass layer=0, for instance."
            )

    @property
    def source(self) -> Source:
        """Where the new vectors come from."""
        return "alone" if self.alone else "padding" if self.padding else "context"

    @checked
    def with_words(
        self, words: int | str | Iterable[int | str], by: int | str | Iterable[int | str] = ()
    ) -> StateEdit:
        """Return the control that makes the same change to other words."""
        return replace(self, words=_as_words(words), by=_as_words(by))

    def of_images(self, *images: int) -> StateEdit:
        """Return the same edit for some images of a pipeline call."""
        return replace(self, images=images)

    def describe(self) -> dict[str, Any]:
        """Return a JSON-compatible description of the edit, for provenance."""
        return {
            "words": list(self.words),
            "source": self.source,
            "by": list(self.by),
            "context": self.context,
            "encoders": None if self.encoders is None else list(self.encoders),
            "layer": self.layer,
            "pooled": self.pooled,
            "images": None if self.images is None else list(self.images),
        }


def source_words(edit: StateEdit, sentence: Sentence, context: Sentence) -> list[tuple[int, int]]:
    """Return the index of each edited word, and that of the word whose vector it gets.

    Parameters
    ----------
    edit
        An edit whose vectors come from words.
    sentence
        The prompt.
    context
        The prompt in which the source words stand, which may be the same.

    Raises
    ------
    WordError
        If a word does not exist, or it is not clear which one is meant.
    """
    targets = [sentence.index(word) for word in edit.words]
    if edit.by:
        return list(zip(targets, (context.index(word) for word in edit.by), strict=True))
    return [(target, _counterpart(sentence, target, context)) for target in targets]


def _counterpart(sentence: Sentence, word: int, context: Sentence) -> int:
    """Return the same occurrence of a word in another prompt."""
    text = sentence[word].text
    here, there = sentence.find(text), context.find(text)
    if len(there) == 1 and len(here) == 1:
        return there[0]
    if there and len(there) == len(here):
        return there[here.index(word)]
    if not there:
        raise WordError(
            f"Expected {text!r} in {context.text!r}, to take its vector from there, but the words there are "
            f"{', '.join(context.words)}: name the word, by=..."
        )
    raise WordError(
        f"Expected {text!r} as often in {context.text!r} as in {sentence.text!r}, but it occurs {len(there)} and "
        f"{len(here)} times: name the word by its index, by={there[0]}, for instance."
    )


def _as_words(words: Any) -> tuple[int | str, ...]:
    return (words,) if isinstance(words, int | str) else tuple(words)


def _as_tuple(values: Any) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values)
