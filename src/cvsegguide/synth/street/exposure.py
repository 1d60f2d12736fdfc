"""The camera: optics, exposure, colour, seams of the panorama, grain, and eight bits."""

import math

import numpy as np
from numpy.typing import NDArray

from cvsegguide.synth.compiled import F32, compiled
from cvsegguide.synth.noise import hash_unit
from cvsegguide.synth.street.style import StreetStyle

_TONES = 2048
_TONE_RANGE = 4.0


def develop(linear: F32, style: StreetStyle, wraps: bool) -> NDArray[np.uint8]:
    """Turn linear light ``(H, W, 3)`` into a picture.

    Args:
        linear: 1.0 is white paper in full sun, more or less.
        style: Exposure and the rest.
        wraps: Whether left and right edge are neighbours (a full panorama).
    """
    if style.blur > 0.05:
        linear = _blur(linear, style.blur, wraps)
    tones = _tone_curve(style)
    gains = _seam_gains(style, linear.shape[1])
    return _expose(linear, style, tones, gains)


def _tone_curve(style: StreetStyle) -> F32:
    """Linear light in steps of 4 / 2048 to 0..255: a shoulder, gamma, and contrast about grey."""
    light = np.arange(_TONES) * (_TONE_RANGE / _TONES)
    shoulder = light * (1 + light / 4.5) / (1 + light)
    value = shoulder ** (1 / style.gamma)
    grey = 0.5
    value = grey + (value - grey) * style.contrast
    return np.asarray(np.clip(value, 0, 1) * 255, dtype=np.float32)


def _seam_gains(style: StreetStyle, width: int) -> F32:
    """Exposure of each column: the pictures of a panorama differ a little and are blended."""
    if style.seams == 0:
        return np.ones(width, np.float32)
    rng = np.random.default_rng((style.seed, 3))
    gains = np.exp(style.seam_gain * rng.normal(size=style.seams))
    place = (np.arange(width) + 0.5) / width * style.seams + rng.random()
    index = np.floor(place).astype(int)
    share = np.clip((place - index - 0.85) / 0.15, 0, 1)
    here, there = gains[index % style.seams], gains[(index + 1) % style.seams]
    return np.asarray(here + share * (there - here), dtype=np.float32)


@compiled
def _blur(linear: F32, sigma: float, wraps: bool) -> F32:
    """Gaussian of 5 taps along both axes."""
    height, width, _ = linear.shape
    w1 = math.exp(-0.5 / (sigma * sigma))
    w2 = math.exp(-2.0 / (sigma * sigma))
    total = 1.0 + 2.0 * (w1 + w2)
    near = np.float32(w1 / total)
    far = np.float32(w2 / total if w2 / total > 0.002 else 0.0)
    middle = np.float32(1.0) - np.float32(2.0) * (near + far)
    n = 3 * width
    across = np.empty((height, n), np.float32)
    line = np.empty(n + 12, np.float32)
    for r in range(height):
        for c in range(width):
            for k in range(3):
                line[6 + 3 * c + k] = linear[r, c, k]
        for i in range(2):
            for k in range(3):
                line[3 * i + k] = linear[r, width - 2 + i if wraps else 0, k]
                line[6 + n + 3 * i + k] = linear[r, i if wraps else width - 1, k]
        for j in range(n):
            across[r, j] = (
                middle * line[j + 6]
                + near * (line[j + 3] + line[j + 9])
                + far * (line[j] + line[j + 12])
            )
    out = np.empty((height, n), np.float32)
    for r in range(height):
        up, down = max(0, r - 1), min(height - 1, r + 1)
        top, bottom = max(0, r - 2), min(height - 1, r + 2)
        for j in range(n):
            out[r, j] = (
                middle * across[r, j]
                + near * (across[up, j] + across[down, j])
                + far * (across[top, j] + across[bottom, j])
            )
    return out.reshape((height, width, 3))


@compiled
def _expose(linear: F32, style: StreetStyle, tones: F32, gains: F32) -> NDArray[np.uint8]:
    height, width, _ = linear.shape
    image = np.empty((height, width, 3), np.uint8)
    steps = len(tones) / 4.0
    last = len(tones) - 1
    amplitude = 255.0 * style.noise * 1.7
    for r in range(height):
        lift = (r + 0.5) / height - 0.5
        for c in range(width):
            gain = style.exposure * gains[c] * (1.0 - style.vignette * 4.0 * lift * lift)
            red = linear[r, c, 0] * gain * style.red
            green = linear[r, c, 1] * gain
            blue = linear[r, c, 2] * gain * style.blue
            grey = 0.3 * red + 0.59 * green + 0.11 * blue
            red = grey + style.saturation * (red - grey)
            green = grey + style.saturation * (green - grey)
            blue = grey + style.saturation * (blue - grey)
            # Two even draws make a triangle, near enough to grain; one of them for all colours.
            bits = int(hash_unit(r * width + c, style.seed, 0) * 4503599627370496.0)
            shared = (bits >> 39) * (1.0 / 8192.0) - 1.0
            for k in range(3):
                light = red if k == 0 else green if k == 1 else blue
                tone = tones[min(last, max(0, int(light * steps)))]
                grain = shared + ((bits >> (13 * k)) & 8191) * (1.0 / 8192.0)
                image[r, c, k] = np.uint8(min(255.0, max(0.0, tone + amplitude * grain + 0.5)))
    return image
