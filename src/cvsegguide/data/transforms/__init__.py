"""Random changes to samples in training that keep the geometry true.

A transform takes a batch and random numbers (:class:`~cvsegguide.data.transforms.base.Draws`) and
returns a new batch in which position, heading, field of view and metres per pixel still describe
the pictures. Azimuths are degrees clockwise from the overhead image's *up*, which is north until
the tile is rotated or mirrored. Bounds of a tile that is changed become None.
"""

from cvsegguide.data.transforms.base import Draws, Transform, transform_batch, transform_sample
from cvsegguide.data.transforms.camera import HeadingJitter, LimitFieldOfView, LimitVerticalExtent
from cvsegguide.data.transforms.looks import Appearance, Coarsen, Photometric
from cvsegguide.data.transforms.place import Crop, Mirror, Rotate

__all__ = [
    "Appearance",
    "Coarsen",
    "Crop",
    "Draws",
    "HeadingJitter",
    "LimitFieldOfView",
    "LimitVerticalExtent",
    "Mirror",
    "Photometric",
    "Rotate",
    "Transform",
    "transform_batch",
    "transform_sample",
]
