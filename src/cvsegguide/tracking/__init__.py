"""Tracking: fuse the pictures of a drive into one path.

:class:`Tracker` is the filter, :func:`track` runs it over frames, :class:`Track` is what comes out.
"""

from cvsegguide.tracking.motion import Motion
from cvsegguide.tracking.track import Track, TrackPoint, track
from cvsegguide.tracking.tracker import Frame, Settings, Tracker

__all__ = ["Frame", "Motion", "Settings", "Track", "TrackPoint", "Tracker", "track"]
