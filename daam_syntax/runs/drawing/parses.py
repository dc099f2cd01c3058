"""Parse the prompts of a run shard by shard, so that the first image does not wait for the last parse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from daam_syntax.language import PromptSet, Sentence, parse_many
from daam_syntax.runs.store.checksums import sentences_digest

if TYPE_CHECKING:
    from spacy.language import Language

_SAMPLE: Final = 16  # prompts whose parses are compared before a run is resumed


@dataclass(frozen=True)
class ShardPrompts:
    """The prompts of one shard, with their parses.

    Attributes
    ----------
    first
        Number of the first prompt in the run.
    ids, sentences
        Names and parses of the prompts, in order.
    """

    first: int
    ids: tuple[str, ...]
    sentences: tuple[Sentence, ...]

    def name(self, prompt: int) -> str:
        """Return the name of the prompt with this number."""
        return self.ids[prompt - self.first]

    def sentence(self, prompt: int) -> Sentence:
        """Return the parse of the prompt with this number."""
        return self.sentences[prompt - self.first]


class Parses:
    """The parses of a run's prompts.

    Parameters
    ----------
    prompts
        The prompts.
    parser
        Name, folder or object of a spaCy pipeline; the small English one if None.
    given
        Maps the text of a prompt to its parse, which is used as it is.
    """

    def __init__(
        self,
        prompts: PromptSet,
        parser: str | Language | None = None,
        given: Mapping[str, Sentence] | None = None,
    ) -> None:
        self.prompts = prompts
        self._parser = parser
        self._given = dict(given or {})
        self._kept = dict(self._given)

    def of(self, numbers: Sequence[int]) -> list[Sentence]:
        """Return the parses of the prompts with these numbers."""
        texts = [self.prompts.rows[number].text for number in numbers]
        missing = [text for text in texts if text not in self._kept]
        made = {sentence.text: sentence for sentence in parse_many(missing, self._parser)}
        return [made[text] if text in made else self._kept[text] for text in texts]

    def shard(self, numbers: range) -> ShardPrompts:
        """Return the prompts of a shard with their parses."""
        ids = tuple(self.prompts.rows[number].id for number in numbers)
        return ShardPrompts(numbers.start, ids, tuple(self.of(numbers)))

    def longest(self) -> Sentence:
        """Return the parse of the longest prompt."""
        texts = self.prompts.texts
        return self.of([max(range(len(texts)), key=lambda number: len(texts[number]))])[0]

    def digest(self, sample: Sequence[Sentence]) -> str:
        """Return a checksum of the parses in a sample, and of those that were given."""
        own = [s for s in sample if s.text not in self._given]
        return sentences_digest([*own, *self._given.values()])

    def sample(self) -> list[Sentence]:
        """Return the parses of up to 16 prompts from the whole set, the first one included.

        They are kept, so that their shards need not parse them again.
        """
        step = max(1, len(self.prompts) // _SAMPLE)
        sample = self.of(range(0, len(self.prompts), step)[:_SAMPLE])
        self._kept |= {sentence.text: sentence for sentence in sample}
        return sample
