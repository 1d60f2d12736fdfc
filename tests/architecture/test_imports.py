"""Which room may know which: no circle of imports, no arrow up."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import cvsegguide

SOURCE = Path(cvsegguide.__file__).parent

LEVELS = (
    {"errors"},
    {"console"},
    {"progress", "landcover", "geo"},
    {"io"},
    {"data", "models", "synth"},
    {"inference"},
    {"export", "tracking", "viz"},
    {"evaluation"},
    {"training"},
    {"experiments"},
    {"app", "benchmark"},
    {"cli"},
)
"""Rooms, lowest first. A room imports from lower levels and from itself, never from its level."""

ALLOWED = {
    ("inference", "tracking"),  # Localizer.track, a thin import inside of the method
}

INSIDE_FUNCTIONS = 0.08
"""Largest part of the package's imports of itself that may stand inside of functions."""


def _modules() -> dict[str, Path]:
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = ("cvsegguide", *path.relative_to(SOURCE).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = _modules()


def _imports(path: Path) -> Iterator[tuple[str, bool, int]]:
    """Modules of the package that a file imports, whether inside of a function, and the line."""

    def visit(node: ast.AST, inside: bool) -> Iterator[tuple[str, bool, int]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.ImportFrom) and (child.module or "").startswith("cvsegguide"):
                for alias in child.names:
                    if child.module == "cvsegguide" and alias.name == "__version__":
                        continue
                    whole = f"{child.module}.{alias.name}"
                    yield whole if whole in MODULES else str(child.module), inside, child.lineno
            elif isinstance(child, ast.Import):
                for alias in child.names:
                    if alias.name.startswith("cvsegguide"):
                        yield alias.name, inside, child.lineno
            else:
                is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                yield from visit(child, inside or is_function)

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), False)


def _room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_every_room_has_a_level() -> None:
    rooms = {_room(name) for name in MODULES} - {"", "__main__"}
    assert rooms <= set().union(*LEVELS)


def test_no_arrow_points_up() -> None:
    level = {room: number for number, rooms in enumerate(LEVELS) for room in rooms}
    wrong = []
    for name, path in MODULES.items():
        own = _room(name)
        if own in ("", "__main__"):
            continue
        for target, _, line in _imports(path):
            other = _room(target)
            if other == own or (own, other) in ALLOWED:
                continue
            if other == "" or level[other] >= level[own]:
                wrong.append(f"{path.relative_to(SOURCE)}:{line} imports {target}")
    assert not wrong, "\n".join(wrong)


def test_no_circle() -> None:
    """Imports at the top of modules, so that each can be imported first."""
    graph = {
        name: {target for target, inside, _ in _imports(path) if not inside and target != name}
        for name, path in MODULES.items()
    }
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


def test_few_imports_inside_of_functions() -> None:
    inside = [found for path in MODULES.values() for _, found, _ in _imports(path)]
    assert sum(inside) / len(inside) <= INSIDE_FUNCTIONS


def test_models_know_nothing_of_what_runs_them() -> None:
    known = {
        _room(target)
        for name, path in MODULES.items()
        if _room(name) == "models"
        for target, _, _ in _imports(path)
    }
    assert known <= {"errors", "console", "progress", "landcover", "geo", "io", "models"}
