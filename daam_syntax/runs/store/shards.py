"""The division of a run into batches and shards. It never changes during a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class PlannedImage:
    """One image of a run.

    Attributes
    ----------
    number
        Number of the image in the run: all seeds of the first prompt, then those of the second, and so on.
    prompt
        Number of its prompt, from 0.
    seed
        Seed index, from 0.
    """

    number: int
    prompt: int
    seed: int


@dataclass(frozen=True)
class ShardPlan:
    """The division of a run's images into batches, and of batches into shards.

    A shard is finished, or drawn again, as a whole; it has one file of each table. It consists of whole batches, so
    the batches are the same no matter where a run was interrupted.

    Attributes
    ----------
    n_prompts, n_seeds
        Every prompt is drawn with every seed.
    batch_size
        Images that are drawn together; a batch can contain several prompts.
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
    def of(cls, n_prompts: int, n_seeds: int, batch_size: int, shard_size: int) -> ShardPlan:
        """Make a plan with shards of at most `shard_size` images, or of one batch if that is larger."""
        batch_size = min(batch_size, n_prompts * n_seeds)
        whole = max(1, shard_size // batch_size) * batch_size
        return cls(n_prompts, n_seeds, batch_size, whole)

    @property
    def n_images(self) -> int:
        """Number of images of the run."""
        return self.n_prompts * self.n_seeds

    @property
    def n_shards(self) -> int:
        """Number of shards."""
        return -(-self.n_images // self.shard_size)

    def image(self, number: int) -> PlannedImage:
        """Return the image with this number."""
        return PlannedImage(number, *divmod(number, self.n_seeds))

    def size(self, shard: int) -> int:
        """Return the number of images of a shard."""
        return min(self.shard_size, self.n_images - shard * self.shard_size)

    def batches(self, shard: int) -> Iterator[list[PlannedImage]]:
        """Yield the batches of a shard."""
        first = shard * self.shard_size
        end = first + self.size(shard)
        for start in range(first, end, self.batch_size):
            numbers = range(start, min(start + self.batch_size, end))
            yield [self.image(number) for number in numbers]
