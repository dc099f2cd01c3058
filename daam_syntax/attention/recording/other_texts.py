"""Recording the attention of pixels to texts outside the prompt, in cross-attention and in joint attention."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from daam_syntax.attention.families import Family, TokenLayout
from daam_syntax.attention.pipeline_call.call import EncodedText, PipelineCall
from daam_syntax.attention.pipeline_call.other_texts import (
    embed_for_attention,
    other_text_probabilities,
    other_text_values,
    refuse_family,
)
from daam_syntax.attention.pipeline_call.recording_spec import RecordingSpec
from daam_syntax.attention.pipeline_call.rows import Rows
from daam_syntax.attention.recording.concept_attention import stacked
from daam_syntax.attention.recording.concept_streams import ConceptCall, ConceptStreams
from daam_syntax.attention.recording.frames import split_frames
from daam_syntax.attention.recording.outputs import output_projection, similarity
from daam_syntax.attention.softmax.probabilities import AttentionCall, text_probabilities
from daam_syntax.attention.softmax.transfers import indices
from daam_syntax.errors import TraceError
from daam_syntax.maps.selection import Grid


class OtherTexts:
    """Records texts outside the prompt.

    Parameters
    ----------
    family
        The denoiser's family.
    denoiser
        The denoiser.
    attentions
        Its text attentions, by module path.
    spec
        What to record.

    Attributes
    ----------
    streams
        The texts' own streams in joint attention; None for cross-attention, and if no texts are recorded.

    Raises
    ------
    TraceError
        If the family has no keys for another text that are known.
    """

    def __init__(
        self,
        family: Family,
        denoiser: nn.Module,
        attentions: Mapping[str, nn.Module],
        spec: RecordingSpec,
    ) -> None:
        if spec.also:
            refuse_family(family, denoiser)
        self._family = family
        self._denoiser = denoiser
        self._by_head = "head" in spec.keep
        self._outputs = spec.outputs
        has_streams = bool(spec.also) and family.text_stream is not None
        self.streams = ConceptStreams(family, denoiser, list(attentions)) if has_streams else None

    def attach(self) -> None:
        """Register hooks, if the texts have streams."""
        if self.streams is not None:
            self.streams.attach()

    def detach(self) -> None:
        """Remove the hooks."""
        if self.streams is not None:
            self.streams.detach()

    def begin_step(self, rows: Rows) -> None:
        """Begin streams anew, also after a step that failed, and refuse a step in whose blocks another text cannot run.

        Raises
        ------
        TraceError
            If rows have perturbed attention.
        """
        self.end_step()
        if self.streams is not None and rows.n_perturbed:
            raise TraceError(
                "Expected attention that is not perturbed, to map text outside the prompt (also=) in joint attention, "
                "but this pipeline adds rows with perturbed attention, and its layers divide every batch accordingly: "
                "pass pag_scale=0, or trace without also=."
            )

    def end_step(self) -> None:
        """Forget the streams, if the texts have any."""
        if self.streams is not None:
            self.streams.end_step()

    def attention_ran(
        self,
        pipeline_call: PipelineCall,
        path: str,
        module: nn.Module,
        call: AttentionCall,
        layouts: Sequence[TokenLayout],
        rows: slice,
        inputs: Mapping[str, Any],
        grid: Grid | None,
    ) -> None:
        """Add the attention of one layer to each text.

        Parameters
        ----------
        pipeline_call
            The pipeline call.
        path, module
            The text attention.
        call
            Its call, with values if the texts have streams.
        layouts
            For each image, which queries are pixels and which keys are text.
        rows
            The conditional rows of the batch.
        inputs
            The denoiser's inputs by name.
        grid
            The grid of the pixels; None if the layer is not recorded, and only carries streams.
        """
        step = len(pipeline_call.steps) - 1
        for text in pipeline_call.also:
            concept = None
            if self.streams is not None:
                concept = self.streams.run_block(
                    path, text, call, layouts, rows, inputs, with_pixels=grid is not None
                )
            if grid is None:
                continue
            found = (
                self._of_cross(path, text, module, call, layouts[0], rows)
                if concept is None
                else self._of_concept(text, concept, call, layouts, rows)
            )
            for sums, values in zip((text.sums, text.output_sums), found, strict=False):
                sums.add(path, grid, split_frames(values, pipeline_call.n_frames), step)

    def _of_concept(
        self,
        text: EncodedText,
        concept: ConceptCall,
        call: AttentionCall,
        layouts: Sequence[TokenLayout],
        rows: slice,
    ) -> Iterator[Tensor]:
        """Yield the attention to a text with a stream and, if it is recorded, the similarity of outputs."""
        n_keys = concept.keys.stop - concept.keys.start
        seen = [place for place, position in enumerate(text.positions) if position < n_keys]
        tokens = [text.positions[place] for place in seen]

        def at_all_positions(part: Tensor) -> Tensor:
            whole = part.new_zeros(*part.shape[:-1], len(text.positions))
            whole[..., indices(seen, part.device)] = part
            return whole

        yield at_all_positions(
            text_probabilities(
                concept.call,
                queries=concept.pixels,
                keys=concept.keys,
                tokens=tokens,
                by_head=self._by_head,
            )
        )
        if self._outputs:
            assert call.output is not None
            assert concept.call.output is not None
            yield at_all_positions(
                similarity(
                    stacked(call.output, rows, [layout.pixels for layout in layouts]),
                    concept.call.output[:, :, [concept.keys.start + token for token in tokens]],
                    None,
                    by_head=self._by_head,
                )
            )

    def _of_cross(
        self,
        path: str,
        text: EncodedText,
        module: nn.Module,
        call: AttentionCall,
        layout: TokenLayout,
        rows: slice,
    ) -> Iterator[Tensor]:
        """Yield the cross-attention to a text and, if it is recorded, the similarity of outputs to its values."""
        embed_for_attention(text, self._family, self._denoiser)
        yield other_text_probabilities(text, module, call, rows, by_head=self._by_head)
        if self._outputs:
            assert call.output is not None
            yield similarity(
                call.output[rows, :, layout.pixels],
                other_text_values(text, module, call, rows),
                output_projection(path, module),
                by_head=self._by_head,
            )
