"""Tracking: fuse the pictures of a drive into one path.

:class:`Tracker` takes frame after frame, :meth:`cvsegguide.Localizer.track` a whole drive,
:class:`Track` is what comes out.
"""

from cvsegguide.tracking.filter import Settings
from cvsegguide.tracking.motion import Motion
from cvsegguide.tracking.track import Track, TrackPoint
from cvsegguide.tracking.tracker import Frame, Tracker

__all__ = ["Frame", "Motion", "Settings", "Track", "TrackPoint", "Tracker"]
