"""The street-view renderer: from a scene and a camera to a picture with depth and land cover."""

from cvsegguide.synth.street.render import StreetView, render_street
from cvsegguide.synth.street.style import StreetStyle, draw_style
from cvsegguide.synth.street.world import World, prepare

__all__ = ["StreetStyle", "StreetView", "World", "draw_style", "prepare", "render_street"]
