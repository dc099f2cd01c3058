"""What is being drawn, and what its text attentions say about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NoReturn

import torch
from torch import nn

from daam_syntax.attention.accumulate import Grid, LayerSums
from daam_syntax.attention.families import Family, Split, TextEncoder
from daam_syntax.attention.families.layouts import CallSizes
from daam_syntax.attention.memory import Layer
from daam_syntax.attention.open_vocabulary import AlsoText, encode_alone
from daam_syntax.attention.probabilities import AttentionCall, text_probabilities
from daam_syntax.attention.provenance import describe_pipeline, fresh_seed
from daam_syntax.attention.refinement import SelfAttention, self_attention_call
from daam_syntax.attention.refusals import (
    refuse_compiled,
    refuse_replaced_text,
    refuse_silent_attention,
)
from daam_syntax.attention.request import Request, coming_timesteps
from daam_syntax.attention.tokens import (
    Reading,
    TokenizedPrompt,
    find_prompts,
    listening,
    read_prompt,
)
from daam_syntax.errors import TraceError


@dataclass(frozen=True)
class TextBlock:
    """What one text encoder made of the prompts.

    Attributes
    ----------
    encoder
        The encoder's name.
    start
        Place of its first token among the text keys.
    prompts
        The prompts as it read them.
    """

    encoder: str
    start: int
    prompts: tuple[TokenizedPrompt, ...]


@dataclass
class Drawing:
    """One call of a pipeline: some prompts, and some images of each.

    Attributes
    ----------
    prompts
        The prompts, in order. Image ``i`` is of prompt ``i // images_per_prompt``.
    images_per_prompt
        How many images each prompt gets.
    asked_guidance
        Whether the pipeline asked for an unconditional embedding; None if it does not say.
    seeds
        Each image's seed, or None where it is not known.
    encoders
        Names of the text encoders that were heard.
    blocks
        The tokens of those that read the prompts.
    text_length
        Length of the embedded text, of all encoders together.
    embedded
        The prompts as they were embedded.
    embedded_otherwise
        Everything else that was embedded, such as negative prompts.
    settings
        Provenance that all images share.
    timesteps
        The distinct timesteps, in order.
    steps
        The timestep of each call of the denoiser with the prompts.
    recorded
        The numbers of those of them that are recorded.
    expected
        The timesteps of all such calls, known before they are made; None if they are not.
    image_size
        Height and width in pixels; None before the first call of the denoiser.
    guided
        Whether any call of the denoiser had unconditional rows.
    heard
        Paths of the text attentions that were heard.
    layers
        Those of them that are recorded.
    sums
        What they attended to.
    also
        Texts that are not in the prompts, with what would be attended to in them.
    self_attention
        What pixels attended to of each other, where maps are to be refined.
    """

    prompts: tuple[str, ...]
    images_per_prompt: int
    asked_guidance: bool | None
    seeds: list[int | None]
    encoders: list[str] = field(default_factory=list)
    blocks: list[TextBlock] = field(default_factory=list)
    text_length: int = 0
    embedded: Any = None
    embedded_otherwise: list[Any] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    timesteps: list[float] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    recorded: list[int] = field(default_factory=list)
    expected: tuple[float, ...] | None = None
    image_size: tuple[int, int] | None = None
    guided: bool = False
    heard: set[str] = field(default_factory=set)
    layers: dict[str, Layer] = field(default_factory=dict)
    sums: LayerSums = field(default_factory=LayerSums)
    also: list[AlsoText] = field(default_factory=list)
    self_attention: SelfAttention = field(default_factory=SelfAttention)

    @property
    def nbytes(self) -> int:
        """Size of everything that is recorded, in memory."""
        texts = sum(each.sums.nbytes for each in self.also)
        return self.sums.nbytes + texts + self.self_attention.nbytes

    @property
    def n_tokens(self) -> int:
        """How many text keys are recorded, those of all texts together."""
        return len(self.positions) + sum(len(each.drawing(self).positions) for each in self.also)

    @property
    def n_images(self) -> int:
        """How many images are drawn."""
        return len(self.prompts) * self.images_per_prompt

    @property
    def positions(self) -> list[int]:
        """The text keys that are kept: those which are a token in some prompt."""
        return sorted(
            {
                block.start + position
                for block in self.blocks
                for prompt in block.prompts
                for position in prompt.positions
            }
        )

    def provenance(self, image: int) -> dict[str, Any]:
        """Say where an image's maps come from.

        Parameters
        ----------
        image
            The image's row in the batch.
        """
        prompt_index, image_number = divmod(image, self.images_per_prompt)
        assert self.image_size is not None, "a finished drawing has a size"
        height, width = self.image_size
        return {
            "source": "drawing",
            **self.settings,
            "steps": len(self.timesteps),
            "timesteps": list(self.timesteps),
            "guided": self.guided,
            "height": height,
            "width": width,
            "seed": self.seeds[image],
            "batch_row": image,
            "batch_size": self.n_images,
            "prompt_index": prompt_index,
            "image_number": image_number,
            "layers": len(self.sums.grids),
            "encoders": [block.encoder for block in self.blocks],
            **({"keep": list(self.sums.keep)} if self.sums.keep else {}),
            **({} if len(self.recorded) == len(self.steps) else {"recorded": self.recorded}),
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
    request
        What to record of them.
    beside
        Self-attentions that are heard, too: by path, that of the text attention beside each.
    """

    def __init__(
        self,
        pipe: Any,
        family: Family,
        attentions: Mapping[str, nn.Module],
        request: Request,
        beside: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._pipe = pipe
        self._family = family
        self._attentions = attentions
        self._request = request
        self._beside = beside
        self._grids: dict[str, Grid] = {}
        self._inputs: Mapping[str, Any] = {}
        self._n_rows = 0  # of the denoiser's call
        self._rows: slice | None = None  # those of them that are drawn from the prompts
        self._asked_size: tuple[int, int] | None = None
        self._in_pipeline = False
        self._timestep = 0.0
        self._step_is_counted = False
        self._records_step = True
        self.current: Drawing | None = None
        self.finished: list[Drawing] = []
        self.n_unfinished = 0

    def starting(self, call: Callable[[], Any], arguments: Mapping[str, Any]) -> Any:
        """Note that a call of the pipeline begins."""
        self.give_up()
        try:
            return call()
        except BaseException:
            self._asked_size = None  # of this call, which has just ended
            raise

    def choosing_size(self, call: Callable[[], Any], arguments: Mapping[str, Any]) -> Any:
        """Refuse to draw in another shape than was asked for, since the picture would be cropped."""
        height, width = call()
        asked = arguments["height"], arguments["width"]
        if height * asked[1] != width * asked[0]:
            raise TraceError(
                f"Expected a picture of {asked[0]}x{asked[1]} (height x width) to be drawn as it is, "
                f"but {type(self._pipe).__name__} would draw one of {height}x{width} and crop it, so "
                "that its maps would not lie on it: ask for that size, or draw with "
                "use_resolution_binning=False."
            )
        self._asked_size = asked
        return height, width

    def encoding(self, call: Callable[[], Any], arguments: Mapping[str, Any]) -> Any:
        """Start a drawing when the pipeline encodes its prompts, or take in further text."""
        drawing = self.current
        if drawing is not None and not drawing.timesteps and self._encodes_more(drawing):
            return self._encoding_more(drawing, call, arguments)
        self.give_up()
        asked_size, self._asked_size = self._asked_size, None
        if arguments.get("prompt") is None:
            raise TraceError(
                "Expected the prompt as text, but the pipeline was given prompt_embeds without a "
                "prompt, so the words are not known: pass prompt=... instead, and "
                "negative_prompt=... likewise."
            )
        refuse_compiled(
            self._family.denoiser_of(self._pipe), getattr(self._pipe, self._family.denoiser)
        )
        given = {
            name: texts for name in arguments if (texts := _texts(arguments[name])) is not None
        }
        with self._listening() as heard:
            result = call()
        encoder = self._family.encoders[0]
        prompts = next(given[name] for name in encoder.prompts if name in given)
        n_images, rest = divmod(len(result[0]), len(prompts))
        if rest:
            raise TraceError(
                f"Expected the embeddings of {len(prompts)} prompts to have a multiple of that "
                f"many rows, but {type(self._pipe).__name__}.encode_prompt gave {len(result[0])}."
            )
        drawing = Drawing(
            prompts=prompts,
            images_per_prompt=n_images,
            asked_guidance=arguments.get("do_classifier_free_guidance"),
            seeds=[None] * len(result[0]),
            embedded=result[0],
            image_size=asked_size,
            sums=LayerSums(self._request.keep),
        )
        self._add_blocks(drawing, heard, given, arguments, result)
        drawing.also = [self._also(text, arguments) for text in self._request.also]
        self.current = drawing
        second = given.get("prompt_2")
        if second is not None and second != given["prompt"]:
            one = isinstance(arguments["prompt_2"], str)
            drawing.settings["prompt_2"] = second[0] if one else list(second)
        return result

    def _also(self, text: str, arguments: Mapping[str, Any]) -> AlsoText:
        """Encode a text that is not in the prompts."""
        with self._listening() as heard:
            result = encode_alone(self._pipe, arguments, text)
        alone = Drawing((text,), 1, asked_guidance=False, seeds=[None])
        given = dict.fromkeys(self._family.encoders[0].prompts, (text,))
        self._add_blocks(alone, heard, given, arguments, result)
        return AlsoText(text, alone.blocks, result[0], LayerSums(self._request.keep))

    def _encodes_more(self, drawing: Drawing) -> bool:
        """Whether another call of encode_prompt belongs to a drawing that has not begun."""
        return self._family.guidance == "by-text" or len(self._readable()) > len(drawing.encoders)

    def _encoding_more(
        self, drawing: Drawing, call: Callable[[], Any], arguments: Mapping[str, Any]
    ) -> Any:
        """Take in a negative prompt, or the prompts from another encoder."""
        given = {
            name: texts for name in arguments if (texts := _texts(arguments[name])) is not None
        }
        with self._listening() as heard:
            result = call()
        drawing.embedded_otherwise += _embeddings(result)
        if len(self._readable()) > len(drawing.encoders):
            self._add_blocks(drawing, heard, given, arguments, result)
        return result

    def _readable(self) -> list[TextEncoder]:
        """Return the encoders that the pipeline was loaded with."""
        return [
            encoder
            for encoder in self._family.encoders
            if encoder.tokenizer_of(self._pipe) is not None
        ]

    @contextmanager
    def _listening(self) -> Iterator[dict[str, list[Reading]]]:
        """Listen to the encoders' tokenizers."""
        encoders = self._readable()
        if not encoders:
            names = " or ".join(
                name for encoder in self._family.encoders for name in encoder.tokenizers
            )
            raise TraceError(
                f"Expected {type(self._pipe).__name__} to have a tokenizer ({names}), but it has "
                "none: load the pipeline with its tokenizer."
            )
        with listening([encoder.tokenizer_of(self._pipe) for encoder in encoders]) as heard:
            yield {encoder.name: heard[i] for i, encoder in enumerate(encoders)}

    def _add_blocks(
        self,
        drawing: Drawing,
        heard: Mapping[str, list[Reading]],
        given: Mapping[str, tuple[str, ...]],
        arguments: Mapping[str, Any],
        result: Sequence[Any],
    ) -> None:
        """Find out which tokens of the prompts became text keys in a call of encode_prompt."""
        start = drawing.text_length
        drawing.text_length += max(len(row) for row in result[0])
        drawing.embedded_otherwise += _embeddings(result[1:])
        for encoder in self._readable():
            if encoder.name in drawing.encoders or not heard[encoder.name]:
                continue
            drawing.encoders.append(encoder.name)
            tokenizer = encoder.tokenizer_of(self._pipe)
            own = next(given[name] for name in encoder.prompts if name in given)
            readings = find_prompts(tokenizer, own, heard[encoder.name])
            if readings is None:
                refuse_replaced_text(self._pipe, own, heard[encoder.name])
            prompts = tuple(
                read_prompt(
                    tokenizer,
                    reading,
                    text,
                    encoder.kept(reading.mask, self._pipe, arguments),
                    padding=self._request.padding,
                )
                for reading, text in zip(readings, own, strict=True)
            )
            if own == drawing.prompts:
                drawing.blocks.append(TextBlock(encoder.name, start, prompts))
            else:
                drawing.settings.setdefault("left_out", {})[encoder.name] = (
                    "this text encoder read another text: " + " | ".join(own)
                )
            start += max(prompt.length for prompt in prompts)
        if self._request.padding:
            drawing.settings["padding"] = True
        if not drawing.encoders:
            raise TraceError(
                f"Expected {type(self._pipe).__name__}.encode_prompt to call its tokenizer, but it did "
                "not, so the tokens of the prompt are not known."
            )
        if start > drawing.text_length:
            raise TraceError(
                f"Expected {type(self._pipe).__name__}.encode_prompt to give {start} text keys, as "
                f"the {self._family.name} family describes it, but it gave {drawing.text_length}: it "
                "keeps other tokens, and needs a Family of its own."
            )

    def preparing(self, call: Callable[[], Any], arguments: Mapping[str, Any]) -> Any:
        """Read the number of images and the seeds when the pipeline prepares its latents."""
        self._in_pipeline = True
        generator = arguments.get("generator")
        drawing = self.current
        if drawing is not None and isinstance(arguments.get("batch_size"), int):
            # Some pipelines repeat the embeddings only after they were made; some that begin with a
            # picture count the prompts and the images of each apart.
            n_images = arguments["batch_size"] * arguments.get("num_images_per_prompt", 1)
            drawing.images_per_prompt = n_images // len(drawing.prompts)
            drawing.seeds = [None] * drawing.n_images
        if drawing is not None and arguments.get("latents") is None:
            n_images = drawing.n_images
            if isinstance(generator, list) or n_images == 1:
                generators = generator if isinstance(generator, list) else [generator]
                if len(generators) == n_images:  # else the pipeline itself refuses
                    drawing.seeds = [fresh_seed(each) for each in generators]
            else:
                # One generator for several images: no image can be drawn again from it alone.
                drawing.settings["batch_seed"] = fresh_seed(generator)
        return call()

    def describe(
        self,
        seeds: Sequence[int | None],
        settings: Mapping[str, Any],
        timesteps: Sequence[float] | None,
    ) -> None:
        """Add to the provenance of the current drawing, and to what is known of its steps."""
        drawing = self._drawing()
        if len(seeds) != drawing.n_images:
            raise TraceError(
                f"Expected the seeds of {drawing.n_images} images, but got {len(seeds)}."
            )
        drawing.seeds = list(seeds)
        drawing.settings |= settings
        if timesteps is not None:
            drawing.expected = tuple(float(timestep) for timestep in timesteps)

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
        if not drawing.layers:
            there = "; ".join(f"{path} {h}x{w}" for path, (h, w) in sorted(self._grids.items()))
            raise TraceError(
                f"Expected layers= to select a text attention, but it fits none of: {there}."
            )
        self._request.check_steps(drawing)
        self.finished.append(drawing)
        return result

    def give_up(self) -> None:
        """Discard a drawing that did not come to its end."""
        if self.current is not None and self.current.heard:
            self.n_unfinished += 1
        self.current = None
        self._inputs = {}
        self._in_pipeline = False

    def denoiser_called(self, inputs: Mapping[str, Any]) -> None:
        """Note the timestep, the size, how the pipeline is set, and which rows are of the prompts."""
        drawing = self._drawing()
        self._inputs = inputs
        if not drawing.timesteps:
            drawing.settings = describe_pipeline(self._pipe, self._family) | drawing.settings
            if drawing.image_size is None:
                drawing.image_size = self._family.image_size(self._pipe, inputs)
            if drawing.expected is None:
                drawing.expected = coming_timesteps(self._pipe, self._in_pipeline)
        self._rows = self._conditional_rows(drawing, inputs)
        self._timestep = float(torch.as_tensor(inputs[self._family.timestep]).flatten()[0])
        if self._timestep not in drawing.timesteps:
            drawing.timesteps.append(self._timestep)
        self._step_is_counted = False

    def attention_ran(self, path: str, module: nn.Module, calls: Sequence[AttentionCall]) -> None:
        """Add what an attention attended to."""
        if self._rows is None:
            return
        drawing = self._drawing()
        if path in self._beside:
            self._self_attention_ran(drawing, path, module, calls, self._rows)
            return
        for call in calls:
            sizes = CallSizes(call.query.shape[-2], call.key.shape[-2], drawing.text_length)
            split = self._family.layout(sizes, self._inputs)
            if split is not None:
                break  # an IP-Adapter makes a second call, for its image
        else:
            refuse_silent_attention(
                path,
                module,
                calls,
                keys=f"{drawing.text_length} text keys",
                denoiser=self._family.denoiser,
            )
        if call.query.shape[0] != self._n_rows:
            self._refuse_rows(drawing, call.query.shape[0])
        drawing.heard.add(path)
        pixels = (split if isinstance(split, Split) else split[0]).pixels
        grid = self._grid(path, pixels.stop - pixels.start)
        self._grids[path] = grid
        self._begin_step(drawing)
        if not self._request.records_layer(path, grid):
            return
        self._request.add_layer(drawing, path, Layer(grid, call.query.shape[1]))
        if self._records_step:
            by_head, step = "head" in self._request.keep, len(drawing.steps) - 1
            probabilities = prompt_probabilities(
                call, split, self._rows, drawing.positions, by_head=by_head
            )
            drawing.sums.add(path, grid, probabilities, step)
            for each in drawing.also:
                tokens = each.drawing(drawing).positions
                probabilities = each.probabilities(
                    module, call, self._rows, tokens, by_head=by_head
                )
                each.sums.add(path, grid, probabilities, step)

    def _self_attention_ran(
        self,
        drawing: Drawing,
        path: str,
        module: nn.Module,
        calls: Sequence[AttentionCall],
        rows: slice,
    ) -> None:
        """Add what pixels attended to, where the text attention beside it is recorded."""
        call = self_attention_call(path, module, calls, self._family.denoiser)
        if call.query.shape[0] != self._n_rows:
            self._refuse_rows(drawing, call.query.shape[0])
        drawing.heard.add(path)
        grid = self._grid(path, call.query.shape[-2])
        self._begin_step(drawing)
        if self._records_step and self._request.records_layer(self._beside[path], grid):
            drawing.self_attention.add(path, grid, call, rows)

    def _begin_step(self, drawing: Drawing) -> None:
        """Count a step at the first attention that runs in it."""
        if self._step_is_counted:
            return
        drawing.steps.append(self._timestep)
        self._step_is_counted = True
        self._records_step = self._request.records_step(drawing)
        if self._records_step:
            drawing.recorded.append(len(drawing.steps) - 1)

    def denoiser_returned(self) -> None:
        """Check that all text attentions were heard."""
        drawing = self._drawing()
        self._inputs = {}
        listened = [*self._attentions, *self._beside]
        missing = [path for path in listened if path not in drawing.heard]
        if missing:
            raise TraceError(
                f"Expected to hear {len(listened)} {'attentions' if self._beside else 'text attentions'}, "
                "but these were silent: "
                f"{', '.join(missing)}. Blocks that were compiled, replaced or are skipped by a "
                "cache cannot be heard: trace before torch.compile, or inside "
                'torch.compiler.set_stance("force_eager"), and switch such caches off.'
            )
        for sums in (drawing.sums, *(each.sums for each in drawing.also)):
            sums.join_layers()
        self._request.check_memory(drawing, sum(each.nbytes for each in self.finished))

    def _drawing(self) -> Drawing:
        if self.current is None:
            raise TraceError(
                f"The {self._family.denoiser} of {type(self._pipe).__name__} ran, but the prompt "
                "is not known: inside a trace call the pipeline, or in a loop of your own first "
                "pipe.encode_prompt(prompt, ...) and at the end pipe.maybe_free_model_hooks()."
            )
        return self.current

    def _grid(self, path: str, n_queries: int) -> Grid:
        grid = self._family.grid(self._pipe, self._inputs, n_queries)
        if grid is None:
            size = "x".join(map(str, self._family.image_size(self._pipe, self._inputs)))
            raise TraceError(
                f"Expected the {n_queries} pixels of {path} to form a grid of the "
                f"{self._family.name} family for an image of {size} (height x width), but they do "
                "not: this model divides the image differently and needs a Family of its own."
            )
        return grid

    def _conditional_rows(self, drawing: Drawing, inputs: Mapping[str, Any]) -> slice | None:
        """Return the rows of a call that are drawn from the prompts; None if there are none."""
        if self._family.is_extra_call(inputs):
            return None
        text = inputs.get(self._family.text)
        if text is None:
            raise TraceError(
                f"Expected the {self._family.denoiser} to be given the text as {self._family.text}, but "
                f"it was given {', '.join(inputs)}: this model needs a Family of its own."
            )
        text = text[0] if isinstance(text, tuple) else text  # with the images of an IP-Adapter
        n_rows = self._n_rows = len(text)
        if self._family.guidance == "by-text":
            return self._rows_by_text(drawing, text)
        rows = self._family.conditional_rows(n_rows, drawing.n_images)
        guided = n_rows > drawing.n_images
        if rows is None or (guided and drawing.asked_guidance is False):
            self._refuse_rows(drawing, n_rows)
        drawing.guided |= guided
        return rows

    def _rows_by_text(self, drawing: Drawing, text: Any) -> slice | None:
        n, n_rows = drawing.n_images, len(text)
        halves = [slice(start, start + n) for start in range(0, n_rows, n)]
        # Where prompt and negative prompt are the same, it does not matter which is taken.
        found = next((rows for rows in halves if is_same_text(text[rows], drawing.embedded)), None)
        if n_rows not in (n, 2 * n) and (n_rows > n or found):
            self._refuse_rows(drawing, n_rows)
        drawing.guided |= n_rows > n or found is None
        if found is None and not any(
            is_same_text(text, each) for each in drawing.embedded_otherwise
        ):
            raise TraceError(
                f"Expected the {self._family.denoiser} to be given the text as encode_prompt embedded "
                "it, but it was given another: so prompts cannot be told from negative prompts. Do "
                "not change the embeddings while the pipeline draws, and in a loop of your own "
                "encode the prompts before the negative ones."
            )
        return found

    def _refuse_rows(self, drawing: Drawing, n_rows: int) -> NoReturn:
        with_guidance = (
            "" if drawing.asked_guidance is False else f", or {2 * drawing.n_images} with guidance"
        )
        raise TraceError(
            f"Expected a batch of {drawing.n_images} rows{with_guidance}, one per image, but "
            f"the {self._family.denoiser} got {n_rows}: this kind of guidance (perturbed "
            "attention, image guidance) is not supported; switch it off."
        )


def _texts(argument: Any) -> tuple[str, ...] | None:
    """Return an argument as prompts (a copy, since some pipelines change it), if it is such."""
    if isinstance(argument, str):
        return (argument,)
    if isinstance(argument, list | tuple) and argument:
        return tuple(argument) if all(isinstance(each, str) for each in argument) else None
    return None


def _embeddings(result: Any) -> list[Any]:
    """Return what may be embedded text among the results of encode_prompt."""
    return [
        each
        for each in (result if isinstance(result, tuple | list) else [result])
        if isinstance(each, torch.Tensor) and each.ndim == 3
    ]


def is_same_text(given: Any, embedded: Any) -> bool:
    """Whether the denoiser's text is what was embedded (perhaps in another number format)."""
    return given.shape == embedded.shape and torch.equal(given, embedded.to(given))


def prompt_probabilities(
    call: AttentionCall,
    split: Split | list[Split],
    rows: slice,
    positions: list[int],
    *,
    by_head: bool = False,
) -> torch.Tensor:
    """Return the share of its attention that each pixel gives to each text key of `positions`.

    Returns
    -------
    Tensor
        *Shape:* (row, pixel, position), or (row, head, pixel, position)
    """
    if isinstance(split, Split):
        return text_probabilities(
            call,
            rows=rows,
            queries=split.pixels,
            keys=split.text,
            tokens=positions,
            by_head=by_head,
        )
    parts = []
    for row in range(rows.start, rows.stop):
        pixels, text = split[row].pixels, split[row].text
        seen = [place for place, position in enumerate(positions) if position < text.stop]
        part = text_probabilities(
            call,
            rows=slice(row, row + 1),
            queries=pixels,
            keys=text,
            tokens=[positions[place] for place in seen],
            by_head=by_head,
        )
        whole = part.new_zeros(*part.shape[:-1], len(positions))  # what is masked gets no attention
        whole[..., seen] = part
        parts.append(whole)
    return torch.cat(parts)
