"""Tracing a pipeline: recording which pixels attend to which word while images are generated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from daam_syntax.attention.observers.observer_context import ObserverContext
from daam_syntax.attention.pipeline_call.call import PipelineCall
from daam_syntax.attention.pipeline_call.recording_spec import (
    RecordingSpec,
    as_texts,
    check_relations,
)
from daam_syntax.attention.recorded_maps import (
    check_recorded,
    frames_of_call,
    maps_of_call,
    origin,
    output_maps_of_call,
    with_recorded_text,
)
from daam_syntax.attention.recorded_relations import (
    among_pixels,
    among_text,
    check_alone,
    check_relation,
    in_encoders,
    with_text_as_queries,
)
from daam_syntax.attention.recording.recorder import Recorder
from daam_syntax.attention.recording.related_call import RelatedCall
from daam_syntax.attention.recording.relation_recorder import RelationRecorder
from daam_syntax.attention.texts.sentences import PromptSentences, Sentences
from daam_syntax.errors import TraceError
from daam_syntax.maps import HeatMaps, OutputMaps, VideoMaps
from daam_syntax.maps.kept_maps import check_axes
from daam_syntax.maps.selection import LayerSelection, StepSelection
from daam_syntax.maps.word_attention.image_attention import ImageAttention
from daam_syntax.maps.word_attention.values import WordAttention
from daam_syntax.pipelines.vocabulary import untrained_words, warn_of_untrained_words
from daam_syntax.util.arguments.checks import checked
from daam_syntax.util.wording import plural


@checked
def trace(
    pipe: Any,
    *,
    parser: Any = None,
    layers: LayerSelection = None,
    steps: StepSelection = None,
    keep: Iterable[str] | str = (),
    max_bytes: int | None = None,
    also: Iterable[str] | str = (),
    refine: bool = False,
    padding: bool = False,
    negative: bool = False,
    references: bool = False,
    prompts: Iterable[str] | str = (),
    relations: Iterable[str] | str = ("image-text",),
    relation_axes: Iterable[str] | str | None = None,
    outputs: bool = False,
) -> Trace:
    """Record which pixels attend to which words while a pipeline generates images.

    Parameters
    ----------
    pipe
        A diffusers text-to-image pipeline of a known family (see `FAMILIES`). Image-to-image, inpainting and
        ControlNet pipelines work in the same way; so do pipelines that draw beside reference images (see
        `references`) and, with `Trace.video_maps`, some pipelines that generate videos.
    parser
        The dependency parser for the prompts: a name, a loaded spaCy pipeline, or None for the default.
    layers
        Which text attentions to record: None for all; a function ``(path, (rows, columns)) -> bool``; or one entry
        or a list of entries, at least one of which must match. A string such as "16x16" matches the layers with that
        grid, any other string the layers whose module path contains it, and a number the layers whose grid has that
        many rows.
    steps
        Which steps to record: None for all; one number or several, from 0; a slice of numbers; a slice with a
        fraction (``slice(0, 1/3)`` is the first third of the steps); or a function ``(number, timestep) -> bool``.
        A step is a denoiser call with the prompts: second-order schedulers make two of most timesteps. The number of
        steps is known from the pipeline's scheduler, and in your own loop from `Trace.describe_call`.
    keep
        The axes to keep, any of "step", "layer" and "head". Attention is averaged over the others during recording.
        Word maps are always the mean over the kept axes, the same as without them; `HeatMaps.word_array`,
        `HeatMaps.data` and `HeatMaps.select` give access to the axes. Attention heads can be kept only if all
        recorded layers have equally many. Since head 3 of one layer is unrelated to head 3 of another, also keep the
        layers, or record one layer.
    max_bytes
        The largest size of this trace's recordings in memory; None for half of the memory that is available when a
        pipeline call begins (heat maps need the same amount again). It is checked after the first step of each call,
        when grids, attention heads and the number of steps are known; see `predict_bytes`.
    also
        Additional texts to map, such as a hypernym or a foil; they may be words of the prompt. The image does not
        change. In cross-attention the queries of every image attend to their keys, each text in a softmax of its own
        (see `daam_syntax.attention.pipeline_call.other_texts`). In joint attention each text has a residual stream of
        its own, which attends to the image and to itself, and to which nothing attends (after Helbling et al. 2025);
        the softmax of a pixel then runs over the text and the image, as it does over the prompt and the image (see
        `daam_syntax.attention.recording.concept_streams`). Get their maps with ``heat_maps(of=text)``, for videos with
        ``video_maps(of=text)``. Supported for UNets, PixArt, Sana, Wan, and joint attention; docs/models.md says which
        models are refused, and why. Each text takes as much memory as a prompt of its length, and the time of one more
        softmax for each step and layer; in joint attention, that of one more attention, and of the block for the text's
        tokens, with a copy of the keys and values of one layer at a time.
    refine
        Whether to record the self-attention of the finest grid among the recorded layers, too, for
        ``heat_maps(refined=True)``. Not supported for models with linear self-attention (Sana). It takes 4 bytes for
        each image and pair of pixels of that grid, and the time of one more softmax for each step and layer of that
        grid.
    padding
        Whether to record each of the padding tokens that fill a prompt up to the encoder's length, too (see
        `HeatMaps.special`). Every prompt then takes the memory of one without padding.
    negative
        Whether to record the negative prompts, too: what the unconditional rows of guidance attend to, for
        ``heat_maps(negative=True)``. Takes as much memory as the prompts.
    references
        Whether to record the pixels of reference images, too, in pipelines that draw beside them (Flux Kontext, Flux 2,
        Qwen-Image-Edit), for ``heat_maps(reference=0)``. Takes as much memory for each pixel as the image.
    prompts
        The text of the prompts, if the pipeline receives ``prompt_embeds`` instead: one text for each of their rows,
        the same in every call. The embeddings must have the length of the pipeline's own embeddings of the text, and
        their directions, except that tokens may be weighted (see docs/models.md). The pipeline computes its own once
        more, so it needs its text encoders.
    relations
        Further relations of attention to record, besides "image-text": "text-text" and "text-image" (models whose text
        is among the queries, with joint attention), "image-image" (between at most 16 x 16 cells of the image, and in
        layers of at most 16,384 pixels), "refiner", the text among itself in blocks of the denoiser that read text
        alone (Lumina 2, Z-Image; `layers` does not apply), and "encoder", that in the text encoders. See
        `Trace.word_attention`, `Trace.heat_maps` and `Trace.image_attention`. Their memory is predicted with the rest.
    relation_axes
        The axes that these relations keep, as in `keep`; None for those of `keep`. So layers and heads of the attention
        between words can be kept while heat maps, which are larger, are averaged.
    outputs
        Whether to record how similar the attention output of each pixel is to that of each token, too, for
        `Trace.output_maps`: of the prompts and of the texts of `also`. Takes as much memory as their heat maps.

    Returns
    -------
    Trace
        A context manager.

    Raises
    ------
    TraceError
        If the pipeline's family is unknown, or does not support an option.
    MemoryLimitError
        During a pipeline call, if the recording would be larger than `max_bytes`. The message lists ways to make it
        smaller.
    ValueError
        If an axis, a relation, or a selection of steps is not valid.
    PromptError
        If a text of `also` or `prompts` has no words.

    Examples
    --------
    >>> with trace(pipe) as recording:  # doctest: +SKIP
    ...     images = pipe("a red cat", num_images_per_prompt=2).images
    >>> maps = recording.heat_maps()  # doctest: +SKIP
    """
    spec = RecordingSpec(
        layers=layers,
        steps=steps,
        keep=check_axes(keep),
        max_bytes=max_bytes,
        also=as_texts(also),
        refine=refine,
        padding=padding,
        negative=negative,
        references=references,
        prompts=as_texts(prompts),
        relations=check_relations(relations),
        relation_axes=None if relation_axes is None else check_axes(relation_axes),
        outputs=outputs,
    )
    return Trace(pipe, spec, parser=parser)


class Trace(ObserverContext):
    """A recording of a pipeline's attention to its prompts.

    Inside the ``with`` block the pipeline is observed; afterwards it is restored. Its images are bit-identical to
    those without a trace. Several calls of the pipeline in one block are recorded one after the other. Only calls
    from the thread that entered the block are recorded.

    Parameters
    ----------
    pipe
        A pipeline of a known family.
    spec
        What to record.
    parser
        The dependency parser for the prompts: a name, a loaded spaCy pipeline, or None for the default.

    See Also
    --------
    trace : The function that makes a trace; it explains what can be recorded.
    """

    def __init__(self, pipe: Any, spec: RecordingSpec | None = None, *, parser: Any = None) -> None:
        self.spec = RecordingSpec() if spec is None else spec
        self._parser = parser
        self._pipe = pipe
        self._pipeline = type(pipe).__name__
        has_more = self.spec.relations != ("image-text",)
        self._recorder = (RelationRecorder if has_more else Recorder)(pipe, self.spec)
        super().__init__(self._recorder)

    @property
    def n_unfinished(self) -> int:
        """Number of pipeline calls that were interrupted, and therefore left out."""
        return self._recorder.n_unfinished

    @property
    def predicted_bytes(self) -> int | None:
        """Size of the last pipeline call's recording, predicted after its first step; None before that."""
        return self._recorder.memory.predicted_bytes

    @checked
    def describe_call(
        self,
        *,
        seeds: Sequence[int | None],
        settings: Mapping[str, Any] = MappingProxyType({}),
        timesteps: Sequence[float] | None = None,
    ) -> None:
        """Describe the current pipeline call, in your own loop.

        Call it after `pipe.encode_prompt`, if your loop does not call `prepare_latents`, from which a trace
        otherwise reads the seeds.

        Parameters
        ----------
        seeds
            Seed number of the generator of each image; None where there is none.
        settings
            Further provenance of all images of this call, by name.
        timesteps
            Timesteps of all denoiser calls with the prompts that will follow, if known: to select a fraction of the
            steps, and to predict the memory.

        Raises
        ------
        TraceError
            If no call has begun, or it has another number of images.
        """
        self._recorder.describe(seeds, settings, timesteps)

    @checked
    def heat_maps(
        self,
        parser: Any = None,
        *,
        sentences: Sentences = (),
        of: str | None = None,
        refined: bool = False,
        negative: bool = False,
        reference: int | None = None,
        relation: str = "image-text",
    ) -> list[HeatMaps]:
        """Return the heat maps of all generated images, in the pipeline's order.

        A map's value is the mean probability with which a pixel attends to a token, over attention heads, steps and
        layers. Each layer's mean is first resized to the finest recorded grid (bicubic). Interrupted pipeline calls
        are left out.

        Parameters
        ----------
        parser
            The dependency parser; None for that of the trace.
        sentences
            Prompts that are already parsed: sentences, spaCy Docs or Spans, or CoNLL-U (a file, or its text); one,
            several, or a mapping from prompts to them. The other prompts are parsed.
        of
            One of the texts outside the prompts that were traced (`also`), to get the maps of its words; None for
            the prompts.
        refined
            Whether to refine the maps, which requires ``trace(refine=True)``. The mean over the layers of the finest
            grid is propagated once along their self-attention, and each subword's minimum is subtracted (after Wang
            et al. 2023; Nguyen et al. 2023). Kept axes are averaged. The values are then not probabilities: they
            measure how far a pixel lies above the map's minimum.
        negative
            Whether to return the maps of the negative prompts' words in the unconditional rows of guidance, which
            requires ``trace(negative=True)``.
        reference
            Number of a reference image, from 0, to get the maps of the prompt's words on it, which requires
            ``trace(references=True)``; None for the images that were generated.
        relation
            "image-text", or "text-image" for the attention from each token to the pixels, which requires
            ``trace(relations="text-image")``: the maps of a token sum to at most 1 over the pixels, and the map of a
            word is the mean over its tokens, which are the queries. Of the options above, only `parser` and
            `sentences` can be combined with it.

        Returns
        -------
        list of HeatMaps
            One per image. If `refined`, ``provenance["refined"]`` describes the refinement. With `of` or `negative`,
            ``provenance["drawn_from"]`` is the image's prompt; with `negative`, ``provenance["half"]`` names the
            unconditional rows. With `reference`, the maps have the size of the reference image as the pipeline resized
            it, and ``provenance["reference"]`` is its number.

        Raises
        ------
        TraceError
            If no pipeline call finished, a given sentence is not the parse of any prompt, or `of`, the negative
            prompts, reference images or self-attention were not traced.
        """
        if relation != "image-text":
            check_alone(relation, of=of, refined=refined, negative=negative, reference=reference)
        check_recorded(self.spec, of=of, refined=refined, negative=negative, reference=reference)
        calls = self._calls(reference)
        if relation != "image-text":
            calls = [with_text_as_queries(*each) for each in self._related_calls(relation)]
        self._check_frames(calls, None, "Trace.video_maps()")
        shown = [with_recorded_text(call, of=of, negative=negative) for call in calls]
        read = self._parses(shown, sentences, parser)
        warn_of_untrained_words(self._pipe, (text for call in shown for text in call.prompts))
        result = []
        for number, (original, call) in enumerate(zip(calls, shown, strict=True)):
            for maps in maps_of_call(call, number, read, refined):
                known = origin(maps, original, call, negative)
                if (untrained := untrained_words(self._pipe, maps.prompt)) is not None:
                    known["untrained"] = list(untrained)
                result.append(maps.with_provenance(**known) if known else maps)
        return result

    @checked
    def output_maps(
        self,
        parser: Any = None,
        *,
        sentences: Sentences = (),
        of: str | None = None,
        frame: int | None = None,
    ) -> list[OutputMaps]:
        """Return the maps by similarity of attention outputs of all generated images, in the pipeline's order.

        Parameters
        ----------
        parser, sentences, of
            As for `heat_maps`.
        frame
            Number of a latent frame, from 0, if the pipeline generates videos; see `video_maps`.

        Returns
        -------
        list of OutputMaps
            One per image, or one per video, of the frame. Their values are dot products, not attention probabilities,
            and may be negative.

        Raises
        ------
        TraceError
            If no pipeline call finished, outputs, or the text `of`, were not traced, or there is no such frame.
        """
        check_recorded(self.spec, of=of, outputs=True)
        calls = self._calls()
        self._check_frames(calls, frame, "Trace.output_maps(frame=0)")
        shown = [with_recorded_text(call, of=of) for call in calls]
        read = self._parses(shown, sentences, parser)
        return [
            maps.with_provenance(**origin(maps, original, call, False))
            for number, (original, call) in enumerate(zip(calls, shown, strict=True))
            for maps in output_maps_of_call(call, number, read, frame)
        ]

    @checked
    def word_attention(
        self, relation: str = "text-text", parser: Any = None, *, sentences: Sentences = ()
    ) -> list[WordAttention]:
        """Return the attention from word to word.

        Parameters
        ----------
        relation
            "text-text", the attention among the text in the denoiser's joint attention; "refiner", that in its blocks
            that read text alone; or "encoder", that in the text encoders. The relation must have been traced
            (`relations`).
        parser, sentences
            As for `heat_maps`.

        Returns
        -------
        list of WordAttention
            "text-text" and "refiner": one for each image, in order; words of several text encoders are merged as in
            heat maps, and in "text-text" the attention to pixels is the entry "image". "encoder": one for each prompt
            and text encoder.

        Raises
        ------
        TraceError
            If no pipeline call finished, or the relation was not traced.
        """
        if relation not in ("text-text", "refiner", "encoder"):
            raise ValueError(
                "Expected a relation between words, 'text-text', 'refiner', or 'encoder', but got "
                f"{relation!r}."
            )
        pairs = self._related_calls(relation)
        read = self._parses([call for call, _ in pairs], sentences, parser)
        if relation == "encoder":
            return [
                found
                for call, related in pairs
                for found in in_encoders(call, related, self.spec, read)
            ]
        return [
            found
            for number, (call, related) in enumerate(pairs)
            for found in among_text(call, related, relation, number, read)
        ]

    def image_attention(self) -> list[ImageAttention]:
        """Return the attention between the cells of each image, which requires ``trace(relations="image-image")``.

        Only the layers of the finest recorded grid are averaged, or kept.

        Returns
        -------
        list of ImageAttention
            One for each image, in order.

        Raises
        ------
        TraceError
            If no pipeline call finished, or the relation was not traced.
        """
        return [
            found
            for number, (call, related) in enumerate(self._related_calls("image-image"))
            for found in among_pixels(call, related, number)
        ]

    def _related_calls(self, relation: str) -> list[tuple[PipelineCall, RelatedCall]]:
        check_relation(self.spec, relation)
        assert isinstance(self._recorder, RelationRecorder), "the relation was recorded"
        return list(zip(self._calls(), self._recorder.related, strict=True))

    def _check_frames(self, calls: Sequence[PipelineCall], frame: int | None, remedy: str) -> None:
        """Raise a `TraceError` if a frame is needed, or there is none of its number."""
        n = max(call.n_frames for call in calls)
        if frame is None and n > 1:
            raise TraceError(
                f"Expected images, but {self._pipeline} generated the frames of a video ({n} latent ones), which have "
                f"maps of their own: use {remedy}."
            )
        fewest = min(len(call.frames) for call in calls)
        if frame is not None and frame not in range(fewest):
            known = f"from 0 to {fewest - 1}" if fewest else "None, because images have none"
            raise TraceError(f"Expected the number of a latent frame, {known}, but got {frame}.")

    @checked
    def video_maps(
        self,
        parser: Any = None,
        *,
        sentences: Sentences = (),
        of: str | None = None,
        negative: bool = False,
        relation: str = "image-text",
    ) -> list[VideoMaps]:
        """Return the heat maps of all generated videos, in the pipeline's order.

        The pixels of a latent frame, a query each, attend to the words. A latent frame becomes one or several frames
        of the video, see `VideoMaps.drawn`.

        Parameters
        ----------
        parser, sentences, of, negative, relation
            As for `heat_maps`. With "text-image", the maps of a token sum to at most 1 over all frames.

        Returns
        -------
        list of VideoMaps
            One per video.

        Raises
        ------
        TraceError
            If no pipeline call finished, the pipeline generates images, or `of` or the negative prompts were not
            traced.
        """
        if relation != "image-text":
            check_alone(relation, of=of, refined=False, negative=negative, reference=None)
        check_recorded(self.spec, of=of, negative=negative)
        calls = self._calls()
        if relation != "image-text":
            calls = [with_text_as_queries(*each) for each in self._related_calls(relation)]
        if not all(call.frames for call in calls):
            raise TraceError(
                f"Expected the frames of a video, but {self._pipeline} generates images: use Trace.heat_maps()."
            )
        shown = [with_recorded_text(call, of=of, negative=negative) for call in calls]
        read = self._parses(shown, sentences, parser)
        return [
            VideoMaps(frames, call.frames).with_provenance(
                **origin(frames[0], original, call, negative)
            )
            for number, (original, call) in enumerate(zip(calls, shown, strict=True))
            for frames in frames_of_call(call, number, read)
        ]

    def _parses(
        self, calls: Sequence[PipelineCall], sentences: Sentences, parser: Any
    ) -> PromptSentences:
        """Return the parses of the texts of calls, of which some may be given."""
        read = PromptSentences(sentences, self._parser if parser is None else parser)
        read.parse_all(prompt for call in calls for prompt in call.prompts)
        return read

    def _calls(self, reference: int | None = None) -> list[PipelineCall]:
        """Return the finished calls, or those with a reference image in place of the generated ones."""
        calls = self._recorder.finished
        if not calls:
            interrupted = (
                f" ({self.n_unfinished} interrupted: your own loop must end with "
                "pipe.maybe_free_model_hooks())"
                if self.n_unfinished
                else ""
            )
            raise TraceError(
                f"Expected at least one finished pipeline call, but {self._pipeline} finished none in this "
                f"trace{interrupted}: call the pipeline inside the `with` block, in the thread that entered it."
            )
        if reference is None:
            return calls
        n = min(len(call.references) for call in calls)
        if reference not in range(n):
            raise TraceError(f"Expected a reference image from 0 to {n - 1}, but got {reference}.")
        return [call.with_reference(reference) for call in calls]

    def __repr__(self) -> str:
        calls = self._recorder.finished
        images = sum(call.n_images for call in calls)
        unfinished = f", {self.n_unfinished} interrupted" if self.n_unfinished else ""
        state = "recording" if self._recorder.is_attached else "not recording"
        return (
            f"<Trace of {self._pipeline} ({len(self._recorder.attentions)} text attentions): {state}, "
            f"{plural(len(calls), 'pipeline call')} with {plural(images, 'image')}{unfinished}>"
        )
