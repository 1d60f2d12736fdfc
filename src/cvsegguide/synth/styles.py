"""Styles: numbers that make one city, or one photograph, unlike another."""

from dataclasses import asdict, dataclass

import numpy as np

SEASONS = ("summer", "autumn", "leaf-off")

PHOTOGRAPHS = ("plausible", "randomised")
"""How photographs are styled: as the real thing, or far beyond it (domain randomisation)."""


@dataclass(frozen=True)
class CityStyle:
    """How a city is built. Lengths in metres, shares in [0, 1].

    Attributes:
        rotation: Azimuth of the grid in degrees.
        curvature: Amplitude factor of the warp of the streets.
        avenue_pitch: Distance of avenues along the two families.
        strip: Depth of a strip of blocks with its street.
        block: Length of a block with its street.
        street_half, avenue_half: Half widths of roadways, kerb to centre line.
        sidewalk: Width of sidewalks.
        trees: Share of the places for trees that have one.
        occupancy: Share of parking places that are taken.
        green: Factor on the share of yards that are lawns.
        alleys: Share of residential blocks with an alley in the middle.
        aligned: Share of superblocks whose cross streets run through.
        roundabouts: Share of avenue junctions that are roundabouts.
        parks: Factor on the share of parks.
        traffic: Share of the places for moving cars that have one.
        districts: Shares of row houses, suburb, high-rise, industrial.
        rail_spacing, water_spacing, diagonal_spacing: Distance of the corridors.
        relief: Amplitude of the terrain.
    """

    rotation: float
    curvature: float
    avenue_pitch: tuple[float, float]
    strip: float
    block: float
    street_half: float
    avenue_half: float
    sidewalk: float
    trees: float
    occupancy: float
    green: float
    alleys: float
    aligned: float
    roundabouts: float
    parks: float
    traffic: float
    districts: tuple[float, float, float, float]
    rail_spacing: float
    water_spacing: float
    diagonal_spacing: float
    relief: float

    @classmethod
    def draw(cls, seed: int) -> "CityStyle":
        """The style of the city with this seed."""
        random = np.random.default_rng([seed, 1])
        uniform = random.uniform
        shares = random.dirichlet([9.0, 5.0, 3.0, 2.2])
        return cls(
            rotation=uniform(0.0, 90.0),
            curvature=uniform(0.5, 1.4),
            avenue_pitch=(uniform(420.0, 620.0), uniform(420.0, 620.0)),
            strip=uniform(70.0, 86.0),
            block=uniform(170.0, 270.0),
            street_half=uniform(4.6, 5.7),
            avenue_half=uniform(7.8, 9.6),
            sidewalk=uniform(3.1, 4.3),
            trees=uniform(0.62, 1.0),
            occupancy=uniform(0.5, 0.8),
            green=uniform(0.75, 1.15),
            alleys=uniform(0.05, 0.5),
            aligned=uniform(0.4, 0.9),
            roundabouts=uniform(0.05, 0.3),
            parks=uniform(0.7, 1.4),
            traffic=uniform(0.15, 0.5),
            districts=(float(shares[0]), float(shares[1]), float(shares[2]), float(shares[3])),
            rail_spacing=uniform(800.0, 1300.0),
            water_spacing=uniform(1100.0, 1900.0),
            diagonal_spacing=uniform(1500.0, 3200.0),
            relief=uniform(1.0, 4.0),
        )

    def record(self) -> dict[str, object]:
        """Plain numbers, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class PhotoStyle:
    """How a city is photographed from the air.

    Attributes:
        sun_azimuth, sun_elevation: Degrees; azimuth clockwise from north, where the sun stands.
        lean_azimuth: Degrees clockwise from north, where roofs are displaced to.
        lean: Metres of displacement per metre of height (tangent of the view angle off nadir).
        season: One of :data:`SEASONS`.
        exposure, contrast, saturation: Factors, 1 is neutral.
        white_balance: Gains of red, green, blue.
        haze: Share of the haze's light in the picture.
        sky: Light from the sky as a share of the sun's.
        blur: Standard deviation of the point spread in pixels.
        sharpening: Overshoot of the processing, 0 none.
        noise: Standard deviation of the sensor's noise in grey levels.
        vegetation: Shifts hue of grass and leaves, -1 dry to 1 lush.
        materials: Seed of redrawn colours and grain of all materials; 0 leaves them plausible.
    """

    sun_azimuth: float
    sun_elevation: float
    lean_azimuth: float
    lean: float
    season: str
    exposure: float
    contrast: float
    saturation: float
    white_balance: tuple[float, float, float]
    haze: float
    sky: float
    blur: float
    sharpening: float
    noise: float
    vegetation: float
    materials: int = 0

    @classmethod
    def draw(cls, seed: int) -> "PhotoStyle":
        """The photograph's style that belongs to a seed."""
        random = np.random.default_rng([seed, 2])
        uniform = random.uniform
        warm = uniform(-0.03, 0.11)
        return cls(
            sun_azimuth=uniform(105.0, 255.0),
            sun_elevation=uniform(36.0, 64.0),
            lean_azimuth=uniform(0.0, 360.0),
            lean=uniform(0.02, 0.22),
            season=str(random.choice(SEASONS, p=[0.70, 0.14, 0.16])),
            exposure=uniform(0.82, 1.2),
            contrast=uniform(0.85, 1.25),
            saturation=uniform(0.75, 1.2),
            white_balance=(1.0 + warm, 1.0, 1.0 - warm),
            haze=uniform(0.0, 0.14),
            sky=uniform(0.15, 0.33),
            blur=uniform(0.65, 1.15),
            sharpening=uniform(0.0, 0.5),
            noise=uniform(0.5, 2.5),
            vegetation=uniform(-1.0, 1.0),
        )

    @classmethod
    def randomised(cls, seed: int) -> "PhotoStyle":
        """A style that no photograph has, for training on rendered imagery alone.

        Low suns and strong leans, exposures that fail, any white balance, materials that trade
        their colours (after Tobin et al. 2017, domain randomisation).
        """
        random = np.random.default_rng([seed, 3])
        uniform = random.uniform
        return cls(
            sun_azimuth=uniform(0.0, 360.0),
            sun_elevation=uniform(22.0, 72.0),
            lean_azimuth=uniform(0.0, 360.0),
            lean=uniform(0.0, 0.32),
            season=str(random.choice(SEASONS, p=[0.5, 0.2, 0.3])),
            exposure=float(np.exp(uniform(-1.2, 0.5))),
            contrast=uniform(0.6, 1.6),
            saturation=uniform(0.0, 1.5),
            white_balance=tuple(np.exp(random.normal(0.0, 0.15, 3)).tolist()),
            haze=uniform(0.0, 0.8),
            sky=uniform(0.05, 0.6),
            blur=uniform(0.5, 2.2),
            sharpening=uniform(0.0, 1.0),
            noise=uniform(0.0, 7.0),
            vegetation=uniform(-2.0, 2.0),
            materials=int(random.integers(1, 2**31)),
        )

    def record(self) -> dict[str, object]:
        """Plain numbers, for JSON."""
        return asdict(self)
