"""The seed of an image's random generator."""

from __future__ import annotations

import hashlib

from daam_syntax.language import prompt_id
from daam_syntax.util.arguments.checks import checked


@checked
def generator_seed(prompt: str, seed: int) -> int:
    """Return the seed for the generator of one image, derived from the prompt and the seed index.

    An image therefore depends neither on its neighbors in a batch nor on the other prompts of a study, and seeds are
    nested in prompts: seed 0 of one prompt shares no noise with seed 0 of another.

    Parameters
    ----------
    prompt
        The prompt's text.
    seed
        Seed index, from 0.
    """
    digest = hashlib.sha256(f"{prompt_id(prompt)}/{seed}".encode()).digest()
    return int.from_bytes(digest[:4], "big")
