"""A whole SynthCity on disk: chunk after chunk, in any number of processes, resumable."""

import json
import math
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait as wait_for
from os import PathLike
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

from cvsegguide import __version__
from cvsegguide.errors import InputError
from cvsegguide.io.atomic import write_text
from cvsegguide.progress import track
from cvsegguide.synth.chunk import write_scene
from cvsegguide.synth.city import City
from cvsegguide.synth.settings import (
    EDITION,
    MARGIN,
    Chunk,
    Settings,
    check_choice,
    check_new_folder,
    check_settings,
    split_seed,
)
from cvsegguide.synth.styles import PhotoStyle
from cvsegguide.synth.writer import TILE, anchor, write_lists

CHUNK = 4
"""Side in tiles of what is made at once: bounds the memory of a process to about 500 MB."""

NAMED_SETS: dict[str, dict[str, Any]] = {
    "synthcity-small": {"tiles": 400, "validation": 100, "test": 100},
    "synthcity": {"tiles": 8000, "validation": 1000, "test": 1000},
}
"""Tiles of the named sets: training in ``brooklyn``, validation in ``queens``, test in
``test/queens``; the same seed and options on every machine."""

NAMED_SEED = 2025


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
    fov: float = 360.0,
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
        size: ``(h, w)`` of a street view; pixels are square: ``(256, 512)`` makes full panoramas.
        fov: Degrees from left to right. Views of less than 360 degrees look in any direction: read
            them with ``Manifest(directory / city / "manifest.csv")``, as ``BrooklynQueens`` knows
            panoramas alone.
        rig: ``"car"`` or ``"anyone"`` (other heights, tilted, compass off).
        photographs: ``"plausible"``, or ``"randomised"``: materials, light and camera of the
            overhead photographs far beyond the real thing, for training alone.
        workers: Processes; by default one per core.

    Returns:
        The directory.

    Raises:
        InputError: An argument is out of range, or the directory holds something else.
    """
    settings = Settings(seed, tiles, validation, test, town, panoramas, size, fov, rig, photographs)
    check_settings(settings)
    if workers is not None and workers < 1:
        raise InputError(f"must be at least 1, got {workers}", parameter="workers")
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
    todo = [chunk for plan in plans for chunk in plan if not _record_path(chunk).exists()]
    total = sum(len(chunk.tiles) for chunk in todo)
    for _ in track(_make_chunks(todo, settings, workers), "tiles", total=total):
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
        "settings": asdict(settings),
        "towns": styles,
    }
    write_text(root / "synthcity.json", json.dumps(record, indent=1) + "\n")
    shutil.rmtree(root / ".synthcity")
    return root


def generate_named(directory: str | PathLike[str], name: str, workers: int | None = None) -> Path:
    """Make one of :data:`NAMED_SETS`."""
    check_choice("name", name, NAMED_SETS)
    return generate(directory, seed=NAMED_SEED, workers=workers, **NAMED_SETS[name])


def _claim(root: Path, settings: Settings) -> None:
    """Make the folder ours, or recognise a run that was cut off."""
    text = json.dumps({"version": __version__, "edition": EDITION, "settings": asdict(settings)})
    wanted = json.loads(text)
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
    check_new_folder(root)
    write_text(root / ".synthcity" / "settings.json", text + "\n")


def _chunks(folder: Path, city: str, tiles: int, seed: int, town: int) -> Iterator[Chunk]:
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


def _record_path(chunk: Chunk) -> Path:
    folder = Path(chunk.folder)
    root = folder if (folder / ".synthcity").exists() else folder.parent
    return root / ".synthcity" / f"{folder.name}-{chunk.city}-{chunk.index}.json"


def _make_chunks(todo: list[Chunk], settings: Settings, workers: int | None) -> Iterator[int]:
    """Make chunks and yield something for each tile done."""
    workers = min(workers or os.cpu_count() or 1, len(todo))
    if workers <= 1:
        for chunk in todo:
            yield from range(make_chunk(chunk, settings))
        return
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent) as pool:
        try:
            for future in as_completed(
                [pool.submit(make_chunk, chunk, settings) for chunk in todo]
            ):
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
    row0, col0 = (first * TILE - MARGIN for first in chunk.corner)
    height, width = (side * TILE + 2 * MARGIN for side in chunk.shape)
    city = City(chunk.town_seed)
    scene = city.scene(row0, col0, height, width)
    randomised = settings.photographs == "randomised"
    photo = (PhotoStyle.randomised if randomised else PhotoStyle.draw)(chunk.town_seed)
    tiles, truth = write_scene(chunk, settings, scene, photo=photo)
    record = {
        "town": chunk.town,
        "seed": chunk.town_seed,
        "city": asdict(city.style),
        "photo": asdict(photo),
    }
    write_text(_record_path(chunk), json.dumps({"tiles": tiles, "truth": truth, "style": record}))
    return len(chunk.tiles)


def _finish(folder: Path, city: str, plan: list[Chunk], split: str) -> list[object]:
    """Put the parts' lists together; returns the towns' styles."""
    tiles: list[str] = []
    truth: list[dict[str, str]] = []
    towns: dict[int, object] = {}
    for chunk in plan:
        part = json.loads(_record_path(chunk).read_text(encoding="utf-8"))
        tiles += part["tiles"]
        truth += part["truth"]
        towns[chunk.town] = part["style"]
    write_lists(folder / city, tiles, truth, split)
    return list(towns.values())
