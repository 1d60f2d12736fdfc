"""The page in a real browser, as people meet it."""

import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cvsegguide.app.settings import Limits
from helpers.pages import BLUE, GROUND, GSD, RED, encoded, overhead, page, street, write_geotiff

BROWSER = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
TILE = encoded(np.full((256, 256, 3), 230, np.uint8))
PATIENCE = 60_000.0
"""Milliseconds: machines may be busy."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with page(Limits(upload_bytes=1_000_000)) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if BROWSER is None:
        pytest.skip("there is no Chromium here (apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        # Everything here runs as whoever runs the tests, who may be root.
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


class Guest:
    """Somebody with a browser; whatever the page asks of whom is written down."""

    def __init__(self, browser: Any, address: str) -> None:
        self.context = browser.new_context(viewport={"width": 1400, "height": 1000})
        self.context.set_default_timeout(PATIENCE)
        self.page = self.context.new_page()
        self.asked: list[str] = []
        self.faults: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.goto(address)
        self.page.wait_for_selector("#examples button")

    def drop(self, kind: str, name: str, content: bytes) -> None:
        file = {"name": name, "mimeType": "application/octet-stream", "buffer": content}
        with self.page.expect_response(lambda response: "/uploads/" in response.url):
            self.page.set_input_files(f"#file-{kind}", files=[file])

    def find(self) -> None:
        """Press the button and wait until the answer, or a message, is there."""
        self.page.click("#go:enabled")
        self.page.wait_for_selector("#go:enabled")

    def read(self, key: str) -> str:
        return str(self.page.inner_text(f"#estimate [data-key={key}]"))

    def pixel(self) -> tuple[float, float]:
        row, col = self.read("pixel").split(",")
        return float(row), float(col)

    def message(self) -> str:
        self.page.wait_for_selector("#message:not([hidden])")
        return str(self.page.inner_text("#message"))

    def download(self, name: str) -> bytes:
        with self.page.expect_download() as waiting:
            self.page.click(f"#downloads [data-file='{name}']")
        assert waiting.value.suggested_filename == name
        return Path(waiting.value.path()).read_bytes()


@pytest.fixture
def guest(browser: Any, address: str) -> Iterator[Guest]:
    found = Guest(browser, address)
    yield found
    assert found.faults == []
    # Nobody but the page's own server was asked for anything.
    assert all(url.startswith((address, "blob:")) for url in found.asked), found.asked
    found.context.close()


def test_drop_two_pictures_press_and_read(guest: Guest, tmp_path: Path) -> None:
    tab = guest.page
    assert tab.is_disabled("#go")
    image = overhead({(20, 40): RED, (50, 10): BLUE})
    guest.drop("overhead", "field.tif", write_geotiff(tmp_path / "f.tif", image).read_bytes())
    tab.wait_for_selector("#drop-overhead.full")
    assert "field.tif: 64 \N{MULTIPLICATION SIGN} 64, 0.5 m/px, EPSG:32618" in tab.inner_text(
        "#drop-overhead"
    )
    assert tab.is_disabled("#gsd")
    assert tab.input_value("#gsd").startswith("0.5")
    guest.drop("street", "view.png", encoded(street(ahead=RED, right=BLUE)))
    guest.find()

    assert guest.pixel() == pytest.approx((20.5, 40.5), abs=1.5)
    assert "N" in guest.read("place")
    assert "W" in guest.read("place")
    assert "m²" in guest.read("area-50")
    first = tab.inner_text("#regions tbody tr:first-child")
    assert first.split()[0] == "1"
    assert "%" in first
    assert "40.74" in first
    assert "building 0.2 %" in tab.inner_text("#legend")

    # The heading by dial: its centre looks west, so that blue lies to the north.
    tab.focus("#dial svg")
    for _ in range(6):
        tab.keyboard.press("PageDown")
    assert tab.input_value("#heading") == "270"
    guest.find()
    assert guest.pixel() == pytest.approx((50.5, 10.5), abs=1.5)
    assert guest.read("heading").startswith("270")

    # Layers change in the browser alone.
    asked = len(guest.asked)
    tab.evaluate(
        """() => { const slider = document.querySelector('#opacity-landcover');
                   slider.value = 70; slider.dispatchEvent(new Event('input')); }"""
    )
    layer = ".sheet img[data-layer=landcover]"
    assert tab.eval_on_selector(layer, "image => image.style.opacity") == "0.7"
    tab.uncheck("#show-posterior")
    assert not tab.is_visible(".sheet img[data-layer=posterior]")
    tab.check("#show-posterior")
    tab.select_option("#scale", "evidence")
    assert tab.is_visible(".sheet img[data-layer=evidence]")
    assert tab.locator("path.area").count() == 2
    tab.uncheck("#show-areas")
    assert not tab.is_visible("path.area.mass-90")
    tab.click("#regions tbody tr:first-child")
    assert tab.locator("path.region.on").count() == 1
    assert len(guest.asked) == asked

    # Nearer: the image grows, the estimate's mark does not.
    before = tab.locator(".sheet").bounding_box()
    tab.hover("#map")
    tab.mouse.wheel(0, -400)
    after = tab.locator(".sheet").bounding_box()
    assert after["width"] > 2 * before["width"]
    assert "row" in tab.inner_text("#cursor")
    tab.click("#zoom-fit")
    assert tab.locator(".sheet").bounding_box()["width"] == pytest.approx(before["width"])

    numbers = json.loads(guest.download("result.json"))
    assert (numbers["row"], numbers["col"]) == pytest.approx(guest.pixel(), abs=0.06)
    with zipfile.ZipFile(io.BytesIO(guest.download("localisation.zip"))) as archive:
        figure = Image.open(io.BytesIO(archive.read("figure.png")))
        regions = json.loads(archive.read("regions.geojson"))
        assert {"posterior.tif", "landcover.tif", "areas.geojson"} <= set(archive.namelist())
    assert min(figure.size) > 400
    assert regions["features"][0]["properties"]["rank"] == 1


def test_wrong_input_is_said_and_the_page_lives_on(guest: Guest) -> None:
    tab = guest.page
    guest.drop("overhead", "notes.pdf", b"%PDF-1.7 no picture at all")
    assert "notes.pdf: not a picture" in guest.message()
    assert tab.is_disabled("#go")
    tab.set_input_files(
        "#file-overhead",
        files=[{"name": "big.png", "mimeType": "image/png", "buffer": bytes(1_100_000)}],
    )
    tab.wait_for_selector("#message:has-text('big.png')")
    assert "larger than the 1 MB" in guest.message()
    guest.drop("overhead", "a.png", encoded(overhead({(20, 40): RED})))
    guest.drop("street", "b.png", encoded(street(RED)))
    assert not tab.is_visible("#message")

    tab.fill("#fov", "0")
    guest.find()
    assert "Field of view: a number from 1 to 360" in guest.message()
    tab.fill("#fov", "360")
    tab.fill("#gsd", "50")
    guest.find()
    assert "covers 10.2 km²" in guest.message()
    tab.fill("#gsd", f"{GSD}")
    guest.find()
    assert not tab.is_visible("#message")
    assert guest.pixel() == pytest.approx((20.5, 40.5), abs=1.5)
    # Without a place there is no map, and positions are in pixels.
    assert not tab.is_visible("#tab-map")
    assert "row, column" in tab.inner_text("#regions thead")
    # What is assumed is said.
    tab.check("#unknown")
    assert tab.is_disabled("#heading")
    tab.fill("#gsd", "")
    guest.find()
    notes = tab.inner_text("#notes")
    assert "heading unknown" in notes
    assert "a.png is taken as one tile of 32 m" in notes


def test_a_photograph_through_a_lens(guest: Guest) -> None:
    photo = np.full((300, 400, 3), GROUND, np.uint8)
    photo[:, 130:270] = RED
    guest.drop("overhead", "field.png", encoded(overhead({(20, 40): RED})))
    guest.drop("street", "phone.png", encoded(photo))
    guest.page.fill("#gsd", str(GSD))
    guest.page.check("#lens")
    assert guest.page.input_value("#fov") == "69", "no lens sees a panorama"
    guest.find()
    assert guest.pixel() == pytest.approx((20.5, 40.5), abs=1.5)
    # Marks stand where the photograph has them: 30 degrees at tan 30 / tan 34.5.
    marks = {
        mark.inner_text(): float(mark.evaluate("mark => parseFloat(mark.style.left)"))
        for mark in guest.page.query_selector_all("#azimuths span")
    }
    assert marks["N 0°"] == pytest.approx(50)
    assert marks["30°"] == pytest.approx(50 + 50 * 0.57735 / 0.68728, abs=0.1)
    guest.page.fill("#fov", "200")
    guest.find()
    assert "of a photograph through a lens it lies in (0, 150] degrees" in guest.message()
    guest.page.click("#examples button >> nth=0")
    guest.page.wait_for_selector("#examples button.on")
    assert not guest.page.is_checked("#lens")
    assert guest.faults == []


def test_a_dropped_file_is_taken_where_it_falls(guest: Guest) -> None:
    tab = guest.page
    content = list(encoded(overhead({(20, 40): RED})))
    with tab.expect_response(lambda response: "/uploads/" in response.url):
        tab.evaluate(
            """content => {
                const files = new DataTransfer();
                files.items.add(new File([new Uint8Array(content)], "dropped.png"));
                const place = document.querySelector("#drop-overhead");
                place.dispatchEvent(new DragEvent("drop", {dataTransfer: files, bubbles: true}));
            }""",
            content,
        )
    tab.wait_for_selector("#drop-overhead.full")
    assert "dropped.png" in tab.inner_text("#drop-overhead")
    assert tab.is_visible(".sheet img")


def test_two_people_at_once(browser: Any, address: str, guest: Guest) -> None:
    other = Guest(browser, address)
    for person, colour, place in ((guest, RED, (12, 50)), (other, BLUE, (45, 20))):
        person.drop("overhead", "a.png", encoded(overhead({place: colour})))
        person.drop("street", "b.png", encoded(street(colour)))
        person.page.fill("#gsd", f"{GSD}")
    for person in (guest, other):
        person.page.click("#go:enabled")
    for person, place in ((guest, (12.5, 50.5)), (other, (45.5, 20.5))):
        person.page.wait_for_selector("#results:not([hidden])")
        assert person.pixel() == pytest.approx(place, abs=1.5)
    links = [
        person.page.get_attribute("#downloads [data-file='result.json']", "href")
        for person in (guest, other)
    ]
    assert links[0].split("/")[1] != links[1].split("/")[1]
    assert json.loads(other.download("result.json"))["row"] == pytest.approx(45.5, abs=1.5)
    other.context.close()


def test_examples_show_the_truth(guest: Guest) -> None:
    tab = guest.page
    tab.click("#examples button[data-name=corner]")
    tab.wait_for_selector("#drop-street.full")
    tab.wait_for_selector("#go:enabled")
    assert float(tab.input_value("#fov")) == pytest.approx(120, abs=1)
    assert float(tab.input_value("#heading")) == pytest.approx(315, abs=1)
    guest.find()
    assert guest.read("error").endswith(" m")
    tab.click("#examples button[data-name=compass]")
    tab.wait_for_selector("#unknown:checked")
    assert not tab.is_visible("#results")


def test_the_map_is_asked_for_by_people_alone(browser: Any, address: str, tmp_path: Path) -> None:
    guest = Guest(browser, address)
    tab = guest.page
    tiles: list[str] = []
    online = False

    def answer(route: Any) -> None:
        tiles.append(route.request.url)
        if online:
            route.fulfill(status=200, content_type="image/png", body=TILE)
        else:
            route.abort()

    tab.route("https://tile.openstreetmap.org/**", answer)
    image = write_geotiff(tmp_path / "f.tif", overhead({(20, 40): RED}))
    guest.drop("overhead", "f.tif", image.read_bytes())
    guest.drop("street", "b.png", encoded(street(RED)))
    guest.find()
    assert tiles == []
    tab.click("#tab-map")
    assert "could not be fetched" in guest.message()
    assert tab.is_visible("#map")

    online = True
    tiles.clear()
    tab.click("#tab-map")
    tab.locator("#webmap img").nth(3).wait_for(state="attached")
    tab.wait_for_selector("text=OpenStreetMap contributors")
    assert not tab.is_visible("#map")
    # Near New York, as deep as the image needs.
    zoom, x, y = (int(part) for part in tiles[0].removesuffix(".png").split("/")[-3:])
    assert 17 <= zoom <= 19
    assert x / 2**zoom * 360 - 180 == pytest.approx(-73.99, abs=0.01)
    assert 0.37 < y / 2**zoom < 0.38
    tab.click("#tab-image")
    assert tab.is_visible("#map")

    guest.context.set_offline(True)
    seen = len(tiles)
    tab.click("#tab-map")
    tab.wait_for_selector("#message:has-text('offline')")
    assert len(tiles) == seen
    assert guest.faults == []
    guest.context.close()


def test_a_page_left_alone_starts_anew(browser: Any) -> None:
    with page(Limits(idle_seconds=0.0)) as address:
        guest = Guest(browser, address)
        # Somebody else comes, and what is idle goes.
        Guest(browser, address).context.close()
        guest.drop("overhead", "a.png", encoded(overhead({}, side=16) + 0))
        assert "left alone for too long" in guest.message()
        guest.page.click("#message button")
        assert not guest.page.is_visible("#message")
        guest.context.close()


def test_colours_are_those_of_the_picture(guest: Guest) -> None:
    guest.drop("overhead", "a.png", encoded(overhead({})))
    guest.page.wait_for_selector(".sheet img")
    colour = guest.page.evaluate(
        """async () => { const image = document.querySelector('.sheet img');
             await image.decode();
             const canvas = document.createElement('canvas');
             canvas.width = canvas.height = 1;
             const pen = canvas.getContext('2d');
             pen.drawImage(image, 0, 0);
             return [...pen.getImageData(0, 0, 1, 1).data]; }"""
    )
    assert colour[:3] == pytest.approx(GROUND, abs=4)
