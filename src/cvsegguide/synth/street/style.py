"""The light, season and camera of one picture."""

from typing import NamedTuple

import numpy as np


class StreetStyle(NamedTuple):
    """Everything about the look of a street view that is not the place; drawn per picture.

    Angles in degrees, colours linear, lengths in metres.
    """

    seed: int = 0
    sun_azimuth: float = 200.0
    sun_elevation: float = 45.0
    sun: float = 2.4
    """Strength of direct light against the sky's; 0 when overcast (then no cast shadows)."""
    warmth: float = 0.1
    """How much redder than white the direct light is."""
    clouds: float = 0.4
    """Share of the sky under cloud, 0 to 1."""
    sky_blue: float = 0.7
    """Saturation of the clear sky."""
    haze: float = 400.0
    """Distance at which the air hides two thirds of the contrast."""
    leaf_threshold: float = 0.35
    """Canopy cells with noise below it are holes; negative: crowns are solid."""
    bare: float = 0.0
    """0 = in leaf, 1 = branches only."""
    autumn: float = 0.0
    """How far leaves have turned, 0 to 1."""
    dry: float = 0.3
    """How brown the grass is, 0 to 1."""
    asphalt: float = 0.5
    """How light roads are, 0 to 1."""
    exposure: float = 1.0
    red: float = 1.0
    blue: float = 1.0
    gamma: float = 2.2
    contrast: float = 1.0
    saturation: float = 1.0
    vignette: float = 0.1
    seams: int = 6
    """Pictures that the panorama is stitched from; 0 = none to be seen."""
    seam_gain: float = 0.04
    noise: float = 0.01
    blur: float = 0.35
    """Blur of the optics in pixels (standard deviation)."""


def draw_style(seed: int, drive: int | None = None) -> StreetStyle:
    """Draw the look of a picture.

    Args:
        seed: Of the picture.
        drive: Of the drive that it belongs to: pictures of one drive share season, weather and
            camera up to small changes. By default each picture stands alone.
    """
    rng = np.random.default_rng((seed, 1))
    base = np.random.default_rng((seed if drive is None else drive, 2))
    overcast = base.random() < 0.36
    season = base.random()
    bare = float(base.uniform(0.55, 1.0)) if season < 0.22 else 0.0
    warm = float(base.uniform(-1.0, 1.0))
    wobble = rng.normal(size=4)
    return StreetStyle(
        seed=seed & 0x7FFFFFFF,
        sun_azimuth=float((base.uniform(70, 290) + 4 * wobble[0]) % 360),
        sun_elevation=float(np.clip(base.uniform(16, 66) + 2 * wobble[1], 12, 70)),
        sun=0.0 if overcast else float(base.uniform(0.9, 2.5)),
        warmth=float(base.uniform(0.0, 0.35)),
        clouds=float(base.uniform(0.75, 1.0) if overcast else base.uniform(0.0, 0.65)),
        sky_blue=float(base.uniform(0.35, 1.0)),
        haze=float(np.exp(base.uniform(np.log(130), np.log(1500)))),
        leaf_threshold=float(base.uniform(0.3, 0.55)),
        bare=bare,
        autumn=float(base.uniform(0.3, 1.0)) if 0.22 <= season < 0.36 else 0.0,
        dry=float(np.clip(base.normal(0.35, 0.25) + (0.3 if bare else 0.0), 0, 1)),
        asphalt=float(base.random()),
        exposure=float(1.15 * np.exp(0.2 * base.normal() + 0.10 * wobble[2])),
        red=float(np.exp(0.05 * warm + 0.03 * base.normal())),
        blue=float(np.exp(-0.07 * warm + 0.04 * base.normal())),
        gamma=float(base.uniform(1.85, 2.5)),
        contrast=float(base.uniform(0.85, 1.2)),
        saturation=float(base.uniform(0.6, 1.25)),
        vignette=float(base.uniform(0.0, 0.25)),
        seams=int(base.choice([0, 5, 6, 7, 8])),
        seam_gain=float(base.uniform(0.0, 0.08)),
        noise=float(np.exp(base.uniform(np.log(0.003), np.log(0.03)))),
        blur=float(base.uniform(0.0, 0.75)),
    )
