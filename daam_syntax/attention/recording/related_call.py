"""The further relations of attention that were recorded of one pipeline call."""

from __future__ import annotations

from dataclasses import dataclass, field

from daam_syntax.attention.softmax.layer_sums import LayerSums
from daam_syntax.attention.softmax.pair_sums import PairSums
from daam_syntax.attention.text_encoders.encoder_recorder import EncoderRecorder
from daam_syntax.maps.selection import Grid
from daam_syntax.maps.word_attention.token_groups import TokenGroup


@dataclass
class RelatedCall:
    """The recorded relations of one pipeline call.

    Attributes
    ----------
    encoders
        Recorders of the text encoders.
    text_text
        For each image, sums of the attention between groups of tokens.
    text_image
        Sums of the attention from each recorded text token to each pixel, in the form of that from pixels.
    image_image
        For each image, sums of the attention between cells, by the grid of their pixels.
    refined
        For each image, the same in the blocks that read text alone.
    groups, refined_groups
        For each image, its groups of tokens in `text_text` and in `refined`.
    """

    encoders: list[EncoderRecorder] = field(default_factory=list)
    text_text: list[PairSums] = field(default_factory=list)
    text_image: LayerSums = field(default_factory=LayerSums)
    image_image: list[dict[Grid, PairSums]] = field(default_factory=list)
    groups: list[tuple[TokenGroup, ...]] = field(default_factory=list)
    refined: list[PairSums] = field(default_factory=list)
    refined_groups: list[tuple[TokenGroup, ...]] = field(default_factory=list)

    @property
    def _pairs(self) -> list[PairSums]:
        cells = [each for own in self.image_image for each in own.values()]
        return [*self.text_text, *self.refined, *cells]

    @property
    def n_bytes(self) -> int:
        """Size in memory."""
        return sum(each.n_bytes for each in self._pairs) + self.text_image.n_bytes

    def move_to_host(self) -> None:
        """Move everything to main memory."""
        self.text_image.move_to_host()
        for sums in self._pairs:
            sums.move_to_host()
