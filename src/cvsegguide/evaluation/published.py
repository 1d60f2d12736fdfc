"""What others report on a data set, to stand beside what was measured on it.

Figures are those of the papers, in ``published.yaml``; nothing there was measured by this project.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


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
    heading = {0.0: "known heading", 180.0: "unknown heading"}.get(heading_error)
    if not path.endswith(".Vigor") or heading is None:
        return None
    whole = arguments.get("split") == "test" and not arguments.get("cities")
    if not whole or arguments.get("pairs", "positive") != "positive":
        return None  # not the protocol
    area = arguments.get("area", "same")
    figures = yaml.safe_load(Path(__file__).with_name("published.yaml").read_text("utf-8"))
    rows = [
        {"method": method, "mean": mean, "median": median}
        for method, (mean, median) in figures[area][heading].items()
    ]
    return {"protocol": f"VIGOR, {area} area, {heading}", "rows": rows}
