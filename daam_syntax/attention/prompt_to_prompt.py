"""Re-using the attention of one picture while another is drawn (prompt-to-prompt, Hertz et al. 2022).

The first picture's queries and keys are kept, not its attention weights: they are smaller by far, and give the same
weights again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from types import TracebackType
from typing import Any

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from daam_syntax.attention.families import TokenLayout
from daam_syntax.attention.pipeline_call.call import PipelineCall
from daam_syntax.attention.pipeline_call.controller import AttentionController, CallSite
from daam_syntax.attention.pipeline_call.observer import ObserverContext
from daam_syntax.attention.pipeline_call.sentences import Sentences, SentencesOfPrompts
from daam_syntax.attention.softmax.edited_weights import (
    attention_weights,
    normalised,
    replace_weights,
)
from daam_syntax.attention.softmax.probabilities import AttentionCall
from daam_syntax.errors import TraceError
from daam_syntax.language import Sentence
from daam_syntax.maps.selection import StepSelection, step_selector
from daam_syntax.maps.subwords import align
from daam_syntax.util.wording import human_size, plural


@dataclass
class RecordedAttention:
    """The attention of one drawing, as `record_attention` kept it.

    Attributes
    ----------
    drawing
        What was drawn; None before it has come to its end.
    calls
        The rows of the images of each attention call, by the module's path and the number of the step.
    """

    drawing: PipelineCall | None = None
    calls: dict[tuple[str, int], AttentionCall] = field(default_factory=dict)

    def __repr__(self) -> str:
        drawn = f" of {', '.join(map(repr, self.drawing.prompts))}" if self.drawing else ""
        return f"RecordedAttention({plural(len(self.calls), 'call')}{drawn}, {human_size(self.n_bytes)})"

    @property
    def n_bytes(self) -> int:
        """How much memory it takes."""
        return sum(
            tensor.numel() * tensor.element_size()
            for call in self.calls.values()
            for tensor in (call.query, call.key)
        )


def record_attention(pipe: Any, *, steps: StepSelection = None) -> AttentionRecording:
    """Keep a picture's attention, to be re-used by `reuse_attention`.

    Parameters
    ----------
    pipe
        A diffusers text-to-image pipeline of a known family with cross-attention.
    steps
        Which steps to keep, see `StepSelection`; None for all. Each takes a copy of the queries and keys of all
        layers (some 70 MB for a picture of 512 x 512 of Stable Diffusion 1 in 32 bits).

    Returns
    -------
    AttentionRecording
        To be used in a ``with`` statement, which gives a `RecordedAttention`.
    """
    return AttentionRecording(pipe, steps=steps)


class AttentionRecording:
    """A recording inside a ``with`` block; of several drawings the last is kept. Nothing is changed.

    See Also
    --------
    record_attention : Its parameters.
    """

    def __init__(self, pipe: Any, *, steps: StepSelection = None) -> None:
        self._selects_step = step_selector(steps)
        self._recorded = RecordedAttention()
        self._work = ObserverContext(
            AttentionController(
                pipe,
                respond=self._respond,
                begun=self._begin,
                ended=self._end,
                self_attention=True,
            )
        )

    def __enter__(self) -> RecordedAttention:
        self._work.__enter__()
        return self._recorded

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._work.__exit__(kind, error, traceback)

    def _begin(self, drawing: PipelineCall) -> None:
        self._recorded.drawing = None
        self._recorded.calls.clear()

    def _end(self, drawing: PipelineCall) -> None:
        self._recorded.drawing = drawing

    def _respond(
        self, site: CallSite, call: AttentionCall, value: Tensor, output: Tensor
    ) -> Tensor:
        if self._selects_step(site.step, site.progress, site.timestep):
            _refuse_joint(site, call)
            self._recorded.calls[site.path, site.step] = _rows(call, site.rows)
        return output


def reuse_attention(
    pipe: Any,
    recorded: RecordedAttention,
    *,
    cross_steps: StepSelection = slice(0, 0.8),
    self_steps: StepSelection = slice(0, 0.4),
    parser: Any = None,
    sentences: Sentences = (),
) -> AttentionReuse:
    """Draw a second prompt with the layout of a first picture (prompt-to-prompt, Hertz et al. 2022).

    In the chosen steps, in the rows that are drawn from the prompts,

    - self-attention uses the first picture's queries and keys with the values of the second;
    - in cross-attention, the weights of unchanged words (the same word in the same order in both prompts, with as many
      subwords), of special tokens and of padding are those of the first picture; changed and new words keep the
      weights that the model gives them now; then each pixel's weights are divided by their sum.

    Draw both pictures from the same seed.

    Parameters
    ----------
    pipe
        The pipeline that drew the first picture.
    recorded
        The first picture's attention, of the same size, and of as many images or one.
    cross_steps, self_steps
        In which steps, see `StepSelection`; ``()`` for none. The defaults are those of Hertz et al.
    parser
        The dependency parser for the prompts: a name, a loaded spaCy pipeline, or None for the default.
    sentences
        Prompts that need not be parsed, as for `Trace.heat_maps`.

    Returns
    -------
    AttentionReuse
        To be used in a ``with`` statement.

    Raises
    ------
    TraceError
        If nothing was recorded. While it draws: if the pictures do not fit together, or a step was not recorded.

    Examples
    --------
    >>> with record_attention(pipe) as recorded:  # doctest: +SKIP
    ...     red = pipe("a red car", generator=torch.Generator().manual_seed(1)).images[0]
    >>> with reuse_attention(pipe, recorded):  # doctest: +SKIP
    ...     blue = pipe("a blue car", generator=torch.Generator().manual_seed(1)).images[0]
    """
    return AttentionReuse(
        pipe,
        recorded,
        cross_steps=cross_steps,
        self_steps=self_steps,
        parser=parser,
        sentences=sentences,
    )


class AttentionReuse(ObserverContext):
    """The re-use of attention inside a ``with`` block; afterwards the pipeline is as it was.

    A `trace` that is open at the same time records the attention that the model computed itself.

    See Also
    --------
    reuse_attention : Its parameters.
    """

    def __init__(
        self,
        pipe: Any,
        recorded: RecordedAttention,
        *,
        cross_steps: StepSelection,
        self_steps: StepSelection,
        parser: Any = None,
        sentences: Sentences = (),
    ) -> None:
        if recorded.drawing is None:
            raise TraceError(
                "Expected the attention of a picture that was drawn, but nothing was recorded: call the "
                "pipeline inside `with record_attention(pipe) as recorded:` first."
            )
        self._recorded = recorded
        self._source = recorded.drawing
        self._steps = {"cross_steps": cross_steps, "self_steps": self_steps}
        self._in_cross = step_selector(cross_steps)
        self._in_self = step_selector(self_steps)
        self._sentences = SentencesOfPrompts(sentences, parser)
        self._pairs: list[
            list[tuple[int, int]]
        ] = []  # of each image: keys of the first, of the second
        self._is_used = False
        does = {
            "prompts": list(self._source.prompts),
            "seeds": list(self._source.seeds),
            **{name: str(steps) for name, steps in self._steps.items()},
        }
        super().__init__(
            AttentionController(
                pipe,
                respond=self._respond,
                begun=self._begin,
                ended=self._end,
                self_attention=True,
                does={"reused": does, "recorded": "attention before the re-use"},
            )
        )

    def _begin(self, drawing: PipelineCall) -> None:
        source = self._source
        if source.n_images not in (1, drawing.n_images):
            raise TraceError(
                f"Expected as many images as were recorded ({source.n_images}), but {drawing.n_images} are drawn."
            )
        self._is_used = False
        self._pairs = [
            key_pairs(
                source,
                self._source_image(image) // source.images_per_prompt,
                drawing,
                image // drawing.images_per_prompt,
                self._sentences,
            )
            for image in range(drawing.n_images)
        ]

    def _end(self, drawing: PipelineCall) -> None:
        if not self._is_used:
            raise TraceError(
                f"Expected cross_steps or self_steps to select a step, but {self._steps} fit none of the drawing."
            )

    def _source_image(self, image: int) -> int:
        return image if self._source.n_images > 1 else 0

    def _respond(
        self, site: CallSite, call: AttentionCall, value: Tensor, output: Tensor
    ) -> Tensor:
        selects = self._in_cross if site.splits else self._in_self
        if not selects(site.step, site.progress, site.timestep):
            return output
        _refuse_joint(site, call)
        source = self._call_of(site, call)
        self._is_used = True
        if not site.splits:
            output[site.rows] = scaled_dot_product_attention(
                source.query.expand(site.drawing.n_images, -1, -1, -1),
                source.key.expand(site.drawing.n_images, -1, -1, -1),
                value[site.rows],
                attn_mask=source.mask,
                scale=source.scale,
                enable_gqa=source.enable_gqa,
            )
            return output
        for image, split in enumerate(site.splits):

            def change(weights: Tensor, part: slice, image: int = image) -> Tensor:
                before = attention_weights(source, self._source_image(image), part)
                olds, news = zip(*self._pairs[image], strict=True)
                weights = weights.clone()
                weights[..., list(news)] = before[..., list(olds)]
                return normalised(weights)

            replace_weights(call, value, output, site.rows.start + image, split.pixels, change)
        return output

    def _call_of(self, site: CallSite, call: AttentionCall) -> AttentionCall:
        source = self._recorded.calls.get((site.path, site.step))
        if source is None:
            steps = sorted({step for _, step in self._recorded.calls})
            raise TraceError(
                f"Expected the attention of {site.path} in step {site.step} to be recorded, but only the "
                f"steps {steps} are: record as many steps as you re-use."
            )
        if source.query.shape[1:] != call.query.shape[1:]:
            raise TraceError(
                f"Expected pictures of the same size, but {site.path} had queries of shape "
                f"{tuple(source.query.shape[1:])} and now has {tuple(call.query.shape[1:])}."
            )
        return source


def key_pairs(
    source: PipelineCall,
    source_prompt: int,
    target: PipelineCall,
    target_prompt: int,
    sentences: SentencesOfPrompts,
) -> list[tuple[int, int]]:
    """Pair the text keys of unchanged words, special tokens and padding of two prompts.

    Parameters
    ----------
    source, source_prompt
        The first drawing and the number of its prompt.
    target, target_prompt
        The second.
    sentences
        The prompts' parses.

    Returns
    -------
    list of tuple
        Positions among the text keys of the first and of the second prompt.
    """
    first = sentences[source.prompts[source_prompt]]
    second = sentences[target.prompts[target_prompt]]
    unchanged = unchanged_words(first, second)
    pairs = []
    for one, other in zip(source.blocks, target.blocks, strict=True):
        keys = [
            _keys_by_role(sentence, block.prompts[number], block.start)
            for sentence, block, number in (
                (first, one, source_prompt),
                (second, other, target_prompt),
            )
        ]
        roles: list[tuple[Any, Any]] = [
            (role, role) for role in ("start", "template", "padding", "end")
        ]
        for ours, theirs in [*roles, *unchanged]:
            a, b = keys[0].get(ours, []), keys[1].get(theirs, [])
            if len(a) == len(b) or ours == "padding":
                pairs += list(zip(a, b, strict=False))
    return sorted(set(pairs))


def unchanged_words(first: Sentence, second: Sentence) -> list[tuple[int, int]]:
    """Return the indices, in both, of words that two sentences have in common in the same order."""
    ours, theirs = ([word.casefold() for word in each.words] for each in (first, second))
    blocks = SequenceMatcher(a=ours, b=theirs, autojunk=False).get_matching_blocks()
    return [(block.a + i, block.b + i) for block in blocks for i in range(block.size)]


def _keys_by_role(sentence: Sentence, read: Any, start: int) -> dict[int | str, list[int]]:
    """Return the text keys of each word (by index), kind of special token, and of the padding."""
    keys: dict[int | str, list[int]] = {}
    for subword in read.subwords:
        if subword.kind != "text":
            keys.setdefault(subword.kind, []).append(start + subword.position)
    for word in align(sentence, read.subwords, read.truncated_at):
        keys[word.index] = [start + read.subwords[row].position for row in word.subwords]
    used = set(read.positions)
    keys["padding"] = [start + place for place in range(read.length) if place not in used]
    return keys


def _rows(call: AttentionCall, rows: slice) -> AttentionCall:
    """Copy the rows of a call, so that the rest of its tensors can be freed."""
    mask = call.mask
    if mask is not None and mask.ndim == 4 and len(mask) == len(call.query):
        mask = mask[rows].clone()
    known = call.logsumexp
    return replace(
        call,
        query=call.query[rows].clone(),
        key=call.key[rows].clone(),
        mask=mask,
        logsumexp=None if known is None else known[rows].clone(),
    )


def _refuse_joint(site: CallSite, call: AttentionCall) -> None:
    whole = TokenLayout(slice(0, call.query.shape[-2]), slice(0, call.key.shape[-2]))
    if any(split != whole for split in site.splits):
        raise TraceError(
            f"Expected attention from pixels to text alone, but {site.path} attends to pixels and text at "
            "once: attention can be re-used in models with cross-attention only."
        )
