"""A whole SynthCity on disk: chunk after chunk, in any number of processes, resumable."""

import json
import math
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait as wait_for
from os import PathLike
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import numpy as np

from cvsegguide import __version__
from cvsegguide.errors import ConfigurationError, InputError
from cvsegguide.io.atomic import write_text
from cvsegguide.progress import track
from cvsegguide.synth.cameras import RIGS
from cvsegguide.synth.styles import PHOTOGRAPHS, PhotoStyle

if TYPE_CHECKING:
    from cvsegguide.synth.scene import Scene

EDITION = 2
"""Of the content: raised when the same settings give other bytes. In 1 the validation city was the
training city of the next seed, and plans and leaves were drawn by other random numbers."""

CHUNK = 4
"""Side in tiles of what is made at once: bounds the memory of a process to about 500 MB."""

MARGIN = 256
"""Pixels of the city around a chunk that its photographs and street views see."""

NAMED_SETS = {
    "synthcity-small": {"tiles": 400, "validation": 100, "test": 100},
    "synthcity": {"tiles": 8000, "validation": 1000, "test": 1000},
}
"""Tiles of the named sets: training in ``brooklyn``, validation in ``queens``, test in
``test/queens``; the same seed and options on every machine."""

NAMED_SEED = 2025

SEED_LIMIT = 1 << 40
"""Seeds of a data set lie below."""

SPLITS = ("train", "val", "test")


def split_seed(seed: int, split: str) -> int:
    """Seed of the city that a split of a data set is made from.

    The splits take ranges of their own, so no two pairs of seed and split share a city: the
    training city of any data set is unseen by the weights that were chosen on another's validation
    city.

    Args:
        seed: Of the data set, 0 to 2^40.
        split: One of :data:`SPLITS`; the training city has the data set's own seed.
    """
    return SPLITS.index(split) * SEED_LIMIT + seed


@dataclass(frozen=True)
class Settings:
    """What a SynthCity is made from; written to ``synthcity.json``.

    Attributes:
        seed: Of the data set; :func:`split_seed` makes those of its cities from it.
        tiles, validation, test: Numbers of tiles.
        town: Tiles along the side of a town. Each town is a city of its own seed and style.
        panoramas: Most panoramas that are taken within a tile; 0 = as the cameras come.
        size, extent: Of a panorama, pixels and degrees, vertical first.
        rig: Name of a camera rig, see :data:`~cvsegguide.synth.cameras.RIGS`.
        photographs: One of :data:`~cvsegguide.synth.styles.PHOTOGRAPHS`.
    """

    seed: int
    tiles: int
    validation: int = 0
    test: int = 0
    town: int = 4
    panoramas: int = 0
    size: tuple[int, int] = (128, 512)
    extent: tuple[float, float] = (90.0, 360.0)
    rig: str = "car"
    photographs: str = "plausible"

    def record(self) -> dict[str, object]:
        """Plain values, as JSON gives them back."""
        record: dict[str, object] = json.loads(json.dumps(asdict(self)))
        return record


@dataclass(frozen=True)
class Chunk:
    """A piece of a town that is made at once.

    Attributes:
        folder, city: Root of the data set and folder of the city in it.
        index: Number of the chunk within its city.
        town: Number of the town, and its seed.
        x, y: Slippy numbers of the town's north-western tile.
        tiles: ``(row, col)`` of the tiles within the town.
    """

    folder: str
    city: str
    index: int
    town: int
    town_seed: int
    x: int
    y: int
    tiles: tuple[tuple[int, int], ...]


