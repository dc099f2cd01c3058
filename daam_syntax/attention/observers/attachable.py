"""Something that is attached to a denoiser for a time, and restores it completely afterwards."""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from weakref import WeakKeyDictionary

from torch import nn

from daam_syntax.attention.hooks.interrupts import restore_completely
from daam_syntax.errors import TraceError

Attached = WeakKeyDictionary[nn.Module, "weakref.ref[Attachable]"]
"""What is attached to each denoiser."""


class Attachable(ABC):
    """Something that is attached to a denoiser.

    Attributes
    ----------
    denoiser
        The denoiser.
    """

    exclusive: Attached | None = None
    """What of this kind is attached to each denoiser, if there may be only one at a time."""
    refusal = "Expected an observer that is not attached, but it is: end its `with` block first."
    """Error message for a second one."""

    denoiser: nn.Module
    _is_open = False

    @property
    def is_open(self) -> bool:
        """Whether this is attached."""
        return self._is_open

    @property
    def is_attached(self) -> bool:
        """Whether anything exclusive of this kind is attached to the denoiser."""
        return self._attached_one() is not None

    def attach(self) -> None:
        """Attach this until `detach`. If this is interrupted, everything is restored.

        Raises
        ------
        TraceError
            If this is attached already, or something exclusive of this kind is.
        """
        if self.is_attached or self._is_open:
            raise TraceError(self.refusal)
        try:
            self._is_open = True
            if self.exclusive is not None:
                self.exclusive[self.denoiser] = weakref.ref(self)
            self._attach()
        except BaseException:
            self.detach()
            raise

    def detach(self) -> None:
        """Restore everything. Does nothing if this is not attached."""
        restore_completely(self._detach)

    def _detach(self) -> None:
        if not self._is_open:
            return
        self._restore()
        if self.exclusive is not None and self._attached_one() is self:
            del self.exclusive[self.denoiser]
        self._is_open = False

    def _attached_one(self) -> Attachable | None:
        reference = None if self.exclusive is None else self.exclusive.get(self.denoiser)
        return None if reference is None else reference()

    @abstractmethod
    def _attach(self) -> None:
        """Change the pipeline and its denoiser."""

    @abstractmethod
    def _restore(self) -> None:
        """Undo what `_attach` did, or the part of it that it did; a second call completes the first."""
