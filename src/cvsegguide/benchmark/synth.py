"""SynthCity: pairs per second and core, and what a pair's time goes to."""

import tempfile
import time
from pathlib import Path

from cvsegguide.benchmark.registry import Measurement


def measure(quick: bool) -> list[Measurement]:
    """Make a small city in this process, one thread; count its pairs.

    A pair is a panorama of 128 x 512 with depth and land cover, and its share of a tile with its
    labels, all of it written to disk. Times are of this thread, compilation left out.
    """
    import numpy as np

    from cvsegguide.synth import City, generate, prepare, render_overhead, render_street
    from cvsegguide.synth.cameras import MAPPING_CAR as RIG
    from cvsegguide.synth.cameras import draw_camera, free_cameras, without_obstacles
    from cvsegguide.synth.generation import MARGIN
    from cvsegguide.synth.street import draw_style

    side = 1024 + 2 * MARGIN
    city = City(71)

    def timed(function: object, *arguments: object) -> tuple[float, object]:
        start = time.thread_time()
        result = function(*arguments)  # type: ignore[operator]
        return time.thread_time() - start, result

    scene = city.scene(0, 0, side, side)
    window = (MARGIN, side - MARGIN, MARGIN, side - MARGIN)
    render_overhead(scene, None, window)
    scene = without_obstacles(scene)
    world = prepare(scene)
    random = np.random.default_rng(0)
    places = free_cameras(scene)
    places = places[random.permutation(len(places))[: 20 if quick else 80]]
    cameras = [draw_camera(row, col, azimuth, RIG, random) for row, col, azimuth in places]
    render_street(world, cameras[0])
    plan, _ = timed(city.scene, 0, 0, side, side)
    photo, _ = timed(render_overhead, scene, None, window)
    tables, _ = timed(prepare, scene)
    start = time.thread_time()
    for index, camera in enumerate(cameras):
        render_street(world, camera, style=draw_style(index))
    views = (time.thread_time() - start) / len(cameras)

    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder) / "warm", 1, 5, workers=1, panoramas=1)
        start = time.thread_time()
        root = generate(Path(folder) / "city", 16 if quick else 64, 5, workers=1)
        seconds = time.thread_time() - start
        pairs = len((root / "brooklyn/streetview/images.txt").read_text().splitlines())
    tile = "of 16 tiles with a margin, per tile"
    return [
        Measurement("city on disk", pairs / seconds, "pairs/s", 25.0, "the goal",
                    f"one core, {pairs} pairs, everything written"),
        Measurement("street view 128 x 512", views * 1e3, "ms", note="image, depth, land cover"),
        Measurement("plan and rasters", plan / 16 * 1e3, "ms", note=tile),
        Measurement("overhead photograph", photo / 16 * 1e3, "ms", note=tile),
        Measurement("tables of the ray caster", tables / 16 * 1e3, "ms", note=tile),
    ]  # fmt: skip
