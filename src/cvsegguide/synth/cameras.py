"""Where the pictures are taken: a mapping car's cameras, and those of other people."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cvsegguide.synth.scene import Scene


@dataclass(frozen=True)
class Camera:
    """One camera.

    Attributes:
        row, col: Position in scene pixels (pixel centres at +0.5).
        height: Metres above the ground below it.
        heading: Azimuth of the picture's centre column, degrees clockwise from north.
        pitch: Degrees by which the optical axis points above the horizon.
        roll: Degrees by which the camera leans to its right, about its axis: what lies to its
            right appears higher in the picture.
        street_azimuth: Azimuth of the street that it stands in, for the record and for how
            sidewalk slabs lie; not seen by the geometry.
    """

    row: float
    col: float
    height: float = 2.5
    heading: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    street_azimuth: float = 0.0


@dataclass(frozen=True)
class Rig:
    """How a camera is carried; what :func:`draw_camera` draws from.

    Attributes:
        height: Lowest and highest height above the ground in metres.
        tilt: Standard deviation of pitch and roll in degrees, cut off at ``tilt_limit``.
        tilt_limit: Largest pitch and roll in degrees.
        heading: Largest error of the heading in degrees, evenly spread: the centre column looks
            that far from north.
    """

    height: tuple[float, float] = (2.4, 2.6)
    tilt: float = 0.6
    tilt_limit: float = 2.0
    heading: float = 0.0


RIGS = {"car": Rig(), "anyone": Rig(height=(1.5, 3.0), tilt=2.5, tilt_limit=5.0, heading=5.0)}
"""A mapping car's, levelled well, centre column north, as published panoramas are; in a hand, on a
helmet, on a windscreen: other heights, tilted, compass a few degrees off."""


def draw_camera(
    row: float, col: float, street_azimuth: float, rig: Rig, random: np.random.Generator
) -> Camera:
    """A camera of a rig at a place."""
    pitch, roll = np.clip(random.normal(0.0, rig.tilt, 2), -rig.tilt_limit, rig.tilt_limit)
    return Camera(
        row=float(row),
        col=float(col),
        height=round(float(random.uniform(*rig.height)), 3),
        heading=round(float(random.uniform(-rig.heading, rig.heading)) % 360.0, 3),
        pitch=round(float(pitch), 3),
        roll=round(float(roll), 3),
        street_azimuth=round(float(street_azimuth) % 360.0, 2),
    )


def without_obstacles(scene: Scene, clearance: float = 1.0) -> Scene:
    """A copy of the scene from which vehicles and furniture at a camera are gone.

    A mapping car drives where its cameras are, so that nothing else stands there: whatever comes
    within ``clearance`` metres of one of ``scene.cameras`` is left out of ``street_objects``.
    """
    objects = scene.street_objects
    keep = np.ones(len(objects), bool)
    azimuth = np.radians(objects.azimuth)
    for row, col, _ in scene.cameras:
        east = (col - objects.col) * scene.gsd
        north = (objects.row - row) * scene.gsd
        along = np.abs(east * np.sin(azimuth) + north * np.cos(azimuth)) - objects.length / 2
        across = np.abs(east * np.cos(azimuth) - north * np.sin(azimuth)) - objects.width / 2
        keep &= np.hypot(np.maximum(along, 0), np.maximum(across, 0)) > clearance
    return replace(scene, street_objects=objects.select(keep))


def free_cameras(scene: Scene) -> NDArray[np.float64]:
    """Those of ``scene.cameras`` that stand inside the grid and outside buildings and trunks."""
    cameras = scene.cameras[scene.contains(scene.cameras)]
    cells = cameras[:, 0].astype(int), cameras[:, 1].astype(int)
    free = scene.building_id[cells] == 0
    trees = scene.trees
    for index, (row, col, _) in enumerate(cameras):
        distance = np.hypot(trees.row - row, trees.col - col) * scene.gsd
        free[index] &= not np.any(distance < trees.trunk_radius + 0.3)
    return np.asarray(cameras[free])
