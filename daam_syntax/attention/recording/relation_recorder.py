"""A recorder of the other relations of attention: text to text, text to image, image to image, and text encoders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from daam_syntax.attention.families import TokenLayout, layouts
from daam_syntax.attention.families.video import require_images
from daam_syntax.attention.pipeline_call.call import EncodedText, PipelineCall
from daam_syntax.attention.pipeline_call.recording_spec import RecordingSpec
from daam_syntax.attention.pipeline_call.refusals import refuse_unobserved_attention
from daam_syntax.attention.recording.frames import split_frames
from daam_syntax.attention.recording.image_cells import attention_between_cells, check_pixels
from daam_syntax.attention.recording.laid_out import layouts_of_rows
from daam_syntax.attention.recording.recorder import Recorder
from daam_syntax.attention.recording.related_call import RelatedCall
from daam_syntax.attention.recording.self_attention import self_attention_call, self_attentions
from daam_syntax.attention.recording.text_groups import between_groups, subwords_of
from daam_syntax.attention.softmax.double_precision import in_64_bits
from daam_syntax.attention.softmax.layer_sums import LayerSums
from daam_syntax.attention.softmax.pair_sums import PairSums
from daam_syntax.attention.softmax.probabilities import AttentionCall, text_probabilities
from daam_syntax.attention.text_encoders.components import encoders_of
from daam_syntax.attention.text_encoders.encoder_recorder import EncoderRecorder
from daam_syntax.errors import TraceError
from daam_syntax.maps.selection import Grid
from daam_syntax.maps.word_attention.token_groups import TokenGroup, group_tokens

_FROM_TEXT = ("text-text", "text-image")


class RelationRecorder(Recorder):
    """Records further relations of attention beside that from image to text.

    Parameters
    ----------
    pipe
        A pipeline of a known family.
    spec
        What to record, with at least one relation besides "image-text".

    Attributes
    ----------
    related
        The relations of each finished pipeline call.
    """

    def __init__(self, pipe: Any, spec: RecordingSpec) -> None:
        super().__init__(pipe, spec)
        self.related: list[RelatedCall] = []
        self._relations = frozenset(spec.relations)
        self._related = RelatedCall()
        if self._relations.intersection(_FROM_TEXT) and self.family.layout is layouts.cross:
            self._refuse_queries()
        if "image-image" in self._relations:
            require_images(pipe, "record attention between their pixels")
        if "image-image" in self._relations and not self._self_attentions:
            self._self_attentions = self_attentions(self.family, self.denoiser, self.attentions)
            self.others = tuple(self._self_attentions)
        self._refiners = self._text_refiners() if "refiner" in self._relations else ()
        self.others += self._refiners
        # By prompt and layout, which are the same in most layers and steps.
        self._known_groups: dict[tuple[object, ...], tuple[tuple[TokenGroup, ...], Tensor]] = {}

    def _refuse_queries(self) -> None:
        wanted = " and ".join(sorted(self._relations.intersection(_FROM_TEXT)))
        raise TraceError(
            f"Expected text among the queries of {type(self._pipe).__name__}, to record {wanted} attention, but the "
            f"{self.family.name} family attends from pixels alone: record relations=('encoder',), the attention among "
            "the text in its text encoders, or use a model with joint attention (see docs/models.md)."
        )

    def _text_refiners(self) -> tuple[str, ...]:
        """Return the paths of the attentions of blocks that read text alone."""
        refiner = self.family.text_refiner
        paths = [path for path, _ in self.denoiser.named_modules()]
        found = tuple(path for path in paths if refiner and refiner.is_attention(path))
        if not found:
            raise TraceError(
                f"Expected blocks in which the text attends to itself alone, to record 'refiner' attention, but "
                f"{type(self.denoiser).__name__} of the {self.family.name} family has none: record relations="
                "('encoder',), the attention among the text in its text encoders, or 'text-text' in joint attention."
            )
        return found

    def encoding(self, call: Callable[[], Any], arguments: Mapping[str, Any]) -> Any:
        """Record the text encoders while the prompts are encoded."""
        if "encoder" not in self._relations:
            return super().encoding(call, arguments)
        before = self.current
        begins = before is None or bool(before.timesteps)
        recorders = self._encoder_recorders(arguments) if begins else self._related.encoders
        with ExitStack() as stack:
            for recorder in recorders:
                stack.enter_context(recorder.recording())
            result = super().encoding(call, arguments)
        if self.current is not before:
            self._related = RelatedCall(encoders=recorders)
        return result

    def _encoder_recorders(self, arguments: Mapping[str, Any]) -> list[EncoderRecorder]:
        """Return a recorder for each text encoder, for the prompts that it reads."""
        given = arguments.get("prompt")
        if given is None:
            raise TraceError(
                "Expected prompts as text, to record what the text encoders attend to (relations='encoder'), but the "
                "pipeline got prompt_embeds: pass prompt=..., or call daam_syntax.trace_text(pipe, prompts)."
            )
        prompts = [given] if isinstance(given, str) else list(given)
        keep = [axis for axis in self._spec.axes_of_relations if axis != "step"]
        recorders = []
        for each in encoders_of(self._pipe, self.family):
            other = arguments.get(f"prompt{each.name.removeprefix('text_encoder')}")
            own = prompts if other is None else [other] if isinstance(other, str) else list(other)
            recorders.append(EncoderRecorder(each, own, keep))
        return recorders

    def attention_ran(self, path: str, module: nn.Module, calls: Sequence[AttentionCall]) -> None:
        """Add the attention of one module."""
        if path in self._refiners:
            if self._rows.prompts is not None:
                self._refiner_ran(path, module, calls, self._rows.prompts)
            return
        if path in self._self_attentions and "image-image" in self._relations:
            if self._rows.prompts is not None:
                self._pixels_ran(path, module, calls, self._rows.prompts)
            if not self._spec.refine:
                return
        super().attention_ran(path, module, calls)

    def denoiser_returned(self) -> None:
        """Check that all attentions were observed, and that the recording is not too large."""
        self._check_observed(self._refiners, "attentions of the text alone")
        super().denoiser_returned()

    def _refiner_ran(
        self, path: str, module: nn.Module, calls: Sequence[AttentionCall], rows: slice
    ) -> None:
        """Add the attention of a block that reads text alone."""
        pipeline_call, refiner = self._pipeline_call(), self.family.text_refiner
        assert refiner is not None, "its modules were found"
        n_text = pipeline_call.text_length
        if len(calls) != 1 or calls[0].query.shape[-2] < n_text:
            refuse_unobserved_attention(
                path, module, calls, keys=f"{n_text} text keys", denoiser=self.family.denoiser
            )
        (call,) = calls
        self._check_rows(call)
        self._ran.add(path)
        self._begin_step(pipeline_call)
        if not self._records_step:
            return
        lengths = refiner.lengths(call.query.shape[0], n_text, self._inputs)
        for image in range(pipeline_call.n_images):
            row = rows.start + image
            layout = TokenLayout(pixels=slice(0, 0), text=slice(0, lengths[row]))
            weights = text_probabilities(
                call,
                rows=slice(row, row + 1),
                queries=layout.text,
                by_head="head" in self._spec.axes_of_relations,
            )[0]
            groups, group_of = self._groups(
                pipeline_call, pipeline_call.prompt_index(image), layout, call.key.shape[-2]
            )
            if image == len(self._related.refined):
                self._related.refined.append(PairSums(self._spec.axes_of_relations))
                self._related.refined_groups.append(groups)
            values = between_groups(in_64_bits(weights), groups, group_of, layout.text)
            self._related.refined[image].add(len(pipeline_call.steps) - 1, path, values)

    def _pixels_ran(
        self, path: str, module: nn.Module, calls: Sequence[AttentionCall], rows: slice
    ) -> None:
        call = self_attention_call(path, module, calls, self.family.denoiser)
        self._check_rows(call)
        self._ran.add(path)
        grid = self._grid(path, call.query.shape[-2])
        pipeline_call = self._pipeline_call()
        self._begin_step(pipeline_call)
        if self._records(self._self_attentions[path], grid):
            self._add_cells(pipeline_call, path, grid, call, rows, None)

    def _record(
        self,
        pipeline_call: PipelineCall,
        text: EncodedText,
        rows: slice,
        path: str,
        module: nn.Module,
        calls: Sequence[AttentionCall],
    ) -> tuple[AttentionCall, TokenLayout | list[TokenLayout], Grid]:
        """Add the attention of some rows to their own text, and the other relations of the prompts."""
        call, layout, grid = super()._record(pipeline_call, text, rows, path, module, calls)
        if text is pipeline_call and self._records(path, grid):
            own = layouts_of_rows(layout, rows)
            if self._relations.intersection(_FROM_TEXT):
                self._add_text(pipeline_call, path, grid, call, rows, own)
            if "image-image" in self._relations and not self._self_attentions:
                self._add_cells(pipeline_call, path, grid, call, rows, own)
        return call, layout, grid

    def _add_text(
        self,
        pipeline_call: PipelineCall,
        path: str,
        grid: Grid,
        call: AttentionCall,
        rows: slice,
        own: Sequence[TokenLayout],
    ) -> None:
        """Add the attention from the text."""
        if call.query.shape[-2] != call.key.shape[-2]:
            self._refuse_queries()
        related, by_head = self._related, "head" in self._spec.axes_of_relations
        step = len(pipeline_call.steps) - 1
        positions = pipeline_call.positions
        to_pixels = []
        for image, layout in enumerate(own):
            row = slice(rows.start + image, rows.start + image + 1)
            weights = text_probabilities(call, rows=row, queries=layout.text, by_head=by_head)[0]
            if "text-text" in self._relations:
                groups, group_of = self._groups(
                    pipeline_call, pipeline_call.prompt_index(image), layout, call.key.shape[-2]
                )
                if image == len(related.text_text):
                    related.text_text.append(PairSums(self._spec.axes_of_relations))
                    related.groups.append(groups)
                values = between_groups(in_64_bits(weights), groups, group_of, layout.text)
                related.text_text[image].add(step, path, values)
            if "text-image" in self._relations:
                pixels = weights[..., layout.pixels].transpose(-1, -2)
                whole = pixels.new_zeros(*pixels.shape[:-1], len(positions))
                seen = [place for place, p in enumerate(positions) if p < pixels.shape[-1]]
                whole[..., seen] = pixels[..., [positions[place] for place in seen]]
                to_pixels.append(whole)
        if to_pixels:
            if not related.text_image.grids:
                related.text_image = LayerSums(self._spec.axes_of_relations)
            by_frame = split_frames(torch.stack(to_pixels), pipeline_call.n_frames)
            related.text_image.add(path, grid, by_frame, step)

    def _groups(
        self, pipeline_call: PipelineCall, prompt: int, layout: TokenLayout, n_keys: int
    ) -> tuple[tuple[TokenGroup, ...], Tensor]:
        """Return the groups of the tokens of a sequence, and the number of the group of each key."""
        place = (prompt, layout.text.start, layout.text.stop, layout.pixels.start, n_keys)
        if place not in self._known_groups:
            self._known_groups[place] = self._find_groups(pipeline_call, prompt, layout, n_keys)
        return self._known_groups[place]

    def _find_groups(
        self, pipeline_call: PipelineCall, prompt: int, layout: TokenLayout, n_keys: int
    ) -> tuple[tuple[TokenGroup, ...], Tensor]:
        n_text = layout.text.stop - layout.text.start
        groups = list(group_tokens(subwords_of(pipeline_call, prompt, n_text)))
        group_of = torch.full((n_keys,), -1)
        for number, group in enumerate(groups):
            group_of[[layout.text.start + position for position in group.positions]] = number
        if layout.pixels.stop > layout.pixels.start:
            group_of[layout.pixels] = len(groups)
            groups.append(TokenGroup("image", "image", ()))
        if (group_of < 0).any():
            group_of[group_of < 0] = len(groups)
            groups.append(TokenGroup("other", "other", ()))
        return tuple(groups), group_of

    def _add_cells(
        self,
        pipeline_call: PipelineCall,
        path: str,
        grid: Grid,
        call: AttentionCall,
        rows: slice,
        own: Sequence[TokenLayout] | None,
    ) -> None:
        """Add the attention between the cells of each image."""
        check_pixels(path, grid)
        by_head = "head" in self._spec.axes_of_relations
        for image in range(pipeline_call.n_images):
            row = slice(rows.start + image, rows.start + image + 1)
            pixels = keys = slice(0, grid[0] * grid[1])
            if own is not None:
                pixels = keys = own[image].pixels
                if call.query.shape[-2] != call.key.shape[-2]:
                    start = own[image].text.stop
                    keys = slice(start, start + pixels.stop - pixels.start)
                if keys.stop > call.key.shape[-2]:
                    raise TraceError(
                        f"Expected {path} to attend to pixels, too, to record image-image attention, but it attends "
                        f"to text alone, and {type(self.denoiser).__name__} has no known self-attention beside it: "
                        "trace without 'image-image'."
                    )

            def weights(queries: slice, row: slice = row, keys: slice = keys) -> Tensor:
                return text_probabilities(
                    call, rows=row, queries=queries, keys=keys, by_head=by_head
                )[0]

            size = call.key.shape[-2] * (call.query.shape[1] if by_head else 1)
            values = attention_between_cells(weights, grid, pixels, size)
            if image == len(self._related.image_image):
                self._related.image_image.append({})
            sums = self._related.image_image[image]
            sums.setdefault(grid, PairSums(self._spec.axes_of_relations)).add(
                len(pipeline_call.steps) - 1, path, values
            )

    def discard_current(self) -> None:
        """Discard a pipeline call that did not finish."""
        super().discard_current()
        self._related = RelatedCall()
        self._known_groups = {}

    def call_finished(self, pipeline_call: PipelineCall) -> None:
        """Keep a finished pipeline call."""
        for recorder in self._related.encoders:
            recorder.check()
        super().call_finished(pipeline_call)
        self._related.move_to_host()
        self.related.append(self._related)
        self._related = RelatedCall()