def generate(
    directory: str | PathLike[str],
    tiles: int,
    seed: int,
    *,
    validation: int = 0,
    test: int = 0,
    town: int = 4,
    panoramas: int = 0,
    size: tuple[int, int] = (128, 512),
    extent: tuple[float, float] | None = None,
    rig: str = "car",
    photographs: str = "plausible",
    workers: int | None = None,
) -> Path:
    """Make a SynthCity in Brooklyn & Queens layout.

    ``BrooklynQueens(directory, city="brooklyn")`` reads it. Tiles of another seed are another
    city. ``validation`` tiles go to ``directory/queens`` and ``test`` tiles to
    ``directory/test/queens``; they are cities that no other seed or split has (:func:`split_seed`).
    The files are the same, byte for byte, for the same arguments and version on any number of
    workers. A run that was cut off goes on where it stopped when it is called again.

    Args:
        directory: Folder to make or to complete.
        tiles: How many tiles the city ``brooklyn`` gets, at least 1.
        seed: Any integer of at least 0.
        validation, test: Tiles of the other two cities.
        town: Tiles along the side of a town; each town has streets, style, light and season of its
            own, and lies apart. Larger ones make longer drives, smaller ones more variety.
        panoramas: Most panoramas per tile; 0 takes every camera.
        size, extent: Pixels and degrees of a street view, vertical first, square pixels. None
            looks all around: ``(256, 512)`` makes full panoramas. Views of less than 360 degrees
            look in any direction: read them with ``Manifest(directory / city / "manifest.csv")``,
            as ``BrooklynQueens`` knows panoramas alone.
        rig: ``"car"`` or ``"anyone"`` (other heights, tilted, compass off).
        photographs: ``"plausible"``, or ``"randomised"``: materials, light and camera of the
            overhead photographs far beyond the real thing, for training alone.
        workers: Processes; by default one per core.

    Returns:
        The directory.

    Raises:
        InputError: An argument is out of range, or the directory holds something else.
    """
    extent = square_extent(size) if extent is None else extent
    settings = Settings(
        seed, tiles, validation, test, town, panoramas, size, extent, rig, photographs
    )
    check_settings(settings)
    if workers is not None and workers < 1:
        raise InputError(f"workers: must be at least 1, got {workers}")
    root = Path(directory)
    _claim(root, settings)
    if (root / "synthcity.json").exists():
        return root
    groups = [("brooklyn", root, tiles, "train")]
    if validation:
        groups.append(("queens", root, validation, "val"))
    if test:
        groups.append(("queens", root / "test", test, "test"))
    plans = [
        list(_chunks(folder, city, n, split_seed(seed, split), town))
        for city, folder, n, split in groups
    ]
    todo = [(chunk, settings) for plan in plans for chunk in plan if not _part(chunk).exists()]
    total = sum(len(chunk.tiles) for chunk, _ in todo)
    progress = track(_made(todo, workers), "tiles", total=total)
    for _ in progress:
        pass
    styles: dict[str, object] = {}
    for (city, folder, _, split), plan in zip(groups, plans, strict=True):
        styles[str(Path(folder, city).relative_to(root))] = _finish(folder, city, plan, split)
    record = {
        "name": "SynthCity",
        "version": __version__,
        "edition": EDITION,
        "license": "CC0-1.0",
        "seed": seed,
        "settings": settings.record(),
        "towns": styles,
    }
    write_text(root / "synthcity.json", json.dumps(record, indent=1) + "\n")
    shutil.rmtree(root / ".synthcity")
    return root


def generate_named(directory: str | PathLike[str], name: str, workers: int | None = None) -> Path:
    """Make one of :data:`NAMED_SETS`."""
    if name not in NAMED_SETS:
        raise ConfigurationError(f"set '{name}': there are {', '.join(NAMED_SETS)}")
    counts = NAMED_SETS[name]
    return generate(
        directory,
        counts["tiles"],
        NAMED_SEED,
        validation=counts["validation"],
        test=counts["test"],
        workers=workers,
    )


def check_settings(settings: Settings) -> None:
    """Raise :class:`InputError` for settings that make nothing."""
    if settings.tiles < 1:
        raise InputError(f"tiles: there must be at least 1, got {settings.tiles}")
    if settings.validation < 0 or settings.test < 0 or settings.panoramas < 0:
        raise InputError("validation, test and panoramas must not be negative")
    if not 0 <= settings.seed < SEED_LIMIT:
        raise InputError(f"seed: must lie in 0..2^40, got {settings.seed}")
    if not 1 <= settings.town <= 64:
        raise InputError(f"town: must lie in 1..64 tiles, got {settings.town}")
    if settings.rig not in RIGS:
        raise InputError(f"rig '{settings.rig}': there are {', '.join(RIGS)}")
    if settings.photographs not in PHOTOGRAPHS:
        raise InputError(
            f"photographs '{settings.photographs}': there are {', '.join(PHOTOGRAPHS)}"
        )
    if min(settings.size) < 8 or max(settings.size) > 16384:
        raise InputError(f"size {settings.size}: sides must lie in 8..16384 pixels")
    vertical, horizontal = settings.extent
    if not (0 < vertical <= 180 and 0 < horizontal <= 360):
        raise InputError(
            f"extent: {vertical:g} x {horizontal:g} degrees; at most 180 x 360 can be seen"
        )
    square = square_extent(settings.size, horizontal)[0]
    if not 0.99 < vertical / square < 1.01:
        raise InputError(
            f"extent: {vertical:g} x {horizontal:g} degrees in {settings.size[0]} x "
            f"{settings.size[1]} pixels are not square (they would be with {square:g} vertically)"
        )


def square_extent(size: tuple[int, int], fov: float = 360.0) -> tuple[float, float]:
    """Degrees ``(vertical, horizontal)`` of a street view of ``fov`` degrees with square pixels."""
    return fov * size[0] / size[1], fov


