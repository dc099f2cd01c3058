"""The division of a run into batches and shards. It never changes during a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from daam_syntax.runs.arguments import LARGEST_SEED
from daam_syntax.runs.field_types import MOST, check_fields, each, whole

_LARGEST: Final = 1_000_000
"""Most images of a shard; lists of so many fit into memory."""


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
    seeds
        The seeds; if empty, they are 0, 1, 2, and so on.
    """

    n_prompts: int
    n_seeds: int
    batch_size: int
    shard_size: int
    seeds: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if min(self.n_prompts, self.n_seeds, self.batch_size, self.shard_size) < 1:
            raise ValueError(f"Expected numbers of at least 1, but got {self}.")
        if self.shard_size % self.batch_size:
            raise ValueError(f"Expected shards of whole batches, but got {self}.")
        if self.seeds and len(self.seeds) != self.n_seeds:
            raise ValueError(f"Expected {self.n_seeds} seeds, but got {len(self.seeds)}.")
        if self.size(0) > _LARGEST:
            raise ValueError(f"Expected shards of at most {_LARGEST:,} images, but got {self}.")

    @classmethod
    def of(
        cls, n_prompts: int, seeds: int | Sequence[int], batch_size: int, shard_size: int
    ) -> ShardPlan:
        """Make a plan with shards of at most `shard_size` images (at most a million), or of one batch if it is larger.

        `seeds` are a number of seeds, or the seeds.
        """
        listed = () if isinstance(seeds, int) else tuple(seeds)
        n_seeds = seeds if isinstance(seeds, int) else len(listed)
        batch_size = min(batch_size, n_prompts * n_seeds)
        whole_batches = max(1, min(shard_size, _LARGEST) // batch_size) * batch_size
        return cls(n_prompts, n_seeds, batch_size, whole_batches, listed)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ShardPlan:
        """Return the plan that `as_dict` described.

        Raises
        ------
        ValueError
            If the values are anything else.
        """
        numbers = dict.fromkeys(("n_prompts", "n_seeds", "batch_size", "shard_size"), whole(1))
        found = check_fields(values, numbers, {"seeds": each(whole(most=LARGEST_SEED))})
        plan = cls(**{**found, "seeds": tuple(found.get("seeds", ()))})
        if plan.n_images > MOST:
            raise ValueError(f"it has {plan.n_images} images")
        return plan

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers by name, ready for JSON."""
        found = asdict(self) | {"seeds": list(self.seeds)}
        return found if self.seeds else {n: v for n, v in found.items() if n != "seeds"}

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
        prompt, place = divmod(number, self.n_seeds)
        return PlannedImage(number, prompt, self.seeds[place] if self.seeds else place)

    def size(self, shard: int) -> int:
        """Return the number of images of a shard."""
        return min(self.shard_size, self.n_images - shard * self.shard_size)

    def images(self, shard: int) -> list[PlannedImage]:
        """Return the images of a shard, in order."""
        first = shard * self.shard_size
        return [self.image(number) for number in range(first, first + self.size(shard))]

    def prompts(self, shard: int) -> range:
        """Return the numbers of the prompts that a shard has images of."""
        first = shard * self.shard_size
        last = first + self.size(shard) - 1
        return range(first // self.n_seeds, last // self.n_seeds + 1)

    def batches(self, shard: int) -> Iterator[list[PlannedImage]]:
        """Yield the batches of a shard."""
        images = self.images(shard)
        for start in range(0, len(images), self.batch_size):
            yield images[start : start + self.batch_size]
