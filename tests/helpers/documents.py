"""The documentation as data: pages, fenced blocks with their marks, links, headings, code."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[\w+-]*)[^\n]*$")
_MARK = re.compile(r"<!-- (?P<kind>not run|run by|command): (?P<text>.+?) -->", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: Path from the repository's root.
        line: Of the opening fence, from 1.
        language: What stands behind the fence, or "".
        text: Without the fences.
        mark, reason: Kind and text of the HTML comment above it: ``not run: REASON``,
            ``run by: TEST FILE``, ``command: NAME`` (run by the gate); None where there is none.
    """

    page: str
    line: int
    language: str
    text: str
    mark: str | None
    reason: str

    @property
    def place(self) -> str:
        """For the name of a test."""
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Every page that people read: the README, its neighbours, docs/, and the weights' cards."""
    return [
        REPOSITORY / "README.md",
        REPOSITORY / "CONTRIBUTING.md",
        REPOSITORY / "CHANGELOG.md",
        *sorted(DOCS.rglob("*.md")),
        *sorted((REPOSITORY / "src/cvsegguide/weights").glob("*/README.md")),
    ]


def name_of(page: Path) -> str:
    """A page's path from the repository's root."""
    return page.relative_to(REPOSITORY).as_posix()


@cache
def blocks(page: Path) -> tuple[Block, ...]:
    """The fenced blocks of a page."""
    found, lines = [], page.read_text(encoding="utf-8").splitlines()
    start: int | None = None
    language = indent = ""
    for number, line in enumerate(lines):
        match = _FENCE.match(line)
        if start is None and match:
            start, language, indent = number, match["language"], match["indent"]
        elif start is not None and line.strip() == "```":
            text = "\n".join(part.removeprefix(indent) for part in lines[start + 1 : number])
            mark = _mark(lines[:start])
            found.append(Block(name_of(page), start + 1, language, text + "\n", *mark))
            start = None
    assert start is None, f"{page}: the fence in line {(start or 0) + 1} is never closed"
    return tuple(found)


def _mark(before: list[str]) -> tuple[str | None, str]:
    """The mark that ends the text before a block."""
    text = "\n".join(before).rstrip()
    if not text.endswith("-->"):
        return None, ""
    match = _MARK.fullmatch(text[text.rindex("<!--") :])
    return (match["kind"], match["text"].strip()) if match else (None, "")


@cache
def prose(page: Path) -> str:
    """A page's text without fenced blocks and comments."""
    kept, inside = [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        if _FENCE.match(line):
            inside = not inside
            kept.append("")
        else:
            kept.append("" if inside else line)
    return re.sub(r"<!--.*?-->", "", "\n".join(kept), flags=re.DOTALL)


def spans(page: Path) -> list[str]:
    """Code within the text, one entry a pair of backticks; line ends become spaces."""
    return [" ".join(span.split()) for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose(page))]


def links(page: Path) -> list[str]:
    """Targets of links and pictures."""
    text = re.sub(r"(?<!`)`[^`]+`(?!`)", "", prose(page))
    return re.findall(r"\]\(([^)\s]+)\)", text)


@cache
def anchors(page: Path) -> set[str]:
    """What one can link to in a page: its headings, as code hosts and the site name them."""
    found: set[str] = set()
    for line in prose(page).splitlines():
        match = re.match(r"#{1,6} +(.*?)(?: *\{ *#([\w-]+) *\})?$", line)
        if match:
            title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", match[1]).lower()
            found.add(match[2] or re.sub(r"[^\w\- ]", "", title).strip().replace(" ", "-"))
    return found


def commands(block: Block) -> list[str]:
    """Lines of a shell block that call the package, whole, without prompt, pipe and comment."""
    text = re.sub(r"\\\n\s*", " ", block.text)
    found = []
    for line in text.splitlines():
        line = line.strip().removeprefix("$ ").removeprefix("srun ")
        if line.startswith("cvsegguide "):
            found.append(re.split(r"\s(?:#|\||&&|>|<)|\s{3,}", line)[0].strip())
    return found
