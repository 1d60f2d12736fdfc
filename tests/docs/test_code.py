"""The documents' Python runs and prints what it says; no document names what does not exist."""

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from helpers import documents
from helpers.documents import Block

PYTHON = [b for page in documents.pages() for b in documents.blocks(page) if b.language == "python"]
SOURCE = documents.REPOSITORY / "src/cvsegguide"

EXCUSED = {
    # blocks without a mark of their own: (page or folder, a piece of it): why it is not run
    ("docs/export.md", "program = torch.export.load"): "needs an exported program: tests/export",
    ("src/cvsegguide/weights/", '"path/or/owner/name"'): "the name is the reader's to put in",
}

FOREIGN = {
    # names of other packages and formats that the documents mention
    "CSVLogger", "EarlyStopping", "GeoParquet", "LightningCLI",
}  # fmt: skip


def _why_not(block: Block) -> str | None:
    if block.mark:
        return f"{block.mark}: {block.reason}"
    for (page, line), reason in EXCUSED.items():
        if block.page.startswith(page) and line in block.text:
            return reason
    return None


@pytest.mark.parametrize(
    "block", [block for block in PYTHON if not _why_not(block)], ids=lambda block: block.place
)
def test_python_runs_and_prints_what_it_says(block: Block, world: Path) -> None:
    printed: list[str] = []

    def record(*parts: object, **_: Any) -> None:
        printed.append(" ".join(map(str, parts)))

    code = compile(block.text, block.place, "exec", dont_inherit=True)
    exec(code, {"print": record, "__name__": "documents"})
    promised = re.findall(r"^ *# -> (.*)$", block.text, re.MULTILINE)
    if promised:
        assert printed == promised


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.place)
def test_python_is_marked_by_what_exists(block: Block) -> None:
    if block.mark == "run by":
        test = documents.REPOSITORY / block.reason
        assert test.is_file()
        assert block.page in test.read_text(encoding="utf-8"), f"{block.reason} does not read it"
    if block.mark == "not run":
        assert len(block.reason.split()) >= 3, "say why"


def _resolve(name: str) -> Any:
    """The object that a dotted name stands for.

    Raises:
        ImportError: There is none.
        AttributeError: There is none.
    """
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise
            continue
        for part in parts[count:]:
            if part in getattr(found, "__dataclass_fields__", {}):
                return None
            if part in getattr(found, "__annotations__", {}) and not hasattr(found, part):
                return None
            found = getattr(found, part)
        return found
    raise ImportError(name)


