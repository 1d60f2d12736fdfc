"""A picture from a camera in a scene: image, depth and land cover by ray casting."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvsegguide.errors import InputError
from cvsegguide.synth.cameras import Camera
from cvsegguide.synth.compiled import F32, F64, U8, entry
from cvsegguide.synth.noise import leaf_noise, plane_noise
from cvsegguide.synth.scene import Scene
from cvsegguide.synth.street.columns import GROUND_Z, SOLID_Z
from cvsegguide.synth.street.exposure import develop
from cvsegguide.synth.street.shade import shade_ray
from cvsegguide.synth.street.style import StreetStyle, draw_style
from cvsegguide.synth.street.world import Picture, World, prepare


@dataclass(frozen=True)
class StreetView:
    """What a camera sees.

    Attributes:
        image: ``(h, w, 3)`` uint8 RGB.
        depth: ``(h, w)`` float32, metres along the ray of the pixel's centre; ``inf`` where the
            ray meets nothing of the scene: the sky, or what lies beyond the scene's edge.
        landcover: ``(h, w)`` uint8, NYC ids of what the ray meets: 1 crowns and trunks, 5 walls
            and roofs, the ground's own id elsewhere; vehicles and furniture have the id of the
            ground that they stand on; 0 where depth is ``inf``.
    """

    image: NDArray[np.uint8]
    depth: NDArray[np.float32]
    landcover: NDArray[np.uint8]


def render_street(
    scene: Scene | World,
    camera: Camera,
    size: tuple[int, int] = (128, 512),
    extent: tuple[float, float] = (90.0, 360.0),
    style: StreetStyle | None = None,
    reach: float = 250.0,
) -> StreetView:
    """Render what ``camera`` sees.

    The picture is equirectangular: column ``c`` of ``w`` looks to azimuth ``heading + (c + 0.5 -
    w / 2) * extent[1] / w`` and row ``r`` of ``h`` to elevation ``(h / 2 - r - 0.5) * extent[0] /
    h``, both in the camera's own frame, which ``pitch`` and ``roll`` tilt. The centre column looks
    to the camera's heading.

    Args:
        scene: A scene, or what :func:`~cvsegguide.synth.street.world.prepare` made of it (do that
            once when many pictures are taken).
        camera: Where it stands and looks.
        size: ``(h, w)`` of the picture.
        extent: ``(vertical, horizontal)`` in degrees, at most ``(180, 360)``.
        style: Light, season and lens; by default drawn from the scene's seed and the place.
        reach: Rays end here, in metres, unless the scene ends before.

    Raises:
        InputError: The camera stands outside the scene or below something solid, or ``size`` and
            ``extent`` make no picture.
    """
    world = scene if isinstance(scene, World) else prepare(scene)
    height, width = size
    if height < 1 or width < 1 or not (0 < extent[0] <= 180) or not (0 < extent[1] <= 360):
        raise InputError(f"a street view of size {size} and extent {extent} cannot be made")
    rows, cols = world.surface.shape[:2]
    if not (0 <= camera.row < rows and 0 <= camera.col < cols):
        raise InputError(
            f"the camera at row {camera.row:.1f}, column {camera.col:.1f} stands outside the "
            f"scene of {rows} x {cols} pixels"
        )
    cell = int(camera.row), int(camera.col)
    z = float(world.relief[cell][GROUND_Z]) + camera.height
    if z <= world.relief[cell][SOLID_Z]:
        raise InputError(
            f"the camera at row {camera.row:.1f}, column {camera.col:.1f} stands inside a building"
        )
    if style is None:
        style = draw_style(_place_seed(world, camera))
    street = math.radians(camera.street_azimuth)
    # Sines and cosines of each column's and row's angle from the axis.
    vertical, horizontal = math.radians(extent[0]), math.radians(extent[1])
    azimuths = (np.arange(width) + 0.5 - width / 2) * horizontal / width
    elevations = (height / 2 - np.arange(height) - 0.5) * vertical / height
    picture = Picture(
        table=plane_noise(),
        leaves=leaf_noise(),
        style=style,
        place=(float(camera.col), float(camera.row), z),
        sun=_direction(style.sun_azimuth, style.sun_elevation),
        street=(math.sin(street), -math.cos(street)),
        pixel=horizontal / width,
        axes=camera_axes(camera.heading, camera.pitch, camera.roll),
        turns=np.stack([np.sin(azimuths), np.cos(azimuths)]),
        lifts=np.stack([np.sin(elevations), np.cos(elevations)]),
        reach=float(reach),
    )
    linear = np.empty((height, width, 3), np.float32)
    depth = np.empty((height, width), np.float32)
    landcover = np.empty((height, width), np.uint8)
    _render(world, picture, linear, depth, landcover)
    return StreetView(develop(linear, style, extent[1] >= 360), depth, landcover)


def _place_seed(world: World, camera: Camera) -> int:
    place = round((camera.row + world.south) * 8), round((camera.col + world.east) * 8)
    return hash((world.seed, *place)) % 2**31


def _direction(azimuth: float, elevation: float) -> tuple[float, float, float]:
    """Unit vector ``(east, south, up)``."""
    a, e = math.radians(azimuth), math.radians(elevation)
    return math.sin(a) * math.cos(e), -math.cos(a) * math.cos(e), math.sin(e)


def camera_axes(heading: float, pitch: float = 0.0, roll: float = 0.0) -> F64:
    """Axes of a camera's frame, rows right, forward, up, in ``(east, south, up)``.

    Args:
        heading: Azimuth of the optical axis, degrees clockwise from north.
        pitch: Degrees by which the axis points above the horizon.
        roll: Degrees by which the camera leans to its right, turning about its axis.
    """
    p, q = math.radians(pitch), math.radians(roll)
    level = np.array(_direction(heading, 0.0))
    right = np.array(_direction(heading + 90.0, 0.0))
    upward = np.array([0.0, 0.0, 1.0])
    forward = math.cos(p) * level + math.sin(p) * upward
    up = math.cos(p) * upward - math.sin(p) * level
    leaning = math.cos(q) * right - math.sin(q) * up
    return np.stack([leaning, forward, math.cos(q) * up + math.sin(q) * right])


@entry
def _render(world: World, picture: Picture, linear: F32, depth: F32, landcover: U8) -> None:
    axes, turns, lifts = picture.axes, picture.turns, picture.lifts
    # Column by column: rays of one azimuth walk over the same cells, which stay in the cache.
    for c in range(depth.shape[1]):
        for r in range(depth.shape[0]):
            flat = lifts[1, r]
            a, b, u = flat * turns[0, c], flat * turns[1, c], lifts[0, r]
            dx = a * axes[0, 0] + b * axes[1, 0] + u * axes[2, 0]
            dy = a * axes[0, 1] + b * axes[1, 1] + u * axes[2, 1]
            dz = a * axes[0, 2] + b * axes[1, 2] + u * axes[2, 2]
            reach = picture.reach
            if dz > 0:
                reach = min(reach, (world.ceiling - picture.place[2]) / dz)
            color, distance, kind = shade_ray(world, picture, (dx, dy, dz), reach)
            depth[r, c] = distance
            landcover[r, c] = kind
            for k in range(3):
                linear[r, c, k] = color[k]