def _claim(root: Path, settings: Settings) -> None:
    """Make the folder ours, or recognise a run that was cut off."""
    wanted = {"version": __version__, "edition": EDITION, "settings": settings.record()}
    for path in (root / "synthcity.json", root / ".synthcity" / "settings.json"):
        if path.exists():
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
                same = {key: found.get(key) for key in wanted} == wanted
            except (OSError, ValueError, AttributeError):
                raise InputError(f"{path}: not readable as settings of a SynthCity") from None
            if not same:
                raise InputError(
                    f"{root}: holds a SynthCity of other settings or version; choose another folder"
                )
            # What a killed process was writing when it died.
            for stray in root.rglob(".*.*"):
                if stray.is_file() and stray.parent.name != ".synthcity":
                    stray.unlink(missing_ok=True)
            return
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise InputError(f"{root}: exists and is not an empty folder")
    write_text(root / ".synthcity" / "settings.json", json.dumps(wanted) + "\n")


def _chunks(folder: Path, city: str, tiles: int, seed: int, town: int) -> Iterator[Chunk]:
    from cvsegguide.synth.writer import anchor

    x0, y0 = anchor(city)
    towns = math.ceil(tiles / (town * town))
    across = math.ceil(math.sqrt(towns))
    index = 0
    for number in range(towns):
        rest = min(town * town, tiles - number * town * town)
        places = [(i, j) for i in range(town) for j in range(town)][:rest]
        # A tile of water between towns, so that no panorama lies on the edge of two.
        x = x0 + (number % across) * (town + 1)
        y = y0 + (number // across) * (town + 1)
        town_seed = int(np.random.default_rng([seed, number, 77]).integers(1 << 31))
        cells: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for i, j in places:
            cells.setdefault((i // CHUNK, j // CHUNK), []).append((i, j))
        for part in cells.values():
            yield Chunk(str(folder), city, index, number, town_seed, x, y, tuple(part))
            index += 1


def _part(chunk: Chunk) -> Path:
    folder = Path(chunk.folder)
    root = folder if (folder / ".synthcity").exists() else folder.parent
    return root / ".synthcity" / f"{folder.name}-{chunk.city}-{chunk.index}.json"


def _made(todo: list[tuple[Chunk, Settings]], workers: int | None) -> Iterator[int]:
    """Make chunks and yield something for each tile done."""
    if todo and workers != 1:
        from cvsegguide.synth.warmup import warm_up

        warm_up()
    workers = min(workers or os.cpu_count() or 1, len(todo))
    if workers <= 1:
        for chunk, settings in todo:
            yield from range(make_chunk(chunk, settings))
        return
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent) as pool:
        waiting = iter(todo)
        running = set()
        try:
            while True:
                for chunk, settings in waiting:
                    running.add(pool.submit(make_chunk, chunk, settings))
                    if len(running) >= 2 * workers:
                        break
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield from range(future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _end_with_parent() -> None:
    """Let this worker end when the process that started it is killed, which cannot tell it."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait_for([parent.sentinel])
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def make_chunk(chunk: Chunk, settings: Settings) -> int:
    """Make the files of a chunk; returns the number of its tiles."""
    from cvsegguide.synth.city import City
    from cvsegguide.synth.writer import TILE

    rows = [i for i, _ in chunk.tiles]
    cols = [j for _, j in chunk.tiles]
    row0, col0 = min(rows) * TILE - MARGIN, min(cols) * TILE - MARGIN
    height = (max(rows) - min(rows) + 1) * TILE + 2 * MARGIN
    width = (max(cols) - min(cols) + 1) * TILE + 2 * MARGIN
    city = City(chunk.town_seed)
    scene = city.scene(row0, col0, height, width)
    randomised = settings.photographs == "randomised"
    photo = (PhotoStyle.randomised if randomised else PhotoStyle.draw)(chunk.town_seed)
    tiles, truth = write_scene(chunk, settings, scene, photo=photo)
    record = {
        "town": chunk.town,
        "seed": chunk.town_seed,
        "city": city.style.record(),
        "photo": photo.record(),
    }
    write_text(_part(chunk), json.dumps({"tiles": tiles, "truth": truth, "style": record}))
    return len(chunk.tiles)


def write_scene(
    chunk: Chunk,
    settings: Settings,
    scene: "Scene",
    photo: object | None = None,
    photograph: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]] | None" = None,
    inset: tuple[int, int] = (MARGIN, MARGIN),
) -> tuple[list[str], list[str]]:
    """Photograph the tiles of a chunk, take its street views, and write both.

    Args:
        chunk, settings: What is made.
        scene: The chunk and what lies around it.
        photo: Style of the overhead photograph.
        photograph: The overhead photograph of the tiles, where it exists already.
        inset: Row and column of the scene at which the tiles begin.

    Returns:
        Names of the tiles, rows of truth.
    """
    from cvsegguide.synth.cameras import draw_camera, free_cameras, without_obstacles
    from cvsegguide.synth.overhead import render_overhead
    from cvsegguide.synth.street import draw_style, prepare, render_street
    from cvsegguide.synth.writer import TILE, Layout, position_name, snap, truth_row

    layout = Layout(Path(chunk.folder) / chunk.city)
    row0, col0 = min(i for i, _ in chunk.tiles), min(j for _, j in chunk.tiles)
    top, left = inset
    if photograph is None:
        across = (max(j for _, j in chunk.tiles) - col0 + 1) * TILE
        down = (max(i for i, _ in chunk.tiles) - row0 + 1) * TILE
        inner = (top, top + down, left, left + across)
        photograph = render_overhead(scene, photo, inner)  # type: ignore[arg-type]
    quality = int(np.random.default_rng([chunk.town_seed, 5]).integers(72, 95))
    names = []
    for i, j in chunk.tiles:
        r, c = (i - row0) * TILE, (j - col0) * TILE
        here = np.s_[r : r + TILE, c : c + TILE]
        there = np.s_[top + r : top + r + TILE, left + c : left + c + TILE]
        labels: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.uint8]]] = {
            kind: np.minimum(scene.labels[kind][there], 255).astype(np.uint8)
            for kind in ("landuse", "age", "function")
            if kind in scene.labels
        }
        name = f"19/{chunk.x + j}/{chunk.y + i}"
        layout.write_tile(
            name, np.ascontiguousarray(photograph[here]), scene.landcover[there],
            scene.building_height[there], labels, quality,
        )  # fmt: skip
        names.append(name)

    scene = without_obstacles(scene)
    world = prepare(scene)
    rig = RIGS[settings.rig]
    taken: dict[tuple[int, int], int] = {}
    seen = set()
    truth: list[tuple[int, str]] = []
    wanted = set(chunk.tiles)
    places = free_cameras(scene)
    order = np.arange(len(places))
    if settings.panoramas:
        # Any of a tile's cameras, not the first ones, which stand at its edge.
        order = np.random.default_rng([chunk.town_seed, chunk.index, 9]).permutation(order)
    for index in order:
        row, col, azimuth = places[index]
        # Positions from the town's corner, where the names of the tiles count from.
        town_row, town_col = row - top + row0 * TILE, col - left + col0 * TILE
        town_row, town_col, lat, lon = snap(town_row, town_col, chunk.x, chunk.y)
        tile = (int(town_row // TILE), int(town_col // TILE))
        name = position_name(lat, lon)
        if tile not in wanted or name in seen:
            continue
        if settings.panoramas and taken.get(tile, 0) >= settings.panoramas:
            continue
        place = (town_row + top - row0 * TILE, town_col + left - col0 * TILE)
        if scene.building_id[int(place[0]), int(place[1])]:
            continue
        random = np.random.default_rng(
            [chunk.town_seed, int(lat * 1e6 + 0.5), int(-lon * 1e6 + 0.5)]
        )
        camera = draw_camera(place[0], place[1], azimuth, rig, random)
        if settings.extent[1] < 360:
            # Who sees a part only may look anywhere.
            camera = replace(camera, heading=round(float(random.uniform(0.0, 360.0)) % 360.0, 3))
        # A drive along a street has one light and one season.
        drive = chunk.town_seed * 64 + int(azimuth % 180) // 20
        style = draw_style(int(random.integers(1 << 31)), drive)
        view = render_street(world, camera, settings.size, settings.extent, style)
        layout.write_panorama(name, view, int(random.integers(78, 96)))
        light = (style.sun_azimuth, style.sun_elevation, style.sun, style.bare)
        line = truth_row(name, lat, lon, camera, settings.extent, chunk.town, light)
        truth.append((int(index), line))
        taken[tile] = taken.get(tile, 0) + 1
        seen.add(name)
    # As the car drove.
    return names, [line for _, line in sorted(truth)]


def _finish(folder: Path, city: str, plan: list[Chunk], split: str) -> list[object]:
    """Put the parts' lists together; returns the towns' styles."""
    from cvsegguide.synth.writer import Layout

    tiles: list[str] = []
    truth: list[str] = []
    towns: dict[int, object] = {}
    for chunk in plan:
        part = json.loads(_part(chunk).read_text(encoding="utf-8"))
        tiles += part["tiles"]
        truth += part["truth"]
        towns[chunk.town] = part["style"]
    Layout(folder / city).write_lists(tiles, truth, split)
    return list(towns.values())
