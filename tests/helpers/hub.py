"""Lets the command line find the test double where it loads a model."""

import sys
from types import ModuleType

import pytest

from cvsegguide.errors import CheckpointError
from helpers.models import ColourModel


def install(monkeypatch: pytest.MonkeyPatch, **options: object) -> None:
    """``--model colour`` becomes a :class:`ColourModel`; any other name is unknown."""

    def load_model(source: object) -> ColourModel:
        if source != "colour":
            raise CheckpointError(f"{source}: there is no such model")
        return ColourModel(**options).eval()  # type: ignore[arg-type]

    module = ModuleType("cvsegguide.models.hub")
    module.load_model = load_model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cvsegguide.models.hub", module)
