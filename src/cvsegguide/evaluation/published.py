"""What others report on a data set, to stand beside what was measured on it.

Figures are those of the papers, as published (`docs/comparison.md` names them); nothing here was
measured by this project.
"""

from collections.abc import Mapping
from typing import Any

Rows = list[dict[str, Any]]

KNOWN, UNKNOWN = "known heading", "unknown heading"

VIGOR: dict[tuple[str, str], tuple[tuple[str, float | None, float | None], ...]] = {
    ("same", KNOWN): (
        ("CCVPE", 3.60, 1.36),
        ("HC-Net", 2.65, 1.17),
        ("DenseFlow", 3.03, 0.97),
        ("BevSplat (weak supervision)", 2.87, 1.58),
        ("FG2", 2.18, None),
    ),
    ("cross", KNOWN): (
        ("CCVPE", 4.97, 1.68),
        ("HC-Net", 3.35, 1.59),
        ("DenseFlow", 5.01, 2.42),
        ("BevSplat (weak supervision)", 2.84, 1.36),
    ),
    ("same", UNKNOWN): (
        ("SliceMatch", 6.49, 3.13),
        ("CCVPE", 3.74, 1.42),
        ("Loc2", 3.94, 1.78),
        ("ViewBridge", 3.08, 1.57),
        ("BevSplat", 2.91, 1.60),
    ),
    ("cross", UNKNOWN): (
        ("SliceMatch", 7.22, 3.31),
        ("CCVPE", 5.41, 1.89),
        ("Loc2", 4.23, 2.09),
        ("ViewBridge", 3.79, 2.01),
        ("BevSplat", 2.89, 1.38),
    ),
}
"""Area and heading -> method, mean and median error in metres on VIGOR's test split."""


def published_results(dataset: Any, heading_error: float) -> dict[str, Any] | None:
    """The published figures of the protocol that a test follows, or None where there are none.

    Args:
        dataset: Entry of the configuration: ``class_path`` and ``init_args``.
        heading_error: Degrees by which the given heading may be off: 0 is a known heading, 180 an
            unknown one; nobody publishes what lies between.
    """
    if not isinstance(dataset, Mapping) and not hasattr(dataset, "class_path"):
        return None
    path, arguments = str(dataset["class_path"]), dict(dataset.get("init_args") or {})
    area, heading = arguments.get("area", "same"), {0.0: KNOWN, 180.0: UNKNOWN}.get(heading_error)
    if not path.endswith(".Vigor") or heading is None or (area, heading) not in VIGOR:
        return None
    whole = arguments.get("split") == "test" and not arguments.get("cities")
    if not whole or arguments.get("pairs", "positive") != "positive":
        return None  # not the protocol
    return {
        "protocol": f"VIGOR, {area} area, {heading}",
        "rows": [
            {"method": method, "mean": mean, "median": median}
            for method, mean, median in VIGOR[area, heading]
        ],
    }
