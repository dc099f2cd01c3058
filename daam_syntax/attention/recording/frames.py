"""The pixels of each frame of a video, which follow each other among the queries."""

from __future__ import annotations

from torch import Tensor

from daam_syntax.errors import TraceError


def pixels_of_frame(path: str, n_pixels: int, n_frames: int) -> int:
    """Return the number of pixels of each frame.

    Raises
    ------
    TraceError
        If they cannot be divided equally.
    """
    per_frame, rest = divmod(n_pixels, n_frames)
    if rest:
        raise TraceError(
            f"Expected the {n_pixels} pixels of {path} to be those of {n_frames} frames, but they cannot be divided "
            "equally: register a Family that describes the frames."
        )
    return per_frame


def split_frames(probabilities: Tensor, n_frames: int) -> Tensor:
    """Make the pixels of each frame a row of their own.

    Parameters
    ----------
    probabilities
        *Shape:* ``(row, [head], frame * pixel, token)``
    n_frames
        Number of frames.

    Returns
    -------
    Tensor
        *Shape:* ``(row * frame, [head], pixel, token)``
    """
    if n_frames == 1:
        return probabilities
    return probabilities.unflatten(-2, (n_frames, -1)).movedim(-3, 1).flatten(0, 1)
