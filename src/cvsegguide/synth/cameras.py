"""Where the pictures are taken: a mapping car's cameras, and those of other people."""

from dataclasses import dataclass


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
