"""Pairs that come with the package: places in a SynthCity that no weights were trained on."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "examples"

EXAMPLES: dict[str, dict[str, Any]] = {
    example["name"]: example
    | {
        "overhead": FOLDER / f"{example['name']}-overhead.tif",
        "street": FOLDER / f"{example['name']}-street.jpg",
        "thumbnail": FOLDER / f"{example['name']}.jpg",
    }
    for example in json.loads((FOLDER / "examples.json").read_text("utf-8"))
}
"""By name, made by ``scripts/make_app_examples.py``: pixels and degrees, ``heading`` to preset."""
