"""SynthCity: a procedural city with exact truth, and a renderer of street views."""

from cvsegguide.synth.cameras import Camera as Camera
from cvsegguide.synth.city import City as City
from cvsegguide.synth.generation import generate as generate
from cvsegguide.synth.generation import generate_named as generate_named
from cvsegguide.synth.overhead import render_overhead as render_overhead
from cvsegguide.synth.real_place import generate_from_rasters as generate_from_rasters
from cvsegguide.synth.real_place import scene_from_rasters as scene_from_rasters
from cvsegguide.synth.scene import Scene as Scene
from cvsegguide.synth.street import StreetView as StreetView
from cvsegguide.synth.street import prepare as prepare
from cvsegguide.synth.street import render_street as render_street
