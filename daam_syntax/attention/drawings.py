"""What is being drawn, and what its text attentions say about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from daam_syntax.attention.accumulate import Grid, LayerSums
from daam_syntax.attention.families import Family
from daam_syntax.attention.probabilities import AttentionCall, text_probabilities
from daam_syntax.attention.provenance import describe_pipeline, fresh_seed
from daam_syntax.attention.refusals import refuse_compiled, refuse_silent_attention
from daam_syntax.attention.tokens import TokenizedPrompt, tokenize
from daam_syntax.errors import TraceError


@dataclass
class Drawing:
    """One call of a pipeline: some prompts, and some images of each.

    Attributes
    ----------
    prompts
        The prompts, in order. Image ``i`` is of prompt ``i // images_per_prompt``.
    images_per_prompt
        How many images each prompt gets.
    text_length
        Length of the embedded text.
    asked_guidance
        Whether the pipeline asked for an unconditional embedding; None if it does not say.
    seeds
        Each image's seed, or None where it is not known.
    settings
        Provenance that all images share.
    timesteps
        The distinct timesteps, in order.
    image_size
        Height and width in pixels.
    guided
        Whether any call of the denoiser had unconditional rows.
    heard
        Paths of the text attentions that were heard.
    sums
        What they attended to.
    """

    prompts: tuple[TokenizedPrompt, ...]
    images_per_prompt: int
    text_length: int
    asked_guidance: bool | None
    seeds: list[int | None]
    settings: dict[str, Any] = field(default_factory=dict)
    timesteps: list[float] = field(default_factory=list)
    image_size: tuple[int, int] = (0, 0)
    guided: bool = False
    heard: set[str] = field(default_factory=set)
    sums: LayerSums = field(default_factory=LayerSums)

    @property
    def n_images(self) -> int:
        """How many images are drawn."""
        return len(self.prompts) * self.images_per_prompt

    @property
    def positions(self) -> list[int]:
        """The text positions that are kept: those which are not padding in some prompt."""
        return sorted({position for prompt in self.prompts for position in prompt.positions})

    def provenance(self, image: int) -> dict[str, Any]:
        """Say where an image's maps come from.

        Parameters
        ----------
        image
            The image's row in the batch.
        """
        prompt_index, image_number = divmod(image, self.images_per_prompt)
        return {
            "source": "drawing",
            **self.settings,
            "steps": len(self.timesteps),
            "timesteps": list(self.timesteps),
            "guided": self.guided,
            "height": self.image_size[0],
            "width": self.image_size[1],
            "seed": self.seeds[image],
            "batch_row": image,
            "batch_size": self.n_images,
            "prompt_index": prompt_index,
            "image_number": image_number,
            "layers": len(self.sums.grids),
        }


class Recorder:
    """Follows a pipeline from its prompts to its images and sums its attention up.

    It is told of the pipeline's calls (`encoding`, `preparing`, `finishing`) and listens to a
    `Tap`.

    Parameters
    ----------
    pipe
        The pipeline.
    family
        Its family.
    attentions
        Its text-attention modules by path.
    selects
        Which of them to record, by path and grid.
    """

    def __init__(
        self,
        pipe: Any,
        family: Family,
        attentions: Mapping[str, nn.Module],
        selects: Callable[[str, Grid], bool],
    ) -> None:
        self._pipe = pipe
        self._family = family
        self._attentions = attentions
        self._selects = selects
        self._grids: dict[str, Grid] = {}
        self._inputs: Mapping[str, Any] = {}
        self.current: Drawing | None = None
        self.finished: list[Drawing] = []
        self.n_unfinished = 0

    def encoding(self, call: Callable[[], Any], arguments: Mapping[str, Any]) -> Any:
        """Start a drawing when the pipeline encodes its prompts."""
        self.give_up()
        prompt = arguments.get("prompt")
        if prompt is None:
            raise TraceError(
                "Expected the prompt as text, but the pipeline was given prompt_embeds without a "
                "prompt, so the words are not known: pass prompt=... instead, and "
                "negative_prompt=... likewise."
            )
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)  # some pipelines change it
        refuse_compiled(
            self._family.denoiser_of(self._pipe), getattr(self._pipe, self._family.denoiser)
        )
        tokenizer = self._family.tokenizer_of(self._pipe)
        self._refuse_replaced_text(prompts, tokenizer)
        result = call()
        n_rows, text_length = result[0].shape[:2]
        n_images, rest = divmod(n_rows, len(prompts))
        if rest:
            raise TraceError(
                f"Expected the embeddings of {len(prompts)} prompts to have a multiple of that "
                f"many rows, but {type(self._pipe).__name__}.encode_prompt gave {n_rows}."
            )
        length = min(text_length, tokenizer.model_max_length)
        self.current = Drawing(
            prompts=tuple(tokenize(tokenizer, text, length) for text in prompts),
            images_per_prompt=n_images,
            text_length=text_length,
            asked_guidance=arguments.get("do_classifier_free_guidance"),
            seeds=[None] * n_rows,
        )
        second = arguments.get("prompt_2")
        if second is not None and second != prompt:
            self.current.settings["prompt_2"] = second if isinstance(second, str) else list(second)
        return result

    def preparing(self, call: Callable[[], Any], arguments: Mapping[str, Any]) -> Any:
        """Read the seeds when the pipeline prepares its latents."""
        generator = arguments.get("generator")
        if self.current is not None and arguments.get("latents") is None:
            n_images = self.current.n_images
            if isinstance(generator, list) or n_images == 1:
                generators = generator if isinstance(generator, list) else [generator]
                if len(generators) == n_images:  # else the pipeline itself refuses
                    self.current.seeds = [fresh_seed(each) for each in generators]
            else:
                # One generator for several images: no image can be drawn again from it alone.
                self.current.settings["batch_seed"] = fresh_seed(generator)
        return call()

    def describe(self, seeds: Sequence[int | None], settings: Mapping[str, Any]) -> None:
        """Add to the provenance of the current drawing."""
        drawing = self._drawing()
        if len(seeds) != drawing.n_images:
            raise TraceError(
                f"Expected the seeds of {drawing.n_images} images, but got {len(seeds)}."
            )
        drawing.seeds = list(seeds)
        drawing.settings |= settings

    def finishing(self, call: Callable[[], Any], arguments: Mapping[str, Any]) -> Any:
        """Keep the drawing when the pipeline has come to its end."""
        result = call()
        drawing, self.current = self.current, None
        if drawing is None:
            return result
        if not drawing.heard:
            raise TraceError(
                f"{type(self._pipe).__name__} drew, but its {self._family.denoiser} was not heard: "
                "it was replaced or compiled. Trace before torch.compile, or inside "
                'torch.compiler.set_stance("force_eager"), and start the trace after changing the '
                "model."
            )
        if not drawing.sums.grids:
            there = "; ".join(f"{path} {h}x{w}" for path, (h, w) in sorted(self._grids.items()))
            raise TraceError(
                f"Expected layers= to select a text attention, but it fits none of: {there}."
            )
        self.finished.append(drawing)
        return result

    def give_up(self) -> None:
        """Discard a drawing that did not come to its end."""
        if self.current is not None and self.current.heard:
            self.n_unfinished += 1
        self.current = None
        self._inputs = {}

    def denoiser_called(self, inputs: Mapping[str, Any]) -> None:
        """Note the timestep, the size, and how the pipeline is set."""
        drawing = self._drawing()
        self._inputs = inputs
        if not drawing.timesteps:
            drawing.settings = describe_pipeline(self._pipe, self._family) | drawing.settings
            drawing.image_size = self._family.image_size(self._pipe, inputs)
        timestep = float(torch.as_tensor(inputs[self._family.timestep]).flatten()[0])
        if timestep not in drawing.timesteps:
            drawing.timesteps.append(timestep)

    def attention_ran(self, path: str, module: nn.Module, calls: Sequence[AttentionCall]) -> None:
        """Add what a text attention attended to."""
        drawing = self._drawing()
        for call in calls:
            n_queries, n_keys = call.query.shape[-2], call.key.shape[-2]
            split = self._family.split(n_queries, n_keys, drawing.text_length)
            if split is not None:
                break  # an IP-Adapter makes a second call, for its image
        else:
            refuse_silent_attention(
                path,
                module,
                calls,
                text_length=drawing.text_length,
                denoiser=self._family.denoiser,
            )
        queries, keys = split
        drawing.heard.add(path)
        grid = self._grid(path, queries.stop - queries.start)
        self._grids[path] = grid
        rows = self._conditional_rows(drawing, call.query.shape[0])
        if self._selects(path, grid):
            probabilities = text_probabilities(
                call,
                rows=rows,
                queries=queries,
                keys=keys,
                tokens=drawing.positions,
            )
            drawing.sums.add(path, grid, probabilities)

    def denoiser_returned(self) -> None:
        """Check that all text attentions were heard."""
        drawing = self._drawing()
        self._inputs = {}
        missing = [path for path in self._attentions if path not in drawing.heard]
        if missing:
            raise TraceError(
                f"Expected to hear {len(self._attentions)} text attentions, but these were silent: "
                f"{', '.join(missing)}. Blocks that were compiled, replaced or are skipped by a "
                "cache cannot be heard: trace before torch.compile, or inside "
                'torch.compiler.set_stance("force_eager"), and switch such caches off.'
            )

    def _drawing(self) -> Drawing:
        if self.current is None:
            raise TraceError(
                f"The {self._family.denoiser} of {type(self._pipe).__name__} ran, but the prompt "
                "is not known: inside a trace call the pipeline, or in a loop of your own first "
                "pipe.encode_prompt(prompt, ...) and at the end pipe.maybe_free_model_hooks()."
            )
        return self.current

    def _grid(self, path: str, n_queries: int) -> Grid:
        grid = self._family.grid(self._inputs, n_queries)
        if grid is None:
            size = "x".join(map(str, self._family.image_size(self._pipe, self._inputs)))
            raise TraceError(
                f"Expected the {n_queries} pixels of {path} to form a grid of the "
                f"{self._family.name} family for an image of {size} (height x width), but they do "
                "not: this model divides the image differently and needs a Family of its own."
            )
        return grid

    def _conditional_rows(self, drawing: Drawing, n_rows: int) -> slice:
        rows = self._family.conditional_rows(n_rows, drawing.n_images)
        guided = n_rows > drawing.n_images
        if rows is None or (guided and drawing.asked_guidance is False):
            with_guidance = (
                ""
                if drawing.asked_guidance is False
                else f", or {2 * drawing.n_images} with guidance"
            )
            raise TraceError(
                f"Expected a batch of {drawing.n_images} rows{with_guidance}, one per image, but "
                f"the {self._family.denoiser} got {n_rows}: this kind of guidance (perturbed "
                "attention, image guidance) is not supported; switch it off."
            )
        drawing.guided |= guided
        return rows

    def _refuse_replaced_text(self, prompts: Sequence[str], tokenizer: Any) -> None:
        convert = getattr(self._pipe, "maybe_convert_prompt", None)
        if convert is None:
            return
        for prompt in prompts:
            if (converted := convert(prompt, tokenizer)) != prompt:
                raise TraceError(
                    f"Expected the pipeline to read the prompt {prompt!r} as it stands, but a "
                    f"textual inversion of several vectors turns it into {converted!r}: write the "
                    "prompt in that form."
                )
