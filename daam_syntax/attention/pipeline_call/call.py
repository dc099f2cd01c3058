"""What is being drawn, as far as it is known."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from daam_syntax.attention.pipeline_call.memory import Layer
from daam_syntax.attention.pipeline_call.token_spans import TokenizedPrompt
from daam_syntax.attention.softmax.layer_sums import LayerSums
from daam_syntax.attention.softmax.refinement import SelfAttention


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


@dataclass(kw_only=True)
class EncodedText:
    """Texts as the denoiser is given them, and what pixels attend to in them.

    Attributes
    ----------
    prompts
        The texts, in order.
    encoders
        Names of the text encoders that were heard.
    blocks
        The tokens of those that read the prompts.
    left_out
        Encoders that read something else, with the reason.
    text_length
        Length of the embedded text, of all encoders together.
    embedded
        The prompts as they were embedded.
    mask
        True for each of the text's tokens, False for padding, where the pipeline tells. *Shape:* (row, position)
    sums
        What pixels attended to.
    """

    prompts: tuple[str, ...]
    encoders: list[str] = field(default_factory=list)
    blocks: list[TextBlock] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    text_length: int = 0
    embedded: Any = None
    mask: Tensor | None = None
    sums: LayerSums = field(default_factory=LayerSums)

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


@dataclass(kw_only=True)
class PipelineCall(EncodedText):
    """One call of a pipeline: some prompts, and some images of each.

    Attributes
    ----------
    images_per_prompt
        How many images each prompt gets: image ``i`` is of prompt ``i // images_per_prompt``.
    asked_guidance
        Whether the pipeline asked for an unconditional embedding; None if it does not say.
    seeds
        Each image's seed, or None where it is not known.
    embedded_otherwise
        Everything else that was embedded, such as negative prompts.
    negative
        The negative prompts, one for each prompt or one for all, where they are recorded, too.
    also
        Texts that are not in the prompts, where they are recorded, too.
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
    self_attention
        What pixels attended to of each other, where maps are to be refined.
    """

    images_per_prompt: int
    asked_guidance: bool | None
    seeds: list[int | None]
    embedded_otherwise: list[Any] = field(default_factory=list)
    negative: EncodedText | None = None
    also: list[EncodedText] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    timesteps: list[float] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    recorded: list[int] = field(default_factory=list)
    expected: tuple[float, ...] | None = None
    image_size: tuple[int, int] | None = None
    guided: bool = False
    heard: set[str] = field(default_factory=set)
    layers: dict[str, Layer] = field(default_factory=dict)
    self_attention: SelfAttention = field(default_factory=SelfAttention)

    @property
    def texts(self) -> list[EncodedText]:
        """Everything that is recorded: the prompts, the negative ones, and other texts."""
        return [self, *([self.negative] if self.negative else []), *self.also]

    @property
    def nbytes(self) -> int:
        """Size of everything that is recorded, in memory."""
        return sum(text.sums.nbytes for text in self.texts) + self.self_attention.nbytes

    @property
    def n_tokens(self) -> int:
        """How many text keys are recorded, those of all texts together."""
        return sum(len(text.positions) for text in self.texts)

    @property
    def n_images(self) -> int:
        """How many images are drawn."""
        return len(self.prompts) * self.images_per_prompt

    def showing(self, text: EncodedText) -> PipelineCall:
        """Return the same images with another of the texts instead of the prompts."""
        times = len(self.prompts) // len(text.prompts)
        blocks = [replace(block, prompts=block.prompts * times) for block in text.blocks]
        return replace(self, prompts=text.prompts * times, blocks=blocks, sums=text.sums)

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
            **({"left_out": self.left_out} if self.left_out else {}),
            "encoders": [block.encoder for block in self.blocks],
            **({"keep": list(self.sums.keep)} if self.sums.keep else {}),
            **({} if len(self.recorded) == len(self.steps) else {"recorded": self.recorded}),
        }
