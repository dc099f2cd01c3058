"""Which image is drawn when: images into batches, batches into shards. The plan of a run never changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Slot:
    """The place of one image in a run.

    Attributes
    ----------
    image
        Its running number: all seeds of the first prompt, then of the second, and so on.
    prompt
        Number of its prompt, from 0.
    seed
        Number of its seed, from 0.
    """

    image: int
    prompt: int
    seed: int


@dataclass(frozen=True)
class Plan:
    """How the images of a run are divided.

    A shard is what is finished, or drawn again, as a whole: one file of each table. It holds whole batches, so that
    the batches are the same wherever a run was interrupted.

    Attributes
    ----------
    n_prompts, n_seeds
        Every prompt is drawn with every seed.
    batch_size
        Images that are drawn together; a batch may hold several prompts.
    shard_size
        Images of a shard, a multiple of `batch_size`.
    """

    n_prompts: int
    n_seeds: int
    batch_size: int
    shard_size: int

    def __post_init__(self) -> None:
        if min(self.n_prompts, self.n_seeds, self.batch_size, self.shard_size) < 1:
            raise ValueError(f"Expected numbers of at least 1, but got {self}.")
        if self.shard_size % self.batch_size:
            raise ValueError(f"Expected shards of whole batches, but got {self}.")

    @classmethod
    def of(cls, n_prompts: int, n_seeds: int, batch_size: int, shard_size: int) -> Plan:
        """Make a plan whose shards hold about `shard_size` images, never more unless one batch does."""
        batch_size = min(batch_size, n_prompts * n_seeds)
        whole = max(1, shard_size // batch_size) * batch_size
        return cls(n_prompts, n_seeds, batch_size, whole)

    @property
    def n_images(self) -> int:
        """Number of images in all."""
        return self.n_prompts * self.n_seeds

    @property
    def n_shards(self) -> int:
        """Number of shards."""
        return -(-self.n_images // self.shard_size)

    def slot(self, image: int) -> Slot:
        """Return the place of the image with this running number."""
        return Slot(image, *divmod(image, self.n_seeds))

    def size(self, shard: int) -> int:
        """Return the number of images of a shard."""
        return min(self.shard_size, self.n_images - shard * self.shard_size)

    def batches(self, shard: int) -> Iterator[list[Slot]]:
        """Yield the batches of a shard."""
        first = shard * self.shard_size
        end = first + self.size(shard)
        for start in range(first, end, self.batch_size):
            numbers = range(start, min(start + self.batch_size, end))
            yield [self.slot(number) for number in numbers]
