"""Backgrounds of scenes, drawn from a few shapes each."""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image, ImageDraw

_Color = tuple[int, int, int]

_OVERSAMPLING: Final = 2  # backgrounds are drawn larger and averaged down, for smooth edges

# Place: colors of the upper sky, the sky at the horizon, and the ground.
_PLACES: Final[dict[str, tuple[_Color, _Color, _Color]]] = {
    "beach": ((120, 200, 250), (190, 230, 255), (240, 215, 150)),
    "field": ((130, 200, 250), (190, 226, 252), (110, 190, 70)),
    "snow": ((125, 150, 190), (170, 190, 220), (203, 219, 240)),
    "night": ((8, 10, 40), (30, 35, 90), (20, 40, 35)),
    "city": ((190, 205, 220), (220, 225, 230), (95, 95, 100)),
    "forest": ((70, 130, 80), (120, 170, 110), (80, 60, 35)),
    "room": ((228, 204, 170), (218, 190, 152), (160, 105, 60)),
    "desert": ((250, 190, 110), (255, 225, 160), (215, 150, 80)),
}


def draw_background(place: str | None, side: int, rng: np.random.Generator) -> Image.Image:
    """Draw a background of `side` x `side` pixels; if `place` is None, a plain soft pastel.

    No background is as bright as a white object, so that white objects can be seen on all of them.
    """
    if place is None:
        red, green, blue = (int(value) for value in rng.integers(190, 223, 3))
        return Image.new("RGB", (side, side), (red, green, blue))
    return _draw_place(place, side * _OVERSAMPLING, rng).reduce(_OVERSAMPLING)


def _draw_place(place: str, side: int, rng: np.random.Generator) -> Image.Image:
    above, horizon, ground = (np.array(color, dtype=np.float32) for color in _PLACES[place])
    line = int(side * rng.uniform(0.5, 0.65))
    fade = np.linspace(0, 1, side, dtype=np.float32)[:, None, None]
    pixels = np.broadcast_to(above * (1 - fade) + horizon * fade, (side, side, 3)).copy()
    pixels[line:] = ground
    pixels = np.clip(pixels + rng.uniform(-6, 6), 0, 255).astype(np.uint8)
    image = Image.fromarray(pixels)
    _furnish(image, place, line, rng)
    return image


def _furnish(image: Image.Image, place: str, line: int, rng: np.random.Generator) -> None:
    """Draw the details of a place: sea, stars, houses, trees, a window, a sun."""
    draw = ImageDraw.Draw(image)
    side = image.width
    unit = side / 128

    def box(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
        return x * unit, y * unit, (x + width) * unit, (y + height) * unit

    if place == "beach":
        draw.rectangle((0, line - 18 * unit, side, line - 1), fill=(30, 120, 200))
    elif place == "night":
        for x, y in zip(rng.integers(0, 128, 14), rng.integers(0, 56, 14), strict=True):
            draw.rectangle(box(x, y, 1, 1), fill=(255, 255, 230))
        draw.ellipse(box(float(rng.integers(5, 100)), 6, 18, 18), fill=(255, 250, 210))
    elif place == "city":
        x = 0
        while x < 128:
            width, top, gray = rng.integers(14, 26), rng.integers(8, 50), rng.integers(110, 160)
            wall = (int(gray), int(gray), int(gray) + 12)
            draw.rectangle((x * unit, top * unit, (x + width - 2) * unit, line), fill=wall)
            for window_y in range(int(top) + 4, int(line / unit) - 4, 7):
                for window_x in range(x + 3, x + int(width) - 5, 6):
                    draw.rectangle(box(window_x, window_y, 2, 3), fill=(250, 235, 150))
            x += int(width)
    elif place == "forest":
        foot = line / unit
        for x, height in zip(rng.integers(-5, 123, 6), rng.integers(25, 50, 6), strict=True):
            green = (25, int(rng.integers(75, 105)), 40)
            draw.rectangle(box(x + 8, foot - 10, 4, 13), fill=(70, 45, 25))
            crown = [(x, foot - 8), (x + 20, foot - 8), (x + 10, foot - 8 - height)]
            draw.polygon([(px * unit, py * unit) for px, py in crown], fill=green)
    elif place == "room":
        draw.rectangle(
            box(80, 14, 32, 30), fill=(150, 210, 250), outline=(110, 70, 40), width=round(3 * unit)
        )
    elif place == "desert":
        draw.ellipse(box(8, 8, 24, 24), fill=(255, 240, 150))
