"""Reusing the attention of one image while another is generated (prompt-to-prompt, Hertz et al. 2022).

The queries and keys of the first image are kept instead of its attention weights: they are much smaller, and give the
same weights again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from typing import Any, Final, get_args

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from daam_syntax.attention.families import TokenLayout
from daam_syntax.attention.observers.controller import AttentionController, CallSite
from daam_syntax.attention.observers.observer_context import ObserverContext
from daam_syntax.attention.pipeline_call.call import PipelineCall
from daam_syntax.attention.pipeline_call.word_keys import keys_by_kind, keys_by_word
from daam_syntax.attention.softmax.edited_weights import (
    attention_weights,
    normalized,
    replace_weights,
)
from daam_syntax.attention.softmax.probabilities import AttentionCall
from daam_syntax.attention.softmax.transfers import indices
from daam_syntax.attention.texts.sentences import PromptSentences, Sentences
from daam_syntax.errors import TraceError
from daam_syntax.language import Sentence
from daam_syntax.maps.selection import StepSelection, step_selector
from daam_syntax.maps.subwords import SpecialKind
from daam_syntax.util.arguments.checks import checked
from daam_syntax.util.wording import human_size, plural

_SPECIAL: Final = get_args(SpecialKind)


@dataclass
class RecordedAttention:
    """The attention of one pipeline call, recorded by `record_attention`.

    Attributes
    ----------
    pipeline_call
        The pipeline call; None before it has finished.
    calls
        The conditional rows of each attention call, by module path and number of the step.
    """

    pipeline_call: PipelineCall | None = None
    calls: dict[tuple[str, int], AttentionCall] = field(default_factory=dict)

    def __repr__(self) -> str:
        prompts = self.pipeline_call.prompts if self.pipeline_call else ()
        of = f" of {', '.join(map(repr, prompts))}" if prompts else ""
        return (
            f"RecordedAttention({plural(len(self.calls), 'call')}{of}, {human_size(self.n_bytes)})"
        )

    @property
    def n_bytes(self) -> int:
        """Size of the recording in memory."""
        return sum(
            tensor.numel() * tensor.element_size()
            for call in self.calls.values()
            for tensor in (call.query, call.key)
        )


@checked
def record_attention(pipe: Any, *, steps: StepSelection = None) -> AttentionRecording:
    """Record an image's attention, to be reused by `reuse_attention`.

    Parameters
    ----------
    pipe
        A diffusers text-to-image pipeline of a known family with cross-attention.
    steps
        Which steps to record, see `daam_syntax.maps.selection.StepSelection`; None for all. Each step takes a copy of
        the queries and keys of all layers: about 70 MB for an image of 512 x 512 of Stable Diffusion 1 in 32 bits.

    Returns
    -------
    AttentionRecording
        A context manager; its ``with`` statement gives a `RecordedAttention`.
    """
    return AttentionRecording(pipe, steps=steps)


class AttentionRecording(ObserverContext):
    """A recording inside a ``with`` block, of the last pipeline call in it. It changes nothing.

    See Also
    --------
    record_attention : Its parameters.
    """

    def __init__(self, pipe: Any, *, steps: StepSelection = None) -> None:
        self._selects_step = step_selector(steps)
        self._recorded = RecordedAttention()
        super().__init__(
            AttentionController(
                pipe,
                override=self._record,
                on_start=self._start,
                on_end=self._end,
                self_attention=True,
            )
        )

    def __enter__(self) -> RecordedAttention:  # type: ignore[override]
        super().__enter__()
        return self._recorded

    def _start(self, pipeline_call: PipelineCall) -> None:
        self._recorded.pipeline_call = None
        self._recorded.calls.clear()

    def _end(self, pipeline_call: PipelineCall) -> None:
        self._recorded.pipeline_call = pipeline_call

    def _record(self, site: CallSite, call: AttentionCall, value: Tensor, output: Tensor) -> Tensor:
        if self._selects_step(site.step, site.progress, site.timestep):
            _refuse_joint(site, call)
            self._recorded.calls[site.path, site.step] = _rows(call, site.rows)
        return output


@checked
def reuse_attention(
    pipe: Any,
    recorded: RecordedAttention,
    *,
    cross_steps: StepSelection = slice(0, 0.8),
    self_steps: StepSelection = slice(0, 0.4),
    parser: Any = None,
    sentences: Sentences = (),
) -> AttentionReuse:
    """Generate an image of a second prompt with the layout of a first image (prompt-to-prompt, Hertz et al. 2022).

    In the selected steps, in the conditional rows,

    - self-attention uses the first image's queries and keys with the values of the second;
    - in cross-attention, unchanged words (the same word in the same order in both prompts, with equally many
      subwords), special tokens and padding have the weights of the first image. Changed and new words keep the
      weights that the model computes for the second image. Each pixel's weights are then divided by their sum.

    Generate both images from the same seed.

    Parameters
    ----------
    pipe
        The pipeline that generated the first image.
    recorded
        The first image's attention: of the same size, and of one image or of equally many images.
    cross_steps, self_steps
        In which steps to reuse cross-attention and self-attention, see `daam_syntax.maps.selection.StepSelection`;
        ``()`` for none. The defaults are those of Hertz et al.
    parser
        The dependency parser for the prompts: a name, a loaded spaCy pipeline, or None for the default.
    sentences
        Prompts that are already parsed, as for `Trace.heat_maps`. Sentences that belong to no prompt are ignored.

    Returns
    -------
    AttentionReuse
        A context manager.

    Raises
    ------
    TraceError
        If nothing was recorded. During a pipeline call: if the images do not match, or a step was not recorded.

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
    """A reuse of attention inside a ``with`` block; the pipeline is restored afterwards.

    A `trace` that is open at the same time records the attention that the model itself computed.

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
        if recorded.pipeline_call is None:
            raise TraceError(
                "Expected the recorded attention of a finished pipeline call, but nothing was recorded: call the "
                "pipeline inside `with record_attention(pipe) as recorded:` first."
            )
        self._recorded = recorded
        self._source = recorded.pipeline_call
        self._steps = {"cross_steps": cross_steps, "self_steps": self_steps}
        self._in_cross = step_selector(cross_steps)
        self._in_self = step_selector(self_steps)
        self._sentences = PromptSentences(sentences, parser)
        # For each image, pairs of text keys: one of the first prompt and one of the second.
        self._pairs: list[list[tuple[int, int]]] = []
        self._is_used = False
        reused = {
            "prompts": list(self._source.prompts),
            "seeds": list(self._source.seeds),
            **{name: str(steps) for name, steps in self._steps.items()},
        }
        super().__init__(
            AttentionController(
                pipe,
                override=self._override,
                on_start=self._start,
                on_end=self._end,
                self_attention=True,
                change={"reused": reused, "recorded": "attention before the re-use"},
            )
        )

    def _start(self, pipeline_call: PipelineCall) -> None:
        source = self._source
        if source.n_images not in (1, pipeline_call.n_images):
            raise TraceError(
                f"Expected as many images as were recorded ({source.n_images}), but the pipeline generates "
                f"{pipeline_call.n_images}: record one image, or equally many."
            )
        self._is_used = False
        self._pairs = [
            key_pairs(
                source,
                source.prompt_index(self._source_image(image)),
                pipeline_call,
                pipeline_call.prompt_index(image),
                self._sentences,
            )
            for image in range(pipeline_call.n_images)
        ]

    def _end(self, pipeline_call: PipelineCall) -> None:
        if not self._is_used:
            raise TraceError(
                f"Expected cross_steps or self_steps to select a step, but {self._steps} match none of the pipeline "
                "call."
            )

    def _source_image(self, image: int) -> int:
        return image if self._source.n_images > 1 else 0

    def _override(
        self, site: CallSite, call: AttentionCall, value: Tensor, output: Tensor
    ) -> Tensor:
        selects = self._in_cross if site.layouts else self._in_self
        if not selects(site.step, site.progress, site.timestep):
            return output
        _refuse_joint(site, call)
        source = self._call_of(site, call)
        self._is_used = True
        if not site.layouts:
            n_images = site.pipeline_call.n_images
            output[site.rows] = scaled_dot_product_attention(
                source.query.expand(n_images, -1, -1, -1),
                source.key.expand(n_images, -1, -1, -1),
                value[site.rows],
                attn_mask=source.mask,
                scale=source.scale,
                enable_gqa=source.enable_gqa,
            )
            return output
        for image, layout in enumerate(site.layouts):

            def change(weights: Tensor, part: slice, image: int = image) -> Tensor:
                before = attention_weights(source, self._source_image(image), part)
                pairs = zip(*self._pairs[image], strict=True)
                olds, news = (indices(keys, weights.device) for keys in pairs)
                weights = weights.clone()
                weights[..., news] = before[..., olds]
                return normalized(weights)

            replace_weights(call, value, output, site.rows.start + image, layout.pixels, change)
        return output

    def _call_of(self, site: CallSite, call: AttentionCall) -> AttentionCall:
        source = self._recorded.calls.get((site.path, site.step))
        if source is None:
            steps = sorted({step for _, step in self._recorded.calls})
            raise TraceError(
                f"Expected the attention of {site.path} in step {site.step} to be recorded, but only the steps "
                f"{steps} are: record every step that you reuse."
            )
        if source.query.shape[1:] != call.query.shape[1:]:
            raise TraceError(
                f"Expected images of the same size, but the queries of {site.path} had shape "
                f"{tuple(source.query.shape[1:])} and now have {tuple(call.query.shape[1:])}."
            )
        return source


def key_pairs(
    source: PipelineCall,
    source_prompt: int,
    target: PipelineCall,
    target_prompt: int,
    sentences: PromptSentences,
) -> list[tuple[int, int]]:
    """Pair the text keys of unchanged words, special tokens and padding of two prompts.

    Parameters
    ----------
    source, source_prompt
        The first pipeline call and the index of its prompt.
    target, target_prompt
        The second pipeline call and the index of its prompt.
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
        words = (
            keys_by_word([one], source_prompt, first),
            keys_by_word([other], target_prompt, second),
        )
        kinds = keys_by_kind([one], source_prompt), keys_by_kind([other], target_prompt)
        for ours, theirs in unchanged:
            if len(words[0][ours]) == len(words[1][theirs]):
                pairs += list(zip(words[0][ours], words[1][theirs], strict=True))
        for kind in _SPECIAL:
            a, b = kinds[0].get(kind, []), kinds[1].get(kind, [])
            if len(a) == len(b) or kind == "padding":
                pairs += list(zip(a, b, strict=False))
    return sorted(set(pairs))


def unchanged_words(first: Sentence, second: Sentence) -> list[tuple[int, int]]:
    """Return the indices, in both sentences, of the words that they share in the same order."""
    ours, theirs = ([word.casefold() for word in each.words] for each in (first, second))
    blocks = SequenceMatcher(a=ours, b=theirs, autojunk=False).get_matching_blocks()
    return [(block.a + i, block.b + i) for block in blocks for i in range(block.size)]


def _rows(call: AttentionCall, rows: slice) -> AttentionCall:
    """Copy the rows of a call, to free the rest of its tensors."""
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
    if any(layout != whole for layout in site.layouts):
        raise TraceError(
            f"Expected attention from pixels to text alone, but {site.path} attends to pixels and text at once: "
            "attention can be reused in models with cross-attention only."
        )
