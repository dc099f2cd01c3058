"""Interventions: edits of the attention to words, and of the states of the text, while images are generated."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from daam_syntax.attention.edits.attention_edit import AppliedEdit, Edit
from daam_syntax.attention.edits.state_edit import StateEdit
from daam_syntax.attention.edits.state_editor import StateEditor
from daam_syntax.attention.families import family_of
from daam_syntax.attention.observers.controller import AttentionController, CallSite
from daam_syntax.attention.observers.observer_context import ObserverContext
from daam_syntax.attention.pipeline_call.call import PipelineCall
from daam_syntax.attention.softmax.edited_weights import replace_weights
from daam_syntax.attention.softmax.probabilities import AttentionCall
from daam_syntax.attention.texts.sentences import PromptSentences, Sentences
from daam_syntax.errors import TraceError
from daam_syntax.util.arguments.checks import checked

AnyEdit = Edit | StateEdit
"""A change of attention, or of the states of the text."""


@checked
def intervene(
    pipe: Any,
    edits: AnyEdit | Iterable[AnyEdit],
    *,
    parser: Any = None,
    sentences: Sentences = (),
) -> Intervention:
    """Change the attention from pixels to words, or the vectors of words, while a pipeline generates images.

    Parameters
    ----------
    pipe
        A diffusers text-to-image pipeline of a known family.
    edits
        The changes: `Edit` changes the attention to words, `StateEdit` the vectors that stand for them. Several edits
        of one attention call are made one after the other, in this order.
    parser
        The dependency parser for the prompts: a name, a loaded spaCy pipeline, or None for the default.
    sentences
        Prompts that are already parsed, as for `Trace.heat_maps`, also those from which vectors come. Sentences that
        belong to no prompt are ignored.

    Returns
    -------
    Intervention
        A context manager.

    Raises
    ------
    TraceError
        If the pipeline's family is unknown, or its text encoders are not described and states are edited. During a
        pipeline call: if the attention cannot be changed, or an edit matches no step, layer, attention head or image;
        before the first step, if states cannot be changed: the pipeline got ``prompt_embeds``, another text for some
        encoder, or textual inversions, or there is no padding.
    WordError
        During a pipeline call, if a word is not in a prompt, a word or kind of token has no key, or a word and the one
        whose vector it gets have different numbers of subwords.

    Examples
    --------
    >>> with intervene(pipe, Edit(words=(2,), steps=slice(0, 0.5))):  # doctest: +SKIP
    ...     images = pipe("a red cat").images
    >>> with intervene(pipe, StateEdit("cat", context="a blue cat")):  # doctest: +SKIP
    ...     images = pipe("a red cat").images
    """
    return Intervention(pipe, edits, parser=parser, sentences=sentences)


class Intervention(ObserverContext):
    """A change of a pipeline's attention or text inside a ``with`` block; the pipeline is restored afterwards.

    Images without an edit are bit-identical to those without the intervention, and so are all images if every edit has
    a scale of 1, or replaces vectors by themselves. Only calls from the thread that entered the block are changed. A
    `trace` of the same pipeline that is open at the same time, inside or outside this block, records the attention that
    the model computed: to the edited states of the text, and *before* the edits of attention of that layer and step; in
    later layers and steps the model has already been affected by them. The trace's provenance says so.

    See Also
    --------
    intervene : Its parameters.
    """

    def __init__(
        self,
        pipe: Any,
        edits: AnyEdit | Iterable[AnyEdit],
        *,
        parser: Any = None,
        sentences: Sentences = (),
    ) -> None:
        self.edits = (edits,) if isinstance(edits, Edit | StateEdit | str) else tuple(edits)
        other = next((edit for edit in self.edits if not isinstance(edit, Edit | StateEdit)), None)
        if other is not None:
            raise TypeError(
                f"Expected edits, such as Edit('cat'), but got {type(other).__name__} {other!r}."
            )
        self._sentences = PromptSentences(sentences, parser)
        self._applied: list[AppliedEdit] = []
        self._of_attention = [edit for edit in self.edits if isinstance(edit, Edit)]
        of_states = [edit for edit in self.edits if isinstance(edit, StateEdit)]
        self._states = (
            StateEditor(pipe, family_of(pipe), of_states, self._sentences) if of_states else None
        )
        super().__init__(
            AttentionController(
                pipe,
                override=self._override,
                on_start=self._start,
                on_end=self._end,
                change={
                    "edits": [edit.describe() for edit in self._of_attention],
                    "recorded": "attention before the edits",
                    **(
                        {"state_edits": [edit.describe() for edit in of_states]}
                        if of_states
                        else {}
                    ),
                },
                states=self._states,
            )
        )

    def _start(self, pipeline_call: PipelineCall) -> None:
        self._applied = [
            AppliedEdit(edit, pipeline_call, self._sentences) for edit in self._of_attention
        ]
        if self._states is not None:
            self._states.start(pipeline_call)

    def _end(self, pipeline_call: PipelineCall) -> None:
        unused = [each.edit.describe() for each in self._applied if not each.is_used]
        if unused:
            raise TraceError(
                "Expected every edit to match some step, layer, attention head and image of the pipeline call, but "
                f"these changed nothing: {unused}."
            )

    def _override(
        self, site: CallSite, call: AttentionCall, value: Tensor, output: Tensor
    ) -> Tensor:
        matching = [each for each in self._applied if each.matches(site, call.query.shape[1])]
        for image, layout in enumerate(site.layouts):
            own = [each for each in matching if image in each.keys and each.edit.scale != 1]
            if not own:
                continue

            def change(weights: Tensor, part: slice, image: int = image, own: Any = own) -> Tensor:
                for each in own:
                    weights = each.change(weights, image, site, part)
                return weights

            replace_weights(call, value, output, site.rows.start + image, layout.pixels, change)
        return output
