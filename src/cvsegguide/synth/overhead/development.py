"""From light to grey levels: haze, optics, response, noise."""

import numpy as np

from cvsegguide.synth.compiled import F32, U8, compiled
from cvsegguide.synth.styles import PhotoStyle

LEVELS = 4096
"""Entries of the response tables, over linear light 0 to 1."""


def response(style: PhotoStyle) -> F32:
    """``(LEVELS, 3)`` grey levels 0 to 255 for linear light, with haze and white balance in it."""
    light = (np.arange(LEVELS) / (LEVELS - 1))[:, None] * np.asarray(style.white_balance)
    veil = np.array([0.17, 0.185, 0.205]) * style.haze
    light = light * style.exposure * (1.0 - 0.5 * style.haze) + veil
    # a shoulder that keeps white roofs below saturation
    light = np.where(light > 0.6, 0.6 + 0.4 * np.tanh((light - 0.6) / 0.4), light)
    encoded = np.clip(light, 0.0, 1.0) ** (1.0 / 2.2)
    curved = 0.42 + (encoded - 0.42) * style.contrast
    table: F32 = (255.0 * np.clip(curved, 0.0, 1.0)).astype(np.float32)
    return table


def optics(style: PhotoStyle) -> F32:
    """Seven taps of the point spread with the processing's overshoot, summing to 1."""
    offset = np.arange(-3, 4)
    narrow = np.exp(-0.5 * (offset / style.blur) ** 2)
    wide = np.exp(-0.5 * (offset / (2.0 * style.blur)) ** 2)
    taps = (1.0 + style.sharpening) * narrow / narrow.sum() - style.sharpening * wide / wide.sum()
    result: F32 = taps.astype(np.float32)
    return result


@compiled
def develop(
    light: F32,
    taps: F32,
    table: F32,
    saturation: float,
    noise: float,
    grain: F32,
    corner: tuple[int, int],
    inset: tuple[int, int],
    out: U8,
) -> None:
    """Blur, colour, encode, add noise.

    Args:
        light: ``(h, w, 3)`` linear, with a border of what lies around ``out``.
        taps: Point spread, 7 taps.
        table: Response, see :func:`response`.
        saturation: Factor on colourfulness.
        noise: Standard deviation in grey levels.
        grain: Periodic white noise, its size a power of two.
        corner: World pixel of the first pixel of ``out``.
        inset: Where ``out`` begins in ``light``.
        out: ``(H, W, 3)``, written.
    """
    (row0, col0), (r0, c0) = corner, inset
    h, w = light.shape[0], light.shape[1]
    rows, cols = out.shape[0], out.shape[1]
    mask = grain.shape[0] - 1
    # vertical pass one row at a time, then horizontal
    line = np.zeros((w, 3), np.float32)
    top = np.float32(LEVELS - 1)
    for r in range(rows):
        for c in range(w):
            for k in range(3):
                line[c, k] = 0.0
        for t in range(7):
            source = light[min(max(r + r0 + t - 3, 0), h - 1)]
            tap = taps[t]
            for c in range(w):
                for k in range(3):
                    line[c, k] += tap * source[c, k]
        noise_row = grain[(row0 + r) & mask]
        for c in range(cols):
            red = green = blue = np.float32(0.0)
            for t in range(7):
                at = min(max(c + c0 + t - 3, 0), w - 1)
                red += taps[t] * line[at, 0]
                green += taps[t] * line[at, 1]
                blue += taps[t] * line[at, 2]
            grey = np.float32(0.3) * red + np.float32(0.59) * green + np.float32(0.11) * blue
            speck = noise * noise_row[(col0 + c) & mask]
            for k in range(3):
                value = red if k == 0 else (green if k == 1 else blue)
                value = grey + (value - grey) * saturation
                value = min(max(value, np.float32(0.0)), np.float32(1.0))
                level = table[int(value * top), k]
                level += speck + 0.5 * noise * noise_row[(col0 + c + 97 * (k + 1)) & mask]
                out[r, c, k] = int(min(max(level + 0.5, 0.0), 255.0))
