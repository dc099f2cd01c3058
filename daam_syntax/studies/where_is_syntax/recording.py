"""Recording the attention between words: of the prompts, of the prompts in random order, and of a randomized model."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import nn

from daam_syntax.attention import trace, trace_text
from daam_syntax.attention.families import family_of, layouts
from daam_syntax.attention.text_encoders.components import encoders_of
from daam_syntax.language import Sentence
from daam_syntax.maps import HeatMaps, WordAttention
from daam_syntax.pipelines.shuffled_weights import shuffled
from daam_syntax.studies.framework.setup import Setup
from daam_syntax.studies.where_is_syntax.attachment import PromptAttention
from daam_syntax.studies.where_is_syntax.trees import tree_of

KEEP = ("layer", "head")
_MIN_WORDS = 3
TEXT_TEXT = "text-text"


@dataclass
class Related:
    """The attention of one relation to several prompts.

    Attributes
    ----------
    name
        The text encoder, or "text-text".
    layers
        Paths of the layers.
    prompts
        Attention and tree by prompt: None for prompts with fewer than three words that the model reads.
    """

    name: str
    layers: tuple[str, ...]
    prompts: dict[str, PromptAttention | None] = field(default_factory=dict)


def related(found: Iterable[WordAttention]) -> dict[str, Related]:
    """Sort attention by relation, averaged over the images of a prompt."""
    grouped: dict[tuple[str, str], list[WordAttention]] = {}
    for each in found:
        name = each.relation if each.relation == TEXT_TEXT else each.encoder
        grouped.setdefault((name, each.prompt), []).append(each)
    result: dict[str, Related] = {}
    for (name, prompt), same in grouped.items():
        first = same[0]
        layers = tuple(str(path) for path in first.data["layer"].values)
        own = result.setdefault(name, Related(name, layers))
        tree = tree_of(first.sentence, first.mapped)
        words = list(tree.words)
        values = np.mean([each.array.values for each in same], axis=0)
        values = values[..., words, :][..., words]
        enough = len(words) >= _MIN_WORDS
        own.prompts[prompt] = PromptAttention(tree, values, first.causal) if enough else None
    return result


def of_encoders(
    setup: Setup, sentences: Sequence[Sentence], encoder: str | None
) -> dict[str, Related]:
    """Return the attention in the text encoders, or in one of them."""
    return related(
        trace_text(
            setup.pipe,
            [sentence.text for sentence in sentences],
            encoders=encoder,
            keep=KEEP,
            sentences=sentences,
            progress=setup.progress,
        )
    )


def has_text_queries(pipe: Any) -> bool:
    """Return whether the text is among the queries of a pipeline's denoiser."""
    return family_of(pipe).layout is not layouts.cross


def drawn(
    setup: Setup, sentences: Sequence[Sentence]
) -> tuple[dict[str, Related], list[tuple[Sentence, HeatMaps]]]:
    """Draw prompts, and return the attention among the text in the denoiser, if there is any, and the heat maps."""
    joint = has_text_queries(setup.pipe)
    options: dict[str, Any] = {"relations": TEXT_TEXT, "keep": KEEP} if joint else {}
    found, maps = [], []
    for sentence, seed in setup.images_of(sentences):
        with trace(setup.pipe, **options) as recording:
            setup.draw(sentence.text, seed)
        (own,) = recording.heat_maps(sentences=sentence)
        maps.append((sentence, own.with_values(own.mean) if joint else own))
        if joint:
            found += recording.word_attention(sentences=sentence)
    return related(found), maps


@contextmanager
def randomized(pipe: Any, seed: int, *, denoiser: bool) -> Iterator[None]:
    """Shuffle the entries of every weight matrix of the text encoders, except embeddings, and restore them afterwards.

    Parameters
    ----------
    pipe
        The pipeline.
    seed
        Seed of the order.
    denoiser
        Whether to do the same with the projections of the text attention in the denoiser.
    """
    family = family_of(pipe)
    models: list[nn.Module] = [each.model for each in encoders_of(pipe, family)]
    if denoiser:
        models += [
            module
            for path, module in family.denoiser_of(pipe).named_modules()
            if family.is_text_attention(path, module)
        ]
    modules = itertools.chain.from_iterable(model.modules() for model in models)
    weights = {
        id(module.weight): module.weight for module in modules if isinstance(module, nn.Linear)
    }
    with shuffled([*weights.values()], seed):
        yield


def merged(*parts: Mapping[str, Related]) -> dict[str, Related]:
    """Return the relations of several recordings together."""
    return dict(itertools.chain.from_iterable(part.items() for part in parts))
