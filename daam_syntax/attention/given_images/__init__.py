"""Trace given images: a model's attention to images that it did not generate.

`calls` has the public functions, `recording` records attention, `reading` runs the denoiser, `pixels` reads and fits
images, and `noise` adds the noise of a timestep. They import `tracing`, and everything below it.
"""

from daam_syntax.attention.given_images.calls import (
    DEFAULT_TIMESTEPS,
    trace_image,
    trace_images,
    trace_output_maps,
)

__all__ = ["DEFAULT_TIMESTEPS", "trace_image", "trace_images", "trace_output_maps"]
