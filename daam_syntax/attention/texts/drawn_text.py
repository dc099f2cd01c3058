"""Whether images are drawn from the text that their maps are reported for.

A denoiser receives the text as embeddings, which callbacks may exchange or change in place while images are generated.
Each denoiser call's embeddings are therefore compared with a copy of those that `encode_prompt` returned. The text is
the same if the embedding of each token is a multiple of the original one: token weighting scales embeddings, a token
can be switched off with the factor 0, and number formats round. Another direction is another text, and so are zeros
for all tokens.

The comparison runs on the device. Its results are read once, when the pipeline call ends; on a CPU, where this costs
nothing, after each denoiser call.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

import torch
from torch import Tensor

_TOLERANCE: Final = 0.02
"""Sine of the largest angle between embeddings of one direction. Rounding to bfloat16 turns a vector by 0.004."""

Texts = tuple[str, ...]


@dataclass
class Embedding:
    """Embedded texts as `encode_prompt` returned them, and a copy that nothing outside can change.

    Attributes
    ----------
    returned
        The tensor, *shape* ``(row, token, feature)``, or a list with one tensor per row.
    original
        The copy.
    """

    returned: Any
    original: Any

    @classmethod
    def of(cls, returned: Any) -> Self:
        """Copy embedded texts."""
        if isinstance(returned, list | tuple):
            return cls(returned, [each.detach().clone() for each in returned])
        return cls(returned, returned.detach().clone())

    def is_held_by(self, given: Any) -> bool:
        """Return whether a tensor has the same memory, whatever its values are by now. Never waits for a device."""
        one, other = self.returned, given
        return (
            isinstance(one, Tensor)
            and isinstance(other, Tensor)
            and one.data_ptr() == other.data_ptr()
            and (one.shape, one.stride()) == (other.shape, other.stride())
            and (one.dtype, one.device) == (other.dtype, other.device)
        )

    def differs_from(self, given: Any) -> Tensor:
        """Return whether embedded texts are other ones, as a tensor without axes on their device.

        Parameters
        ----------
        given
            A tensor, *shape* ``(row, token, feature)``, or a list with one tensor per row. There may be several rows
            for each of the texts, one after the other.
        """
        if isinstance(self.original, Tensor) and isinstance(given, Tensor):
            self.original = self.original.to(given.device)  # once, if models are moved about
            return _any_other(given, _repeated(self.original, len(given)))
        known = _repeated(list(self.original), len(given))
        if len(known) != len(given):
            return torch.ones((), dtype=torch.bool, device=given[0].device)
        pairs = zip(given, known, strict=True)
        return torch.stack([_any_other(one, other.to(one.device)) for one, other in pairs]).any()


@dataclass(frozen=True)
class OtherText:
    """A step that was drawn from another text than reported.

    Attributes
    ----------
    step
        Number of the step.
    timestep
        Its timestep.
    is_negative
        Whether the negative prompts were replaced, not the prompts.
    texts
        The texts that it was drawn from; None if they are unknown.
    """

    step: int
    timestep: Any
    is_negative: bool
    texts: Texts | None


@dataclass
class DrawnTexts:
    """The texts that the denoiser calls of one pipeline call were made with.

    Attributes
    ----------
    beside
        Texts that were encoded while the images were generated, and their embeddings.
    n_steps
        Number of denoiser calls with the prompts so far.
    """

    beside: list[tuple[Texts, Embedding]] = field(default_factory=list)
    n_steps: int = 0
    _steps: list[tuple[int, Any, bool]] = field(default_factory=list)
    _differs: list[Tensor] = field(
        default_factory=list
    )  # one (1 + text beside) per entry of _steps

    def compare(self, given: Sequence[Any], known: Sequence[Embedding]) -> Tensor:
        """Compare the text of some rows with the reported text, and with each text `beside`.

        Parameters
        ----------
        given
            The text in each of the denoiser's inputs that hold text.
        known
            The reported text in each of them.

        Returns
        -------
        Tensor
            Whether the text differs. *Shape:* ``(1 + text beside,)``
        """
        pairs = zip(given, known, strict=False)
        differs = torch.stack([embedding.differs_from(one) for one, embedding in pairs]).any()
        others = [embedding.differs_from(given[0]) for _, embedding in self.beside]
        return torch.stack([differs, *others])

    def add(self, timestep: Any, differs: Tensor, *, is_negative: bool) -> None:
        """Add the result of `compare` for the current step, if it is reported."""
        self._steps.append((self.n_steps - 1, timestep, is_negative))
        self._differs.append(differs)

    def first_other(self, *, may_wait: bool) -> OtherText | None:
        """Find the first step since the last check that was drawn from another text.

        Parameters
        ----------
        may_wait
            Whether to read results from an accelerator.
        """
        if not self._differs or (self._differs[0].device.type != "cpu" and not may_wait):
            return None
        counts = [len(each) for each in self._differs]
        results = iter(torch.cat(self._differs).tolist())  # the only wait for the device
        found = None
        for (step, timestep, is_negative), count in zip(self._steps, counts, strict=True):
            differs, *others = itertools.islice(results, count)
            if differs and found is None:
                pairs = zip(self.beside, others, strict=False)
                texts = next((text for (text, _), is_other in pairs if not is_other), None)
                found = OtherText(step, timestep, is_negative, texts)
        self._differs.clear()
        self._steps.clear()
        return found


def largest_angle(given: Tensor, own: Tensor, empty: Tensor) -> float:
    """Return how far embeddings are from those of a text that may have been weighted, in degrees.

    Libraries that weight tokens scale embeddings, or move them towards or away from those of the empty text. So an
    embedding is compared with the text's own in the directions that the empty text does not have, and an embedding that
    is a mixture of the two is the text's own.

    Parameters
    ----------
    given, own, empty
        Embeddings of a text that a pipeline was given, those that it makes of the text itself, and those of the empty
        text. *Shape:* ``(token, feature)``

    Returns
    -------
    float
        The angle of the token that is farthest from its own; 90 if all tokens are those of the empty text.
    """
    given, own, empty = (each.detach().double().cpu() for each in (given, own, empty))
    if empty.shape != own.shape:  # some encoders do not pad the text
        empty = torch.zeros_like(own)
    word = _without(own, empty)
    is_word = word.norm(dim=-1) > _TOLERANCE * own.norm(dim=-1)
    rest = _without(given, empty)
    direction = torch.where(is_word[:, None], word, torch.zeros_like(word))
    is_on = rest.norm(dim=-1) > _TOLERANCE * given.norm(dim=-1)
    if is_word.any() and not (is_on & is_word).any():
        return 90.0
    beside = _without(rest, direction).norm(dim=-1)
    is_other = beside > _TOLERANCE * given.norm(dim=-1)
    sines = torch.where(is_other, beside / rest.norm(dim=-1), 0.0)
    return float(torch.rad2deg(torch.asin(sines.max().clamp(max=1.0))))


def _any_other(given: Tensor, known: Tensor) -> Tensor:
    if given.shape != known.shape:
        return torch.ones((), dtype=torch.bool, device=given.device)
    given, known = given.detach().float(), known.float()
    sizes = given.square().sum(-1)
    # All tokens switched off are no text, unless the model itself has zeros for it.
    is_off = (sizes.sum(-1) == 0) & (known.square().sum((-1, -2)) > 0)
    # A number that is not finite is not another text.
    is_turned = _without(given, known).square().sum(-1) > _TOLERANCE**2 * sizes
    return is_turned.any() | is_off.any()


def _without(given: Tensor, direction: Tensor) -> Tensor:
    """Remove a direction from each of some vectors ``(..., feature)``."""
    size = direction.square().sum(-1, keepdim=True)
    share = (given * direction).sum(-1, keepdim=True) / size.clamp(min=torch.finfo(size.dtype).tiny)
    return given - share * direction


def _repeated(known: Any, n_rows: int) -> Any:
    """Repeat each row for the images of its prompt; unchanged if that gives another number of rows."""
    times, rest = divmod(n_rows, len(known))
    if times <= 1 or rest:
        return known
    if isinstance(known, Tensor):
        return known.repeat_interleave(times, dim=0)
    return [row for row in known for _ in range(times)]