def _used(code: str) -> Iterator[str]:
    """Dotted names of the package that code uses."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cvsegguide"):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.startswith("cvsegguide"))
        elif isinstance(node, ast.Attribute):
            name = ast.unparse(node)
            if re.fullmatch(r"cvsegguide(\.\w+)+", name):
                yield name


@pytest.mark.parametrize("page", documents.pages(), ids=documents.name_of)
def test_dotted_names_exist(page: Path) -> None:
    names: set[str] = set()
    for block in documents.blocks(page):
        if block.language == "python":
            names.update(_used(block.text))
        if block.language == "yaml":
            names.update(re.findall(r"cvsegguide(?:\.\w+)+", block.text))
    for span in documents.spans(page):
        names.update(re.findall(r"(?<![\w./-])cvsegguide(?:\.[A-Za-z_]\w*)+", span))
    names.update(re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE))
    for name in sorted(names - {"cvsegguide.json"}):  # a file
        try:
            _resolve(name.rstrip("."))
        except (ImportError, AttributeError) as error:
            pytest.fail(f"{documents.name_of(page)} names {name}: {error}")


@cache
def _defined() -> frozenset[str]:
    """Every name that the package's code gives to anything: classes, functions, arguments, keys."""
    names: set[str] = set()
    for path in [*SOURCE.rglob("*.py"), *(documents.REPOSITORY / "scripts").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                names.add(node.name)
            elif isinstance(node, ast.arg):
                names.add(node.arg)
            elif isinstance(node, ast.Name):
                names.add(node.id)
            elif isinstance(node, ast.Attribute):
                names.add(node.attr)
            elif isinstance(node, ast.alias):
                names.add((node.asname or node.name).split(".")[-1])
    return frozenset(names)


def _claimed(span: str) -> Iterator[str]:
    """Identifiers in code within text that must be ours: classes, and functions that are called."""
    head = re.match(r"[A-Za-z_][\w.]*", span)
    if head is None:
        return
    parts = head[0].rstrip(".").split(".")
    camel = re.fullmatch(r"(?:[A-Z][a-z0-9]+){2,}", parts[0])
    if camel or (span[len(head[0]) :].startswith("(") and "_" in parts[-1]):
        yield from parts


@pytest.mark.parametrize("page", documents.pages(), ids=documents.name_of)
def test_classes_and_functions_exist(page: Path) -> None:
    for span in documents.spans(page):
        for name in _claimed(span):
            if re.search(r"\.(py|md|png|tif|json|parquet|yaml)$", span) or name in FOREIGN:
                break
            if name in ("torch", "geopandas", "read_parquet", "load", "export"):
                break
            assert name in _defined(), f"{documents.name_of(page)} speaks of `{span}`"


@pytest.mark.parametrize("page", documents.pages(), ids=documents.name_of)
def test_files_of_the_code_exist(page: Path) -> None:
    roots = (documents.REPOSITORY, SOURCE, documents.REPOSITORY / "tests")
    for span in documents.spans(page):
        for word in re.findall(r"(?<![\w./<{*-])[\w/-]+\.py\b(?!\w)", span):
            found = any((root / word).is_file() for root in roots) or (
                "/" not in word and any(SOURCE.rglob(word))
            )
            assert found, f"{documents.name_of(page)} speaks of {word}"
        if re.fullmatch(r"[a-z_]+/(?:[a-z_]+/)*", span) and page.name == "architecture.md":
            assert any((root / span).is_dir() for root in roots), span


@pytest.mark.parametrize(
    "page",
    [page for page in documents.pages() if "weights" not in page.parts],  # cards name their runs
    ids=documents.name_of,
)
def test_networks_and_configurations_exist(page: Path) -> None:
    from cvsegguide.models.registry import read_configurations

    bundled = {path.stem for path in (SOURCE / "configs").glob("*.yaml")}
    weights = {path.name for path in (SOURCE / "weights").iterdir()}
    for span in documents.spans(page):
        if re.fullmatch(r"(mst|featup|geometric)(-[a-z0-9]+)*", span):
            known = {*read_configurations(), *bundled, *weights}
            assert span in known, f"{documents.name_of(page)} speaks of `{span}`"


def test_every_network_is_described() -> None:
    from cvsegguide.models.registry import read_configurations

    spans = set(documents.spans(documents.DOCS / "models.md"))
    assert not set(read_configurations()) - spans


def test_inference_and_models_do_without_training_and_evaluation() -> None:
    """As the architecture page says."""
    for room in ("models", "inference", "data", "io", "geo", "export", "synth"):
        for path in (SOURCE / room).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            found = re.search(r"^\s*(?:from|import) cvsegguide\.(training|evaluation)", text, re.M)
            assert not found, f"{path}: {found}"


def test_a_wrong_name_would_be_found() -> None:
    for name in ("cvsegguide.Localiser", "cvsegguide.data.BrooklynKings", "cvsegguide.nothing"):
        with pytest.raises((ImportError, AttributeError)):
            _resolve(name)
    assert list(_used("import cvsegguide\ncvsegguide.data.Nope('x').y")) == [
        "cvsegguide", "cvsegguide.data.Nope", "cvsegguide.data",
    ]  # fmt: skip
    assert list(_claimed("BrooklynKings(root, city)")) == ["BrooklynKings"]
    assert list(_claimed("made_up(model)")) == ["made_up"]
    assert "made_up" not in _defined()
