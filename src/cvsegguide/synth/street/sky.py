"""Sky, clouds, sun and the haze towards the horizon."""

import math

from cvsegguide.synth.compiled import F32, kernel
from cvsegguide.synth.noise import plane, ramp
from cvsegguide.synth.street.style import StreetStyle


@kernel
def sky_color(
    style: StreetStyle, table: F32, dx: float, dy: float, dz: float, sun_cos: float
) -> tuple[float, float, float]:
    """Linear colour of the sky in a direction; ``sun_cos`` is the cosine to the sun."""
    up = max(dz, 0.0)
    fade = math.sqrt(up)
    blue = style.sky_blue
    r = 0.72 - (0.20 + 0.42 * blue) * fade
    g = 0.80 - (0.16 + 0.30 * blue) * fade
    b = 0.90 - (0.10 + 0.08 * blue) * fade
    spread = 3.1 / (up + 0.16)
    wind = (style.seed % 251) * 1.0
    x = dx * spread + wind
    y = dy * spread + 0.37 * wind
    n = 0.62 * plane(table, 5.0 * x, 5.0 * y) + 0.38 * plane(table, 17.0 * x, 17.0 * y)
    cover = ramp(n, 1.02 - style.clouds - 0.12, 1.02 - style.clouds + 0.22)
    white = 0.62 + 0.42 * plane(table, 9.0 * x + 60.0, 9.0 * y) - 0.25 * max(0.0, cover - 0.5)
    if style.sun <= 0:
        white = 0.60 + 0.28 * (n - 0.5) + 0.12 * fade
        cover = max(cover, 0.9)
    r += cover * (white - r)
    g += cover * (white - g)
    b += cover * (1.03 * white - b)
    if style.sun > 0:
        glow = max(0.0, sun_cos)
        halo = 0.5 * glow**24 + (14.0 * glow**900 if glow > 0.98 else 0.0)
        halo *= 1.0 - 0.7 * cover
        r += halo
        g += 0.95 * halo
        b += 0.85 * halo
    return r, g, b


@kernel
def skyline_height(table: F32, style: StreetStyle, azimuth: float, kind: int) -> float:
    """Tangent of the elevation of what stands beyond the scene: hills and trees, or houses."""
    if kind == 0:
        return 0.012 + 0.03 * plane(table, azimuth * 20.0, 31.0 + style.seed % 97)
    step = math.floor(azimuth * 42.0)
    n = plane(table, step * 7.3, 11.0 + style.seed % 89)
    return 0.008 + 0.065 * n * n * n
