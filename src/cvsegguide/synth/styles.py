"""Styles: numbers that make one city, or one photograph, unlike another."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

SEASONS = ("summer", "autumn", "leaf-off")

PHOTOGRAPHS = ("plausible", "randomised")
"""How photographs are styled: as the real thing, or far beyond it (domain randomisation)."""

Rule = tuple[float, float] | Callable[[np.random.Generator], Any]
"""How a number is drawn: evenly between two, or by a function."""


def _drawn(*rules: Rule) -> Any:
    """A field with the rules by which it is drawn, one for each way to draw the style."""
    return field(metadata={"rules": rules})


def _draw(style: type, random: np.random.Generator, way: int = 0) -> dict[str, Any]:
    """The fields of a style that have rules, drawn in their order."""
    values: dict[str, Any] = {}
    for entry in fields(style):
        if rules := entry.metadata.get("rules"):
            rule = rules[way]
            values[entry.name] = random.uniform(*rule) if isinstance(rule, tuple) else rule(random)
    return values


def _season(*shares: float) -> Rule:
    return lambda random: str(random.choice(SEASONS, p=shares))


@dataclass(frozen=True)
class CityStyle:
    """How a city is built. Lengths in metres, shares in [0, 1]."""

    rotation: float = _drawn((0.0, 90.0))  # azimuth of the grid in degrees
    curvature: float = _drawn((0.5, 1.4))  # amplitude factor of the warp of the streets
    # distance of avenues along the two families
    avenue_pitch: tuple[float, float] = _drawn(
        lambda random: (random.uniform(420.0, 620.0), random.uniform(420.0, 620.0))
    )
    strip: float = _drawn((70.0, 86.0))  # depth of a strip of blocks with its street
    block: float = _drawn((170.0, 270.0))  # length of a block with its street
    street_half: float = _drawn((4.6, 5.7))  # half width of roadways, kerb to centre line
    avenue_half: float = _drawn((7.8, 9.6))
    sidewalk: float = _drawn((3.1, 4.3))  # width
    trees: float = _drawn((0.62, 1.0))  # share of the places for trees that have one
    occupancy: float = _drawn((0.5, 0.8))  # share of parking places that are taken
    green: float = _drawn((0.75, 1.15))  # factor on the share of yards that are lawns
    alleys: float = _drawn((0.05, 0.5))  # share of residential blocks with an alley in the middle
    aligned: float = _drawn((0.4, 0.9))  # share of superblocks whose cross streets run through
    roundabouts: float = _drawn((0.05, 0.3))  # share of avenue junctions that are roundabouts
    parks: float = _drawn((0.7, 1.4))  # factor on the share of parks
    traffic: float = _drawn((0.15, 0.5))  # share of the places for moving cars that have one
    # shares of row houses, suburb, high-rise, industrial
    districts: tuple[float, ...] = field(kw_only=True)
    rail_spacing: float = _drawn((800.0, 1300.0))  # distance of the corridors
    water_spacing: float = _drawn((1100.0, 1900.0))
    diagonal_spacing: float = _drawn((1500.0, 3200.0))
    relief: float = _drawn((1.0, 4.0))  # amplitude of the terrain

    @classmethod
    def draw(cls, seed: int) -> "CityStyle":
        """The style of the city with this seed."""
        random = np.random.default_rng([seed, 1])
        shares = tuple(random.dirichlet([9.0, 5.0, 3.0, 2.2]).tolist())
        return cls(districts=shares, **_draw(cls, random))


@dataclass(frozen=True)
class PhotoStyle:
    """How a city is photographed from the air: plausible, or randomised."""

    # degrees; azimuth clockwise from north, where the sun stands
    sun_azimuth: float = _drawn((105.0, 255.0), (0.0, 360.0))
    sun_elevation: float = _drawn((36.0, 64.0), (22.0, 72.0))
    # degrees clockwise from north, where roofs are displaced to
    lean_azimuth: float = _drawn((0.0, 360.0), (0.0, 360.0))
    # metres of displacement per metre of height (tangent of the view angle off nadir)
    lean: float = _drawn((0.02, 0.22), (0.0, 0.32))
    season: str = _drawn(_season(0.70, 0.14, 0.16), _season(0.5, 0.2, 0.3))  # one of SEASONS
    # factors, 1 is neutral
    exposure: float = _drawn((0.82, 1.2), lambda random: float(np.exp(random.uniform(-1.2, 0.5))))
    contrast: float = _drawn((0.85, 1.25), (0.6, 1.6))
    saturation: float = _drawn((0.75, 1.2), (0.0, 1.5))
    # gains of red, green, blue
    white_balance: tuple[float, ...] = _drawn(
        lambda _: (1.0, 1.0, 1.0),
        lambda random: tuple(np.exp(random.normal(0.0, 0.15, 3)).tolist()),
    )
    haze: float = _drawn((0.0, 0.14), (0.0, 0.8))  # share of the haze's light in the picture
    sky: float = _drawn((0.15, 0.33), (0.05, 0.6))  # light from the sky as a share of the sun's
    blur: float = _drawn((0.65, 1.15), (0.5, 2.2))  # deviation of the point spread in pixels
    sharpening: float = _drawn((0.0, 0.5), (0.0, 1.0))  # overshoot of the processing, 0 none
    noise: float = _drawn((0.5, 2.5), (0.0, 7.0))  # deviation of the sensor's noise, grey levels
    vegetation: float = _drawn((-1.0, 1.0), (-2.0, 2.0))  # hue of leaves, -1 dry to 1 lush
    # seed of redrawn colours and grain of all materials; 0 leaves them plausible
    materials: int = _drawn(lambda _: 0, lambda random: int(random.integers(1, 2**31)))

    @classmethod
    def draw(cls, seed: int) -> "PhotoStyle":
        """The photograph's style that belongs to a seed."""
        random = np.random.default_rng([seed, 2])
        warm = random.uniform(-0.03, 0.11)
        balance = 1.0 + warm, 1.0, 1.0 - warm
        return cls(**{**_draw(cls, random), "white_balance": balance})

    @classmethod
    def randomised(cls, seed: int) -> "PhotoStyle":
        """A style that no photograph has, for training on rendered imagery alone.

        Low suns and strong leans, exposures that fail, any white balance, materials that trade
        their colours (after Tobin et al. 2017, domain randomisation).
        """
        return cls(**_draw(cls, np.random.default_rng([seed, 3]), 1))
