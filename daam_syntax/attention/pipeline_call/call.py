"""State of one pipeline call, filled in as the call proceeds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from daam_syntax.attention.pipeline_call.memory import Layer
from daam_syntax.attention.pipeline_call.provenance import reproducible_seed
from daam_syntax.attention.pipeline_call.timesteps import Timesteps
from daam_syntax.attention.softmax.layer_sums import LayerSums
from daam_syntax.attention.softmax.refinement import SelfAttention
from daam_syntax.attention.texts.drawn_text import DrawnTexts, Embedding
from daam_syntax.attention.texts.token_spans import TokenizedPrompt
from daam_syntax.maps.selection import Grid


@dataclass(frozen=True)
class TextBlock:
    """The tokens that one text encoder made of the prompts.

    Attributes
    ----------
    encoder
        Name of the encoder.
    start
        Position of its first token among the text keys.
    prompts
        The tokenized prompts, in order.
    """

    encoder: str
    start: int
    prompts: tuple[TokenizedPrompt, ...]


@dataclass(kw_only=True)
class EncodedText:
    """Texts as the denoiser receives them, and the recorded attention to them.

    Attributes
    ----------
    prompts
        The texts, in order.
    encoders
        Names of the text encoders whose tokenizer calls were recorded.
    blocks
        The tokens of those encoders that read the prompts.
    left_out
        Reasons by encoder, for those that read another text.
    text_length
        Length of the embedded text, of all encoders together.
    embeddings
        Embeddings of the prompts, one for each of the denoiser's inputs that hold text; empty for texts outside the
        prompts.
    encoded
        The embedded text as `encode_prompt` returned it, for texts outside the prompts.
    embedded
        The same as the text attentions receive it; None before the denoiser runs, which may hold the projection.
    mask
        True for each token, False for padding; None if the pipeline returns no mask. *Shape:* ``(row, position)``
    sums
        Sums of the recorded attention.
    output_sums
        Sums of the similarity of attention outputs, where it is recorded.
    """

    prompts: tuple[str, ...]
    encoders: list[str] = field(default_factory=list)
    blocks: list[TextBlock] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    text_length: int = 0
    embeddings: list[Embedding] = field(default_factory=list)
    encoded: Any = None
    embedded: Any = None
    mask: Tensor | None = None
    sums: LayerSums = field(default_factory=LayerSums)
    output_sums: LayerSums = field(default_factory=LayerSums)

    @property
    def positions(self) -> list[int]:
        """Positions of the recorded text keys: those that are a token of at least one prompt."""
        return sorted(
            {
                block.start + position
                for block in self.blocks
                for prompt in block.prompts
                for position in prompt.positions
            }
        )


@dataclass(frozen=True)
class Reference:
    """A reference image, and the recorded attention of its pixels to the prompts.

    Attributes
    ----------
    grid
        Rows and columns of its pixels.
    image_size
        Height and width in pixels, as the pipeline resized it.
    sums
        Sums of the recorded attention.
    """

    grid: Grid
    image_size: Grid
    sums: LayerSums


@dataclass(kw_only=True)
class PipelineCall(EncodedText):
    """One call of a pipeline, which generates one or more images of each prompt.

    Attributes
    ----------
    images_per_prompt
        Number of images per prompt: image ``i`` belongs to prompt ``i // images_per_prompt``.
    requested_guidance
        Whether the pipeline requested an unconditional embedding; None if unknown.
    seeds
        Seed number of the generator of each image; None where unknown.
    other_embeddings
        All other embeddings that the pipeline made, such as those of negative prompts.
    drawn
        The texts that the denoiser calls were made with.
    negative
        The negative prompts, one per prompt or one for all; None unless they are recorded.
    also
        Texts outside the prompts that are recorded, too.
    references
        Reference images that are recorded, too.
    frames
        Numbers of the drawn frames that each latent frame becomes; empty for images.
    settings
        Provenance that all images share.
    timesteps
        Timestep of each denoiser call.
    steps
        Timestep of each denoiser call with the prompts.
    recorded
        Numbers of the recorded steps.
    expected
        Timesteps of all such calls, as announced before the first one; None if unknown.
    image_size
        Height and width in pixels; None before the first denoiser call.
    guided
        Whether any denoiser call had unconditional rows.
    observed
        Module paths of the attentions that were observed.
    denominators
        Where the denominators of softmax over text and pixels came from: read from the attention "kernel", or
        "recomputed". Empty for cross-attention.
    layers
        The recorded layers by module path.
    self_attention
        Recorded self-attention, for refined maps.
    """

    images_per_prompt: int
    requested_guidance: bool | None
    seeds: list[int | None]
    other_embeddings: list[Embedding] = field(default_factory=list)
    drawn: DrawnTexts = field(default_factory=DrawnTexts)
    negative: EncodedText | None = None
    also: list[EncodedText] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)
    frames: tuple[range, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    timesteps: Timesteps = field(default_factory=Timesteps)
    steps: Timesteps = field(default_factory=Timesteps)
    recorded: list[int] = field(default_factory=list)
    expected: tuple[float, ...] | None = None
    image_size: tuple[int, int] | None = None
    guided: bool = False
    observed: set[str] = field(default_factory=set)
    denominators: set[str] = field(default_factory=set)
    layers: dict[str, Layer] = field(default_factory=dict)
    self_attention: SelfAttention = field(default_factory=SelfAttention)

    @property
    def texts(self) -> list[EncodedText]:
        """All recorded texts: the prompts, the negative prompts, and texts outside the prompts."""
        return [self, *([self.negative] if self.negative else []), *self.also]

    @property
    def all_sums(self) -> list[LayerSums]:
        """The sums of all recorded texts, of attention and of outputs, and of reference images."""
        own = [sums for text in self.texts for sums in (text.sums, text.output_sums)]
        return own + [each.sums for each in self.references]

    @property
    def n_bytes(self) -> int:
        """Size of the whole recording in memory."""
        return sum(sums.n_bytes for sums in self.all_sums) + self.self_attention.n_bytes

    @property
    def n_tokens(self) -> int:
        """Number of recorded text keys, of all texts together."""
        return sum(len(text.positions) for text in self.texts)

    @property
    def n_output_tokens(self) -> int:
        """Number of text keys whose outputs may be recorded: those of the prompts and of texts outside them."""
        return sum(len(text.positions) for text in (self, *self.also))

    @property
    def n_images(self) -> int:
        """Number of images that the call generates."""
        return len(self.prompts) * self.images_per_prompt

    @property
    def n_frames(self) -> int:
        """Number of latent frames of each image or video. Sums have a row for each of them."""
        return len(self.frames) or 1

    def free_device(self) -> None:
        """Free what a finished call holds on an accelerator."""
        for timesteps in (self.timesteps, self.steps):
            timesteps.fetch()
        self.other_embeddings.clear()
        self.drawn = DrawnTexts()
        for text in self.texts:
            text.encoded = text.embedded = text.mask = None
            text.embeddings.clear()
            text.sums.move_to_host()
            text.output_sums.move_to_host()
        self.self_attention.move_to_host()

    def add_seeds(self, generator: Any) -> None:
        """Add the seeds of the call's generator or generators."""
        if isinstance(generator, list) or self.n_images == 1:
            generators = generator if isinstance(generator, list) else [generator]
            if len(generators) == self.n_images:  # otherwise the pipeline itself refuses them
                self.seeds = [reproducible_seed(each) for each in generators]
        else:
            # One generator for several images: its seed alone reproduces no single image.
            self.settings["batch_seed"] = reproducible_seed(generator)

    def prompt_index(self, image: int) -> int:
        """Return the index of the prompt of an image."""
        return image // self.images_per_prompt

    def with_text(self, text: EncodedText) -> PipelineCall:
        """Return the call with another of its recorded texts in place of the prompts."""
        times = len(self.prompts) // len(text.prompts)
        blocks = [replace(block, prompts=block.prompts * times) for block in text.blocks]
        return replace(
            self,
            prompts=text.prompts * times,
            blocks=blocks,
            sums=text.sums,
            output_sums=text.output_sums,
        )

    def with_reference(self, number: int) -> PipelineCall:
        """Return the call with a reference image in place of the images that it generated."""
        reference = self.references[number]
        settings = self.settings | {"reference": number}
        return replace(
            self, settings=settings, sums=reference.sums, image_size=reference.image_size
        )

    def provenance(self, image: int) -> dict[str, Any]:
        """Return the provenance of an image's maps.

        Parameters
        ----------
        image
            The image's row in the batch.
        """
        prompt_index, image_number = divmod(image, self.images_per_prompt)
        assert self.image_size is not None, "a finished call has an image size"
        height, width = self.image_size
        timesteps = self.timesteps.distinct()
        return {
            "source": "drawing",
            **self.settings,
            "steps": len(timesteps),
            "denoiser_calls": len(self.steps),
            "timesteps": timesteps,
            "guided": self.guided,
            "height": height,
            "width": width,
            "seed": self.seeds[image],
            "batch_row": image,
            "batch_size": self.n_images,
            "prompt_index": prompt_index,
            "image_number": image_number,
            "layers": len(self.sums.grids),
            **({"softmax": sorted(self.denominators)} if self.denominators else {}),
            **({"left_out": self.left_out} if self.left_out else {}),
            "encoders": [block.encoder for block in self.blocks],
            **({"keep": list(self.sums.keep)} if self.sums.keep else {}),
            **({} if len(self.recorded) == len(self.steps) else {"recorded": self.recorded}),
        }
