"""Tracing a pipeline: which pixels attended to which word while it drew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import xarray as xr

from daam_syntax.attention.pipeline_call.call import EncodedText, PipelineCall
from daam_syntax.attention.pipeline_call.observer import ObserverContext
from daam_syntax.attention.pipeline_call.recorder import Recorder
from daam_syntax.attention.pipeline_call.recording_spec import RecordingSpec
from daam_syntax.attention.pipeline_call.sentences import Sentences
from daam_syntax.attention.softmax.refinement import refine as refined_by
from daam_syntax.errors import TraceError
from daam_syntax.language import Sentence, parse_many
from daam_syntax.maps import HeatMaps
from daam_syntax.maps.selection import LayerSelection, StepSelection
from daam_syntax.util.wording import plural


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
    prompts: Iterable[str] | str = (),
) -> Trace:
    """Record which pixels attend to which words while a pipeline draws.

    Parameters
    ----------
    pipe
        A diffusers text-to-image pipeline of a known family (see `FAMILIES`); pipelines that begin
        with a picture, fill one in, or follow one (ControlNet) work likewise.
    parser
        The dependency parser for the prompts: a name, a loaded spaCy pipeline, or None for the
        default.
    layers
        Which text attentions to record: None for all; a function ``(path, (rows, columns)) ->
        bool``; or a list of which one entry must fit, a string every module path that contains it,
        one such as "16x16" every layer of that grid, a number every layer whose grid has that many
        rows.
    steps
        Which steps to record: None for all; a number or several, from 0; a slice of numbers; a slice
        with a fraction in it (``slice(0, 1/3)`` is the first third of the drawing); or a function
        ``(number, timestep) -> bool``. A step is a call of the denoiser with the prompts: schedulers
        of second order make two of most timesteps. How many there will be is known from the
        pipeline's scheduler, and in a loop of your own from `Trace.describe_drawing`.
    keep
        The axes to keep apart, any of "step", "layer" and "head"; what is not kept is averaged
        while the model draws. Word maps are always the mean over what was kept, the same as without;
        `HeatMaps.word_array`, `HeatMaps.data` and `HeatMaps.select` show it. Heads can only be kept
        where all recorded layers have as many; head 3 of one layer has nothing to do with head 3 of
        another, so keep the layers, too, or record one.
    max_bytes
        The most memory the recordings of this trace may take; None for half of what is available
        when a drawing begins (the heat maps need as much once more). Checked after the first step of
        each drawing, when grids, heads and the number of steps are known, see `predicted_bytes`.
    also
        Texts that are not in the prompts, whose maps are wanted, too: a hypernym or a foil, say. Their
        keys see the queries of every image, each text in a softmax of its own (see
        `daam_syntax.attention.pipeline_call.other_texts`); the picture does not change. Get their maps with
        ``heat_maps(of=text)``. For UNets, PixArt and Sana: in joint attention the text changes with the
        picture. Each text takes as much memory as a prompt of
        its length, and for each step and layer the time of one more softmax.
    refine
        Whether to record the self-attention of the finest grid among the recorded layers, too, for
        ``heat_maps(refined=True)``. Not for models with linear self-attention (Sana). Takes 4 bytes for
        each image and pair of pixels of that grid, and for each step and such layer the time of one more softmax.
    padding
        Whether to record the tokens that fill a prompt up to the encoder's length, too, one by one (see
        `HeatMaps.special`). A drawing takes the memory of a prompt that leaves no padding.
    negative
        Whether to record the negative prompts, too: what the unconditional half of guidance attends to, for
        ``heat_maps(negative=True)``. Takes as much as the prompts.
    prompts
        The text of the prompts, where the pipeline is given ``prompt_embeds`` instead: one for each of
        their rows, the same in every call. The embeddings must be as long as what the pipeline makes of the text
        itself, which it does once more, so it needs its text encoders.

    Returns
    -------
    Trace
        To be used in a ``with`` statement.

    Raises
    ------
    TraceError
        If the pipeline's family is not known, or cannot do what is asked for.
    MemoryLimitError
        While the pipeline draws, if the recording would take more than `max_bytes`; it says what to
        drop.
    ValueError
        If there is no such axis, or no such selection of steps.
    PromptError
        If a text of `also` has no words.

    Examples
    --------
    >>> with trace(pipe) as recording:  # doctest: +SKIP
    ...     images = pipe("a red cat", num_images_per_prompt=2).images
    >>> maps = recording.heat_maps()  # doctest: +SKIP
    """
    return Trace(
        pipe,
        parser=parser,
        layers=layers,
        steps=steps,
        keep=keep,
        max_bytes=max_bytes,
        also=also,
        refine=refine,
        padding=padding,
        negative=negative,
        prompts=prompts,
    )


class Trace(ObserverContext):
    """A recording of a pipeline's attention to its prompts.

    Inside the ``with`` block the pipeline is listened to; afterwards it is as it was. What it draws
    is the same to the bit. Several calls of the pipeline in one block are recorded one after the
    other. Only calls from the thread that entered the block are recorded.

    See Also
    --------
    trace : Its parameters.
    """

    def __init__(
        self,
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
        prompts: Iterable[str] | str = (),
    ) -> None:
        self._parser = parser
        self._pipeline = type(pipe).__name__
        self._request = RecordingSpec(
            keep=keep,
            layers=layers,
            steps=steps,
            max_bytes=max_bytes,
            also=also,
            refine=refine,
            padding=padding,
            negative=negative,
            prompts=prompts,
        )
        self._recorder = Recorder(pipe, self._request)
        super().__init__(self._recorder)

    @property
    def n_unfinished(self) -> int:
        """How many drawings were interrupted, and so left out."""
        return self._recorder.n_unfinished

    @property
    def predicted_bytes(self) -> int | None:
        """What the last drawing takes in memory, predicted after its first step; None before that."""
        return self._request.predicted_bytes

    def describe_drawing(
        self,
        *,
        seeds: Sequence[int | None],
        settings: Mapping[str, Any] = MappingProxyType({}),
        timesteps: Sequence[float] | None = None,
    ) -> None:
        """Tell more of the drawing that has begun, in a loop of your own.

        Call it after `pipe.encode_prompt`, where no `prepare_latents` tells the seeds.

        Parameters
        ----------
        seeds
            Each image's seed, None where there is none.
        settings
            Whatever else should be known of all images of this drawing, by name.
        timesteps
            Those of all calls of the denoiser with the prompts that will be made, where they are known:
            for the selection of a fraction of the steps, and to predict the memory.

        Raises
        ------
        TraceError
            If no drawing has begun, or it has another number of images.
        """
        self._recorder.describe(seeds, settings, timesteps)

    def heat_maps(
        self,
        parser: Any = None,
        *,
        sentences: Sentences = (),
        of: str | None = None,
        refined: bool = False,
        negative: bool = False,
    ) -> list[HeatMaps]:
        """Return the heat maps of all images that were drawn, in the pipeline's order.

        A map's value is the mean probability with which a pixel attends to a token, over heads,
        steps and layers (each layer's mean resized to the finest grid recorded, bicubic). Drawings
        that were interrupted are left out.

        Parameters
        ----------
        parser
            The dependency parser; None for the trace's.
        sentences
            Sentences that are ready for use: one, several, or a mapping from prompts. Prompts with
            the texts of these are not parsed.
        of
            One of the texts that were traced besides the prompts (`also`): the maps are of its words.
            None for the prompts.
        refined
            Whether to refine the maps, which `trace` must have been told (``refine=True``): the mean over
            the layers of the finest grid is carried once along their self-attention, and each subword's
            minimum is subtracted (after Wang et al. 2023; Nguyen et al. 2023). Axes that were kept are
            averaged. Values are then no probabilities, but a share above the map's least one.
        negative
            Whether the maps are those of the negative prompts' words, in the half of guidance that is drawn
            from them, which `trace` must have been told (``negative=True``).

        Returns
        -------
        list of HeatMaps
            One per image. If `refined`, ``provenance["refined"]`` says how. With `of` or `negative`,
            ``provenance["drawn_from"]`` is the image's prompt; with `negative`, ``provenance["half"]`` says so.

        Raises
        ------
        TraceError
            If nothing was drawn, a given sentence is not the text of any prompt, or `of`, the negative prompts
            or self-attention were not traced.
        """
        self._check_asked(of, refined, negative)
        drawings = self._recorder.finished
        if not drawings:
            interrupted = (
                f" ({self.n_unfinished} interrupted: a loop of your own must end with "
                "pipe.maybe_free_model_hooks())"
                if self.n_unfinished
                else ""
            )
            raise TraceError(
                f"Expected at least one drawing, but {self._pipeline} finished none in this "
                f"trace{interrupted}: call the pipeline inside the `with` block, in the thread "
                "that entered it."
            )
        if of is None and not negative:
            shown = drawings
        else:
            shown = [drawing.showing(_text(drawing, of)) for drawing in drawings]
        read = self._sentences(shown, parser, sentences)
        result = []
        for call, (drawing, other) in enumerate(zip(drawings, shown, strict=True)):
            for maps in _heat_maps(other, call, read, refined):
                known: dict[str, Any] = {}
                if other is not drawing:
                    known["drawn_from"] = drawing.prompts[maps.provenance["prompt_index"]]
                if negative:
                    known["half"] = "unconditional: rows of the negative prompt"
                result.append(maps.with_provenance(**known) if known else maps)
        return result

    def _check_asked(self, of: str | None, refined: bool, negative: bool) -> None:
        """Refuse maps of what was not traced."""
        if refined and not self._request.refine:
            raise TraceError(
                "Expected a trace that recorded self-attention, to refine its maps, but this one did "
                "not: trace with refine=True."
            )
        if negative and not self._request.negative:
            raise TraceError(
                "Expected a trace that recorded the negative prompts, but this one did not: trace "
                "with negative=True."
            )
        if negative and (refined or of is not None):
            raise TraceError(
                "Expected negative=True alone, but got it with refined=True or of=...: self-attention and other "
                "texts are recorded of the half that is drawn from the prompts only."
            )
        if of is not None and of not in self._request.also:
            raise TraceError(
                f"Expected one of the texts traced besides the prompts, {list(self._request.also)}, but "
                f"got {of!r}: trace with also=[{of!r}]."
            )

    def _sentences(
        self, drawings: list[PipelineCall], parser: Any, given: Sentences
    ) -> dict[str, Sentence]:
        """Return the sentence of each distinct prompt."""
        if isinstance(given, Sentence):
            given = [given]
        given = list(given.values() if isinstance(given, Mapping) else given)
        prompts = list(dict.fromkeys(prompt for drawing in drawings for prompt in drawing.prompts))
        unknown = [sentence.text for sentence in given if sentence.text not in prompts]
        if unknown:
            raise TraceError(
                f"Expected sentences of the prompts {prompts}, but got {unknown}: the texts must "
                "be the same to the letter."
            )
        read = {sentence.text: sentence for sentence in given}
        chosen = self._parser if parser is None else parser
        others = [prompt for prompt in prompts if prompt not in read]
        return read | dict(zip(others, parse_many(others, chosen), strict=True))

    def __repr__(self) -> str:
        drawings = self._recorder.finished
        images = sum(drawing.n_images for drawing in drawings)
        unfinished = f", {self.n_unfinished} interrupted" if self.n_unfinished else ""
        state = "recording" if self._recorder.is_at_work else "not recording"
        return (
            f"<Trace of {self._pipeline} ({len(self._recorder.attentions)} text attentions): {state}, "
            f"{plural(len(drawings), 'drawing')} with {plural(images, 'image')}{unfinished}>"
        )


def _text(drawing: PipelineCall, of: str | None) -> EncodedText:
    """Return one of the texts that were traced besides the prompts; the negative prompts if None."""
    if of is not None:
        return next(text for text in drawing.also if text.prompts == (of,))
    assert drawing.negative is not None, "a finished drawing has what was asked for"
    return drawing.negative


def _heat_maps(
    drawing: PipelineCall, call: int, sentences: Mapping[str, Sentence], refined: bool
) -> list[HeatMaps]:
    kept = {position: row for row, position in enumerate(drawing.positions)}
    values = None if drawing.sums.keep else drawing.sums.mean_maps()
    how: dict[str, Any] = {}
    if refined:
        values = refined_by(drawing.sums.finest_maps(), drawing.self_attention.mean())
        how = {"refined": drawing.self_attention.describe()}
    result = []
    several = len(drawing.blocks) > 1
    for image in range(drawing.n_images):
        known = drawing.provenance(image)
        index = known["prompt_index"]
        sentence = sentences[drawing.prompts[index]]
        read = {block.encoder: (block.start, block.prompts[index]) for block in drawing.blocks}
        rows = [kept[start + place] for start, each in read.values() for place in each.positions]
        recorded = (
            drawing.sums.kept_maps(image, rows, drawing.steps)
            if values is None
            else xr.DataArray(values[image, rows], dims=("token", "y", "x"))
        )
        result.append(
            HeatMaps(
                recorded,
                [
                    replace(subword, encoder=name if several else "")
                    for name, (_, each) in read.items()
                    for subword in each.subwords
                ],
                sentence,
                image_size=(known["height"], known["width"]),
                truncated_at={name: each.truncated_at for name, (_, each) in read.items()}
                if several
                else next(each.truncated_at for _, each in read.values()),
                provenance=known | {"call": call, "parser": sentence.parser} | how,
            )
        )
    return result
