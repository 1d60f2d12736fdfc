"""What MkDocs does beyond its pages: cards of bundled weights, the changelog, links out of docs/.

Pages are written to be read on a code host as well, so they link to files of the repository
(``../src/...``). On the site such a link leads to the page that shows the file, where there is one.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

REPOSITORY = Path(__file__).resolve().parents[2]
WEIGHTS = REPOSITORY / "src" / "cvsegguide" / "weights"
CARDS = "<!-- cards of the bundled weights -->"
PAGES = {  # files of the repository that are pages of the site as well
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}


def card_names() -> list[str]:
    """Bundled weights that have a card."""
    return sorted(card.parent.name for card in WEIGHTS.glob("*/README.md"))


def card(name: str) -> str:
    """The card of some weights, as a section: no header for the Hub, headings one level lower."""
    text = (WEIGHTS / name / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    fenced, lines = False, []
    for line in text.splitlines():
        fenced ^= line.startswith("```")
        if not fenced and line.startswith("# "):
            line = f"## {name} {{ #{name} }}"
        elif not fenced and re.match(r"#{2,5} ", line):
            line = f"#{line} {{ #{name}-{re.sub(r'[^a-z0-9]+', '-', line.lower()).strip('-')} }}"
        lines.append(line)
    return "\n".join(lines)


def link(page: str, target: str) -> str | None:
    """Where a link leads on the site; "" when the site does not show the file.

    Args:
        page: Path of the page below docs/.
        target: As it is written there.

    Returns:
        None when the link stays within docs/, or leads to nothing: MkDocs deals with both.
    """
    path, _, anchor = target.partition("#")
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), path))
    if path.startswith("docs/") or not (REPOSITORY / path).exists():
        return None
    if path in PAGES:
        return PAGES[path] + (f"#{anchor}" if anchor else "")
    parts = path.split("/")
    if parts[:-2] == ["src", "cvsegguide", "weights"] and parts[-1] == "README.md":
        return f"model-zoo.md#{parts[-2]}"
    return ""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are files of the repository."""
    for source, page in PAGES.items():
        if files.get_file_from_path(page) is None:
            text = (REPOSITORY / source).read_text(encoding="utf-8")
            text = re.sub(r"\]\(docs/", "](", text)
            files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put cards in their place and turn links that leave docs/."""
    if CARDS in markdown:
        markdown = markdown.replace(CARDS, "\n\n".join(card(name) for name in card_names()))

    up = "../" * page.file.src_uri.count("/")

    def turn(match: re.Match[str]) -> str:
        there = link(page.file.src_uri, match["target"])
        if there is None:
            return match[0]
        return f"[{match['text']}]({up}{there})" if there else match["text"]

    return re.sub(r"\[(?P<text>[^\]]*)\]\((?P<target>\.\./[^)\s]+)\)", turn, markdown)
