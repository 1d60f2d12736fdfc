"""What a check of a data set has found: counts, findings, notes."""

import json
import sys
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

KINDS = {
    "missing": "listed, but there is no such file",
    "unreadable": "no picture, or no array, that can be read",
    "truncated": "the file ends too early",
    "wrong size": "another size than the rest, or than its tile",
    "unknown id": "a label with ids that its scheme does not have",
    "outside": "a panorama outside of every tile, or a camera outside of its own",
    "duplicate": "a name that is listed more than once",
    "leak": "a panorama or a piece of ground that two splits share",
    "malformed": "a list that is missing, or a line in it that cannot be used",
    "contradiction": "two sources that give different positions or bounds",
}
"""Kinds of findings, in the order of the report."""

LISTED = 100_000
"""Findings of a kind that are kept one by one; beyond, they are counted alone."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: A key of :data:`KINDS`.
        path: The file at fault (relative to the root where it lies in it).
        detail: What is wrong with it, in a few words.
    """

    kind: str
    path: str
    detail: str


@dataclass
class Report:
    """The outcome of a check.

    Attributes:
        root: What was checked.
        layout: ``"brooklyn-queens"``, ``"vigor"`` or ``"manifest"``.
        counts: What was read, by name.
        findings: What is wrong, up to :data:`LISTED` of each kind.
        totals: How many findings there are of each kind.
        notes: What is worth knowing and no fault.
        written: Cleaned indices that ``fix`` has written.
    """

    root: str
    layout: str
    counts: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    totals: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.totals

    def add(self, kind: str, path: Path, detail: str, name: str | None = None) -> None:
        """Record a finding; ``path`` as seen from the root where it lies in it.

        See :class:`~cvsegguide.data.lists.AddFinding`; ``name`` does not matter here.
        """
        self.totals[kind] += 1
        if self.totals[kind] <= LISTED:
            root = Path(self.root).parent if self.layout == "manifest" else Path(self.root)
            path = path.relative_to(root) if path.is_relative_to(root) else path
            self.findings.append(Finding(kind, str(path), _make_printable(detail)))

    def to_json(self) -> str:
        """The report as a JSON object, findings grouped by kind."""
        content = asdict(self)
        del content["totals"]
        content["clean"] = self.clean
        content["findings"] = {
            kind: {
                "count": self.totals[kind],
                "items": [
                    {"path": item.path, "detail": item.detail} for item in self._of_kind(kind)
                ],
            }
            for kind in KINDS
            if self.totals[kind]
        }
        return json.dumps(content, indent=2)

    def _of_kind(self, kind: str) -> list[Finding]:
        return [item for item in self.findings if item.kind == kind]

    def print(self, examples: int = 5) -> None:
        """Print tables to stdout: what was read, and what is wrong with a few examples each."""
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
        table = Table("read", "count", title=escape(f"{self.root} ({self.layout})"))
        table.columns[1].justify = "right"
        for name, count in self.counts.items():
            table.add_row(escape(name), str(count))
        console.print(table)
        if not self.clean:
            table = Table("wrong", "count", "file", "detail", title="findings")
            table.columns[1].justify = "right"
            for kind in KINDS:
                if not self.totals[kind]:
                    continue
                items = self._of_kind(kind)[:examples]
                for number, item in enumerate(items):
                    first = (kind, str(self.totals[kind])) if number == 0 else ("", "")
                    table.add_row(*first, escape(item.path), escape(item.detail))
                if self.totals[kind] > len(items):
                    table.add_row("", "", f"... and {self.totals[kind] - len(items)} more", "")
                table.add_section()
            console.print(table)
        for note in self.notes:
            console.print(f"note: {escape(note)}")
        for path in self.written:
            console.print(f"written: {escape(path)}")
        total = self.totals.total()
        console.print(f"{total} finding{'s' if total > 1 else ''}" if total else "nothing is wrong")


def _make_printable(text: str) -> str:
    """One line without control characters: details quote what hostile files contain."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:200]
