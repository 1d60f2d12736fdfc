"""The camera: optics, exposure, colour, seams of the panorama, grain, and eight bits."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from cvsegguide.synth.compiled import F32
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
    height, width, _ = linear.shape
    if style.blur > 0.05:
        modes = "nearest", "wrap" if wraps else "nearest"
        linear = gaussian_filter(linear, style.blur, mode=modes, radius=2, axes=(0, 1))
    lift = (np.arange(height) + 0.5) / height - 0.5
    gain = style.exposure * np.outer(
        1.0 - style.vignette * 4.0 * lift**2, _seam_gains(style, width)
    )
    light = linear * gain[..., None] * (style.red, 1.0, style.blue)
    grey = (light @ (0.3, 0.59, 0.11))[..., None]
    light = grey + style.saturation * (light - grey)
    tones = _tone_curve(style)
    tone = tones[np.clip(light * (_TONES / _TONE_RANGE), 0, _TONES - 1).astype(int)]
    # Two even draws make a triangle, near enough to grain; one of them for all colours.
    draws = np.random.default_rng((style.seed, 4)).random((height, width, 4), np.float32)
    grain = draws[..., :1] + draws[..., 1:] - 1.0
    return np.asarray(np.clip(tone + 255.0 * style.noise * 1.7 * grain + 0.5, 0, 255), np.uint8)


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
