"""The page in a real browser, served as people serve it."""

import http.client
import io
import json
import re
import shutil
import socket
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import rasterio
import rasterio.warp
from PIL import Image

from cvsegguide.app.uploads import EXAMPLES
from cvsegguide.inference.localizer import Localizer
from helpers.commands import refusal
from helpers.pages import Guest, page

BROWSER = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with page("--max-upload", "1", "--max-megapixels", "1") as found:
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


@pytest.fixture
def guest(browser: Any, address: str) -> Iterator[Guest]:
    found = Guest(browser, address)
    yield found
    # Nobody but the page's own server was asked for anything.
    assert all(url.startswith((address, "data:", "blob:")) for url in found.asked), found.asked
    found.context.close()


def write_picture(path: Path, height: int, width: int) -> Path:
    Image.new("RGB", (width, height), (90, 120, 90)).save(path)
    return path


def test_one_press_runs_an_example(guest: Guest) -> None:
    guest.press_example("Park with a pond")
    example = EXAMPLES["pond"]
    row, col = (float(part) for part in guest.fact("row, column").split(","))
    error = np.hypot(row - example["row"], col - example["col"]) * 0.2262
    assert error < 5
    assert float(guest.fact("error (truth: green ring)").split()[0]) == pytest.approx(
        error, abs=0.05
    )
    assert guest.fact("latitude, longitude").startswith("40.74")
    assert guest.fact("heading") == "0.0°"
    assert guest.faults() == []
    legend = guest.page.inner_text(".legend")
    shares = [float(share) for share in re.findall(r"([\d.]+)%", legend)]
    assert sum(shares) == pytest.approx(100, abs=0.5)
    assert "water" in legend
    assert "probability" in guest.page.inner_text("#regions")


def test_layers_change_in_the_browser_alone(guest: Guest) -> None:
    guest.press_example("Roundabout")
    tab = guest.page
    pictures = [url for url in guest.asked if url.endswith((".png", "x256.jpg"))]
    assert len(pictures) == len(set(pictures)) == 4
    asked = len(guest.asked)
    for name in ("landcover", "posterior"):
        guest.fill(name, "0.7")
        layer = f"getComputedStyle(document.querySelector('#map .{name}'))"
        tab.wait_for_function(f"{layer}.opacity == 0.7")
    before = tab.locator("#map svg").bounding_box()["width"]
    guest.fill("zoom", "3")
    tab.wait_for_function(f"document.querySelector('#map svg').clientWidth > {2.9 * before}")
    assert tab.locator("#map .areas").count() == 2
    assert len(guest.asked) == asked


def test_own_pictures_get_the_answer_of_the_library(guest: Guest, tmp_path: Path) -> None:
    example = EXAMPLES["compass"]
    for kind, name in (("overhead", "my place.tif"), ("street", "view.jpg")):
        guest.drop(kind, shutil.copy(example[kind], tmp_path / name))
    guest.page.wait_for_selector("#map svg")
    assert guest.page.is_checked("#unknown input")  # as it is preset
    guest.find()
    found = json.loads(guest.download("result.json"))
    localizer = Localizer.from_pretrained("synthcity", device="cpu")
    expected = localizer.localize(example["overhead"], example["street"], heading=None).to_dict()
    for name in ("row", "col", "lon", "lat", "heading", "gsd"):
        assert found[name] == pytest.approx(expected[name], rel=1e-6), name
    # With a heading: the fields appear, and the answer follows them.
    guest.page.uncheck("#unknown input")
    guest.fill("heading", "90")
    guest.find()
    assert guest.fact("heading") == "90.0°"


