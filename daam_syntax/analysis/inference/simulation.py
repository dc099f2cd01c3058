"""Simulated pair tables with a known truth, to calibrate tests and to try out an analysis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import scipy

from daam_syntax.util.arguments.checks import checked, whole

_SIDES: Final = (("dependency", "amod"), ("unrelated", "unrelated"))


@checked
@dataclass(frozen=True)
class SimulatedStudy:
    """A simulated study of one relation and its control.

    Every overlap is ``clip(1.2 expit(z) - 0.1, 0, 1)``, where z is normal: the sum of a mean and of effects of the
    template, prompt, image, lemma and pair. Like IoU, overlaps are bounded and skewed, with many zeros.

    Attributes
    ----------
    n_prompts, n_seeds
        Number of prompts, and of images per prompt.
    n_pairs
        Number of pairs in every image: of the relation, and of the control.
    mean
        Mean of z: of the relation, and of the control.
    prompt, own, image
        Standard deviations of three effects: of the prompt on both sides, of the prompt on each side separately (which
        makes the difference vary between prompts), and of the image on both sides.
    pair
        Standard deviations of pairs: of the relation, and of the control.
    n_lemmas, lemma
        Number of lemmas of heads, which recur across prompts; and the standard deviation of their effects, which differ
        between the sides.
    n_templates, template
        Number of templates that prompts take turns in using (0: none); and the standard deviation of their effects,
        which differ between the sides.
    """

    n_prompts: int = 20
    n_seeds: int = 2
    n_pairs: tuple[int, int] = (3, 6)
    mean: tuple[float, float] = (-1.5, -1.5)
    prompt: float = 0.5
    own: float = 0.4
    image: float = 0.3
    pair: tuple[float, float] = (1.0, 1.0)
    n_lemmas: int = 10
    lemma: float = 0.0
    n_templates: int = 0
    template: float = 0.0

    @checked
    def true_mean(self, side: int) -> float:
        """Return the expected overlap of the relation (side 0) or of the control (side 1)."""
        variances = (self.prompt, self.own, self.image, self.pair[side], self.lemma, self.template)
        deviation = float(np.sqrt(sum(value**2 for value in variances)))
        # A sum of independent normal effects is normal; average the overlap over a fine grid of its quantiles.
        quantiles = scipy.stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)
        return float(_overlap(self.mean[side] + deviation * quantiles).mean())

    def true_difference(self) -> float:
        """Return the expected overlap of the relation minus that of the control."""
        return self.true_mean(0) - self.true_mean(1)

    def with_equal_means(self) -> SimulatedStudy:
        """Return a study whose control has the same mean overlap as the relation, perhaps with another distribution."""

        def excess(mean: float) -> float:
            return SimulatedStudy(**{**vars(self), "mean": (self.mean[0], mean)}).true_difference()

        mean = scipy.optimize.brentq(excess, self.mean[0] - 4, self.mean[0] + 4)
        return SimulatedStudy(**{**vars(self), "mean": (self.mean[0], float(mean))})

    @checked(n_studies=whole(1))
    def draw(
        self, n_studies: int, rng: np.random.Generator
    ) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
        """Draw many studies at once.

        Returns
        -------
        tuple
            The overlaps of the relation and of the control. *Shape:* ``(study, prompt, image, pair)`` each. Then the
            lemmas of the heads as codes, with the same shapes.
        """
        shape = (n_studies, self.n_prompts, self.n_seeds)
        shared = rng.normal(0, self.prompt, (*shape[:2], 1)) + rng.normal(0, self.image, shape)
        overlaps, lemmas = [], []
        for side in (0, 1):
            z = shared + rng.normal(self.mean[side], self.own, (*shape[:2], 1))
            if self.n_templates:
                effects = rng.normal(0, self.template, (n_studies, self.n_templates))
                z = z + effects[:, np.arange(self.n_prompts) % self.n_templates, None]
            noise = rng.normal(0, self.pair[side], (*shape, self.n_pairs[side]))
            codes = rng.integers(0, self.n_lemmas, noise.shape)
            effects = rng.normal(0, self.lemma, (n_studies, self.n_lemmas))
            of_pair = np.take_along_axis(effects, codes.reshape(n_studies, -1), axis=1)
            overlaps.append(_overlap(z[..., None] + noise + of_pair.reshape(noise.shape)))
            lemmas.append(codes)
        return (overlaps[0], overlaps[1]), (lemmas[0], lemmas[1])

    @checked(n_studies=whole(1))
    def tables(self, n_studies: int, rng: np.random.Generator) -> list[pd.DataFrame]:
        """Draw studies as pair tables with the columns that inference reads.

        Linear distances and numbers of subwords are random and have no effect.
        """
        overlaps, lemmas = self.draw(n_studies, rng)
        sides = [self._frame(side, rng) for side in (0, 1)]
        frame = pd.concat(sides, ignore_index=True)
        values, codes = (
            np.concatenate([part.reshape(n_studies, -1) for part in parts], axis=1)
            for parts in (overlaps, lemmas)
        )
        return [
            frame.assign(iou=value, head_lemma=[f"lemma{c}" for c in code])
            for value, code in zip(values, codes, strict=True)
        ]

    def _frame(self, side: int, rng: np.random.Generator) -> pd.DataFrame:
        kind, relation = _SIDES[side]
        cells = np.indices((self.n_prompts, self.n_seeds, self.n_pairs[side])).reshape(3, -1)
        prompt, image, _ = cells
        n = len(prompt)
        return pd.DataFrame(
            {
                "prompt_id": [f"p{i:04}" for i in prompt],
                "image": prompt * self.n_seeds + image,
                "seed": image,
                "template": [
                    f"t{i % self.n_templates}" if self.n_templates else "t" for i in prompt
                ],
                "kind": kind,
                "scheme": "simulated",
                "relation": relation,
                "threshold": "simulated",
                "linear_distance": rng.integers(1, 7, n) * rng.choice([-1, 1], n),
                "head_subwords": rng.integers(1, 3, n),
                "dependent_subwords": rng.integers(1, 3, n),
            }
        )


def _overlap(z: np.ndarray) -> np.ndarray:
    return np.clip(1.2 * scipy.special.expit(z) - 0.1, 0.0, 1.0)
