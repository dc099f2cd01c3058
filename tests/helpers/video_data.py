"""Small heat maps of a video whose measures can be worked out by hand."""

import numpy as np

from daam_syntax.maps import VideoMaps
from helpers.examples import make_maps

DRAWN = [range(1), range(1, 5), range(5, 9)]


def make_video(**options):
    """Return a video in which the words move to the right, and get stronger, from frame to frame."""
    first = make_maps(**options)
    frames = [
        first.with_values(np.roll(first.mean, k, axis=-1) * np.float32(1 + k)) for k in range(3)
    ]
    return VideoMaps(frames, DRAWN)