def test_downloads_are_complete(guest: Guest, tmp_path: Path) -> None:
    guest.press_example("Narrow view")
    row, col = (float(part) for part in guest.fact("row, column").split(","))
    with zipfile.ZipFile(io.BytesIO(guest.download("localisation.zip"))) as archive:
        archive.extractall(tmp_path)
    names = {"result.json", "posterior.tif", "landcover.tif", "regions.geojson", "figure.png"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert guest.download("posterior.tif") == (tmp_path / "posterior.tif").read_bytes()
    with rasterio.open(tmp_path / "posterior.tif") as dataset:
        posterior = dataset.read(1)
        assert dataset.crs.to_epsg() == 3857
    assert posterior.sum() == pytest.approx(1, abs=1e-4)
    assert posterior[int(row), int(col)] == pytest.approx(posterior.max(), rel=0.2)
    assert json.loads((tmp_path / "result.json").read_text())["fov"] == pytest.approx(120.234375)
    assert min(Image.open(tmp_path / "figure.png").size) > 400


def test_what_is_missing_is_told_at_its_place(guest: Guest) -> None:
    guest.page.click("#go")
    assert "press an example" in guest.fault("overhead")
    assert guest.faults() == ["overhead", "street"]
    guest.press_example("Roundabout")
    assert guest.faults() == []


def test_a_photograph_is_told_to_tick_lens(guest: Guest, tmp_path: Path) -> None:
    guest.drop("street", write_picture(tmp_path / "phone.jpg", 400, 300))
    assert "would be 480 degrees high" in guest.fault("street")
    assert "tick Lens" in guest.fault("street")
    assert guest.faults() == ["street"]
    guest.page.check("#lens input")
    guest.wait_until_mended("street")
    assert guest.page.input_value("#fov input[type=number]") == "69"
    # What it was before is the other remedy.
    guest.page.uncheck("#lens input")
    guest.fill("fov", "100")
    guest.wait_until_mended("street")


def test_numbers_that_cannot_be_are_told_at_their_fields(guest: Guest, tmp_path: Path) -> None:
    guest.drop("overhead", write_picture(tmp_path / "field.png", 64, 64))
    guest.fill("gsd", "-1")
    assert "positive" in guest.fault("gsd")
    guest.fill("bounds", "1, 2, 3")
    assert "four numbers are wanted" in guest.fault("bounds")
    guest.fill("bounds", "-73.98 40.7 -73.9796 40.7003")
    guest.wait_until_mended("bounds")
    guest.fill("gsd", "0.5")
    guest.wait_until_mended("gsd")
    assert guest.faults() == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("notes.png", b"%PDF-1.7 no picture at all", "notes.png: damaged, or none of GTiff"),
        # a description that leads to other files, alone and behind the first bytes of a TIFF
        ("a.vrt", b'<VRTDataset rasterXSize="8" rasterYSize="8"/>', "a.vrt: damaged, or none of"),
        ("b.tif", b'II*\0<VRTDataset rasterXSize="8" rasterYSize="8"/>', "b.tif: damaged"),
    ],
)
def test_files_that_are_no_pictures(
    guest: Guest, tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    for kind in ("overhead", "street"):
        guest.drop(kind, tmp_path / name)
        assert words in guest.fault(kind)
    guest.press_example("Roundabout")
    assert guest.faults() == []


def test_too_many_pixels_are_counted_before_they_are_decoded(guest: Guest, tmp_path: Path) -> None:
    def write_tiff(name: str, side: int, **options: Any) -> Path:
        options = {"driver": "GTiff", "count": 3, "dtype": "uint8", "sparse_ok": True} | options
        with rasterio.open(tmp_path / name, "w", height=side, width=side, **options):
            return tmp_path / name

    guest.drop("overhead", write_picture(tmp_path / "wide.png", 1100, 1000))
    assert "wide.png: 1000 x 1100 pixels" in guest.fault("overhead")
    blocks = {"tiled": True, "blockxsize": 16384, "blockysize": 16384}
    for path in (
        write_tiff("huge.tif", 60_000, compress="deflate", blockysize=1),
        write_tiff("deep.tif", 800, count=16, dtype="float64"),
        write_tiff("block.tif", 100, **blocks),  # of a hundred pixels a side, in one large block
    ):
        guest.drop("overhead", path)
        guest.page.wait_for_selector(f"#fault-overhead:has-text('{path.name}')")
        assert "at most 1 megapixels" in guest.fault("overhead")


def test_too_large_files_are_refused(guest: Guest, address: str, tmp_path: Path) -> None:
    (tmp_path / "big.png").write_bytes(bytes(1_100_000))
    guest.page.set_input_files("#overhead input[type=file]", tmp_path / "big.png")
    guest.page.wait_for_selector("text=/maximum|exceed|too large/i")
    parts = urlsplit(address)
    for size, expected in ((1_100_000, 413), (1000, 200)):
        content = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
        content += bytes(size) + b"\r\n--x--\r\n"
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        connection = http.client.HTTPConnection(parts.netloc, timeout=60)
        connection.request("POST", "/gradio_api/upload", content, headers)
        assert connection.getresponse().status == expected


def test_two_people_at_once(browser: Any, address: str, guest: Guest) -> None:
    other = Guest(browser, address)
    asked = ((guest, "Long avenue", "avenue"), (other, "Roundabout", "roundabout"))
    for person, title, _ in asked:
        person.page.click(f".examples button:has-text('{title}')")
    for person, _, name in asked:
        person.page.wait_for_selector("#facts table")
        example = EXAMPLES[name]
        with rasterio.open(example["overhead"]) as dataset:
            west, south, east, north = dataset.bounds
            lon, lat = rasterio.warp.transform(
                dataset.crs, "EPSG:4326", [west, east], [south, north]
            )
        found = json.loads(person.download("result.json"))
        assert lon[0] < found["lon"] < lon[1]
        assert lat[0] < found["lat"] < lat[1]
    other.context.close()


def test_files_go_with_the_page_and_all_with_the_server(browser: Any, tmp_path: Path) -> None:
    with page(TMPDIR=str(tmp_path)) as address:
        guest = Guest(browser, address)
        guest.drop("overhead", write_picture(tmp_path / "mine.png", 64, 64))
        guest.page.wait_for_selector("#map svg")
        (folder,) = tmp_path.glob("cvsegguide-app-*")
        assert folder.stat().st_mode & 0o077 == 0
        assert len(list(folder.rglob("mine.png"))) == 1
        gone = threading.Event()
        guest.context.close()
        for _ in range(300):
            if not list(folder.rglob("mine.png")):
                break
            gone.wait(0.1)
        assert not list(folder.rglob("mine.png"))
    assert not list(tmp_path.glob("cvsegguide-app-*"))


def test_the_server_asks_nobody(browser: Any) -> None:
    """Whatever it asked for would come by this proxy."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(0.1)
        place = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        with page(HTTPS_PROXY=place, HTTP_PROXY=place, NO_PROXY="127.0.0.1") as address:
            guest = Guest(browser, address)
            guest.press_example("Roundabout")
            guest.context.close()
        with pytest.raises(TimeoutError):
            proxy.accept()


def test_other_names_are_refused(address: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    connection.request("GET", "/", headers={"Host": "attacker.example"})
    assert connection.getresponse().status == 400


def test_keyboard_and_a_narrow_window(browser: Any, address: str) -> None:
    guest = Guest(browser, address, width=390)
    guest.page.focus(".examples button >> nth=0")
    guest.page.keyboard.press("Enter")
    guest.page.wait_for_selector("#facts table")
    assert guest.page.evaluate("document.documentElement.scrollWidth") <= 390
    guest.context.close()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--port", "70000"], "--port"),
        (["--max-upload", "0"], "--max-upload"),
        (["--host", "999.1.2.3", "--port", "0"], "--host: 999.1.2.3"),
    ],
)
def test_faults_of_the_command(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in refusal(["app", *options], capsys)


def test_a_port_in_use_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"--port: 127.0.0.1, port {port}" in refusal(["app", "--port", port], capsys)
