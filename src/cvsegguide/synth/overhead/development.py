"""From light to grey levels: haze, optics, response, noise."""

import numpy as np
from scipy.ndimage import correlate1d

from cvsegguide.synth.compiled import F32, U8
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


def develop(
    light: F32,
    style: PhotoStyle,
    grain: F32,
    corner: tuple[int, int],
    inset: tuple[int, int],
    shape: tuple[int, int],
) -> U8:
    """Blur, colour, encode, add noise.

    Args:
        light: ``(h, w, 3)`` linear, with a border of what lies around the picture.
        style: Optics, response, colourfulness and noise.
        grain: Periodic white noise, its size a power of two.
        corner: World pixel of the first pixel of the picture.
        inset: Where the picture begins in ``light``.
        shape: ``(H, W)`` of the picture.

    Returns:
        ``(H, W, 3)`` uint8.
    """
    for axis in (0, 1):
        light = correlate1d(light, optics(style), axis=axis, mode="nearest")
    (top, left), (height, width) = inset, shape
    light = light[top : top + height, left : left + width]
    grey = 0.3 * light[..., :1] + 0.59 * light[..., 1:2] + 0.11 * light[..., 2:]
    light = np.clip(grey + (light - grey) * style.saturation, 0.0, 1.0)
    level = response(style)[(light * (LEVELS - 1)).astype(np.int32), range(3)]
    # One draw for all colours, and half as much of one for each.
    mask = len(grain) - 1
    rows, cols = corner[0] + np.arange(height) & mask, corner[1] + np.arange(width)
    for k in range(3):
        speck = grain[np.ix_(rows, cols & mask)]
        speck = speck + 0.5 * grain[np.ix_(rows, cols + 97 * (k + 1) & mask)]
        level[..., k] += style.noise * speck
    return np.asarray(np.clip(level + 0.5, 0.0, 255.0), np.uint8)
