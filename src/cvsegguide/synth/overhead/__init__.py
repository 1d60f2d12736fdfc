"""The overhead photograph of a scene."""

from cvsegguide.synth.overhead.render import render_overhead

__all__ = ["render_overhead"]
