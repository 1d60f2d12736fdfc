"""Links, pictures and navigation of the documentation."""

import os
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from helpers import documents


@pytest.mark.parametrize("page", documents.pages(), ids=documents.name_of)
def test_links_of_files_lead_somewhere(page: Path) -> None:
    for target in documents.links(page):
        parts = urlsplit(target)
        if parts.scheme:
            assert parts.scheme in ("http", "https", "mailto"), target
            continue
        file = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        assert file.exists(), f"{documents.name_of(page)}: {target} is not there"
        assert file.is_relative_to(documents.REPOSITORY), target
        if parts.fragment:
            assert parts.fragment in documents.anchors(file), f"{target}: no such heading"


def test_a_broken_link_would_be_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A *b* & c\n[x](gone.md) `[no](link.md)`\n```\n[no](l.md)\n```\n![p](q.png)\n"
    )
    assert documents.links(page) == ["gone.md", "q.png"]
    assert documents.anchors(page) == {"a-b--c"}


def test_navigation_lists_every_page() -> None:
    text = (documents.REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"([\w/-]+\.md)\s*$", text[text.index("\nnav:") :], re.MULTILINE)
    assert len(listed) == len(set(listed))
    written = {page.relative_to(documents.DOCS).as_posix() for page in documents.DOCS.rglob("*.md")}
    assert set(listed) - {"changelog.md", "contributing.md"} == written


class _Page(HTMLParser):
    """What a page of the site links to and loads, and what can be linked to in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors.update(values[name] for name in ("id", "name") if name in values)
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag == "link" and values.get("rel") not in ("canonical", "next", "prev"):
            self.loads.append(values.get("href", ""))
        elif "src" in values:
            self.loads.append(values["src"])


def test_site_is_whole_and_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    assert len(pages) > 30
    for path, page in pages.items():
        base = site if path.name == "404.html" else path.parent
        for target in page.loads + page.links:
            parts = urlsplit(target)
            if parts.scheme or target.startswith("//"):
                assert target not in page.loads, f"{path.name} loads {target}"
                continue
            if target.startswith("/"):
                assert path.name == "404.html", f"{path.name}: {target}"
                parts = parts._replace(path=parts.path.lstrip("/"))
            file = Path(os.path.normpath(base / unquote(parts.path))) if parts.path else path
            assert file.exists(), f"{path.relative_to(site)}: {target}"
            if parts.fragment and file in pages and parts.fragment != "__skip":
                found = unquote(parts.fragment) in pages[file].anchors
                assert found, f"{path.relative_to(site)}: {target} has no such anchor"
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", style.read_text()), style


def test_site_shows_the_cards_of_all_weights(site: Path) -> None:
    shown = (site / "model-zoo.html").read_text(encoding="utf-8")
    cards = list((documents.REPOSITORY / "src/cvsegguide/weights").glob("*/README.md"))
    assert cards
    for card in cards:
        assert f'id="{card.parent.name}"' in shown
        for heading in re.findall(r"^## (.*)$", card.read_text(encoding="utf-8"), re.MULTILINE):
            assert heading in shown
    assert "library_name:" not in shown


def test_links_out_of_the_documents_are_turned(site: Path) -> None:
    for page, target in (
        ("index.html", "changelog.html"),
        ("geometric.html", "model-zoo.html#synthcity"),
        ("reference/geo.html", "../concepts.html"),  # stays within them
    ):
        text = (site / page).read_text(encoding="utf-8")
        article = text[text.index("<article") : text.index("</article>")]
        assert f'href="{target}"' in article, page


def test_reference_has_docstrings(site: Path) -> None:
    shown = (site / "reference/localize.html").read_text(encoding="utf-8")
    assert "Localises street views in overhead images with one model." in shown
    assert 'id="cvsegguide.Localizer.localize"' in shown
    assert ":class:" not in shown
