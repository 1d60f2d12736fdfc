"""The page's server, spoken to by hand."""

import json
import socket
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio

from cvsegguide.app.examples import every
from cvsegguide.app.guard import host_is_ours, is_public
from cvsegguide.app.server import running
from cvsegguide.app.sessions import PREFIX
from cvsegguide.app.settings import Limits, Settings
from cvsegguide.cli.main import main
from cvsegguide.inference.localizer import Localizer
from helpers.pages import (
    BLUE,
    BOUNDS,
    GROUND,
    GSD,
    RED,
    YELLOW,
    Visitor,
    encoded,
    load_colours,
    overhead,
    page,
    street,
    write_geotiff,
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with page(Limits(upload_bytes=200_000, ground_km2=0.02)) as found:
        yield found


@pytest.fixture
def visitor(address: str) -> Visitor:
    return Visitor(address)


def pair(visitor: Visitor, image: bytes, view: bytes) -> dict[str, str]:
    return {
        "overhead": visitor.upload("overhead", image)["id"],
        "street": visitor.upload("street", view)["id"],
    }


def test_an_answer_from_arithmetic(visitor: Visitor) -> None:
    wish = pair(visitor, encoded(overhead({(20, 40): RED})), encoded(street(RED)))
    answer = visitor.ask(**wish, gsd=GSD)
    assert answer["row"] == pytest.approx(20.5, abs=1.5)
    assert answer["col"] == pytest.approx(40.5, abs=1.5)
    assert answer["lon"] is None
    assert answer["gsd"] == GSD
    assert answer["notes"] == []
    assert answer["areas"][1]["pixels"] <= 10
    assert answer["areas"][1]["area_m2"] == pytest.approx(answer["areas"][1]["pixels"] * 0.25)
    assert answer["heading_given"]


def test_heading_turns_the_view(visitor: Visitor) -> None:
    image = encoded(overhead({(20, 40): RED, (50, 10): BLUE}))
    wish = pair(visitor, image, encoded(street(ahead=RED, right=BLUE)))
    north = visitor.ask(**wish, gsd=GSD, heading=0)
    assert (north["row"], north["col"]) == pytest.approx((20.5, 40.5), abs=1.5)
    # The centre looks west: a quarter to its right is north, and there is blue.
    west = visitor.ask(**wish, gsd=GSD, heading=270)
    assert (west["row"], west["col"]) == pytest.approx((50.5, 10.5), abs=1.5)
    assert west["heading"] == pytest.approx(270)


def test_photographs_through_a_lens(visitor: Visitor) -> None:
    """Red stands 50 degrees right of the middle, at tan 50 / tan 70 of the half width."""
    photo = np.full((300, 400, 3), GROUND, np.uint8)
    focal = 200 / np.tan(np.radians(70))
    first, last = (round(200 + focal * np.tan(np.radians(angle))) for angle in (42, 58))
    photo[:, first:last] = RED
    wish = pair(visitor, encoded(overhead({(20, 40): RED})), encoded(photo))
    answer = visitor.ask(**wish, gsd=GSD, heading=310, fov=140, lens=True)
    assert (answer["row"], answer["col"]) == pytest.approx((20.5, 40.5), abs=1.5)
    assert (answer["lens"], answer["fov"]) == (True, 140)
    flat = visitor.ask(**wish, gsd=GSD, heading=310, fov=140)
    assert flat["lens"] is False
    assert (flat["row"], flat["col"]) != pytest.approx((20.5, 40.5), abs=1.5)
    fault = visitor.ask(**wish, gsd=GSD, lens=True)["error"]
    assert fault.startswith("field of view: of a photograph through a lens it lies in (0, 150]")


def test_what_was_assumed_is_said(visitor: Visitor) -> None:
    wish = pair(visitor, encoded(overhead({(20, 40): RED})), encoded(street(RED)))
    answer = visitor.ask(**wish, heading=None)
    assert answer["heading"] is None
    text = " ".join(answer["notes"])
    assert "heading unknown" in text
    assert "resolution unknown: picture.png is taken as one tile of 32 m" in text
    assert "--" not in text
    assert "/" not in text
    assert visitor.ask(**wish, gsd=GSD)["notes"] == []


def test_places_come_from_the_file_or_from_bounds(visitor: Visitor, tmp_path: Path) -> None:
    image = overhead({(20, 40): RED})
    tif = write_geotiff(tmp_path / "a.tif", image)
    wish = pair(visitor, tif.read_bytes(), encoded(street(RED)))
    located = visitor.ask(**wish, gsd=77)  # the file knows better
    with rasterio.open(tif) as dataset:
        xs, ys = rasterio.warp.transform(
            dataset.crs, "EPSG:4326", [585000 + GSD * located["col"]],
            [4511000 - GSD * located["row"]],
        )  # fmt: skip
    assert (located["lon"], located["lat"]) == pytest.approx((xs[0], ys[0]), abs=1e-8)
    wish["overhead"] = visitor.upload("overhead", encoded(image))["id"]
    west, south, east, north = BOUNDS
    bounded = visitor.ask(**wish, bounds=BOUNDS)
    assert bounded["lon"] == pytest.approx(west + (east - west) * bounded["col"] / 64)
    assert bounded["lat"] == pytest.approx(north - (north - south) * bounded["row"] / 64)
    assert "south" in visitor.ask(**wish, bounds=[1, 2, 3])["error"]
    assert "bounds" in visitor.ask(**wish, bounds=[40, -74, 41, 200])["error"]


def test_files_for_download_are_whole(visitor: Visitor, tmp_path: Path) -> None:
    tif = write_geotiff(tmp_path / "a.tif", overhead({(20, 40): RED}))
    answer = visitor.ask(**pair(visitor, tif.read_bytes(), encoded(street(RED))))
    base = f"api/{visitor.session}/results/{answer['id']}"
    names = [entry["name"] for entry in visitor.facts["files"]]
    assert names[0] == "localisation.zip"
    for name in names:
        status, headers, content = visitor.request("GET", f"{base}/files/{name}")
        assert status == 200, name
        assert headers["Content-Disposition"] == f'attachment; filename="{name}"'
        (tmp_path / name).write_bytes(content)
    with rasterio.open(tmp_path / "posterior.tif") as dataset:
        posterior = dataset.read(1)
        assert dataset.crs.to_epsg() == 32618
    assert posterior.sum() == pytest.approx(1, abs=1e-4)
    assert posterior[int(answer["row"]), int(answer["col"])] == pytest.approx(posterior.max())
    with zipfile.ZipFile(tmp_path / names[0]) as archive:
        assert sorted(archive.namelist()) == sorted(names[1:])
        assert archive.read("result.json") == (tmp_path / "result.json").read_bytes()
    for name in answer["layers"]:
        status, content = visitor.get(f"{base}/layers/{name}")
        assert status == 200
        assert content.startswith(b"\x89PNG")
    assert visitor.get(f"{base}/files/..%2f..%2fpulse")[0] == 404
    assert visitor.get(f"{base}/layers/overhead")[0] == 404


def test_nobody_meets_anybody_elses_pictures(address: str) -> None:
    one, other = Visitor(address), Visitor(address)
    wish = pair(one, encoded(overhead({(20, 40): RED})), encoded(street(RED)))
    answer = one.ask(**wish, gsd=GSD)
    assert "not kept" in other.ask(**wish, gsd=GSD)["error"]
    for path in (
        f"results/{answer['id']}",
        f"results/{answer['id']}/files/posterior.tif",
        f"results/{answer['id']}/layers/posterior",
        f"uploads/{wish['overhead']}/overhead",
    ):
        assert one.get(f"api/{one.session}/{path}")[0] == 200
        assert other.get(f"api/{other.session}/{path}")[0] == 410
        status, content = other.get(f"api/nobody/{path}")
        assert status == 410
        assert json.loads(content)["lost"]


def test_many_at_once_get_their_own_answers(address: str) -> None:
    places = {colour: (8 + 9 * i, 50 - 7 * i) for i, colour in enumerate((RED, BLUE, YELLOW))}
    answers: dict[tuple[int, int, int], dict[str, float]] = {}

    def visit(colour: tuple[int, int, int]) -> None:
        visitor = Visitor(address)
        wish = pair(visitor, encoded(overhead({places[colour]: colour})), encoded(street(colour)))
        answers[colour] = visitor.ask(**wish, gsd=GSD)

    threads = [threading.Thread(target=visit, args=(colour,)) for colour in places]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for colour, (row, col) in places.items():
        found = (answers[colour]["row"], answers[colour]["col"])
        assert found == pytest.approx((row + 0.5, col + 0.5), abs=1.5)


def test_uploads_end_at_the_limit_said_or_not(visitor: Visitor) -> None:
    path = f"api/{visitor.session}/uploads/overhead"
    status, _, content = visitor.request("POST", path, bytes(300_000), {"X-Filename": "big.png"})
    assert status == 422
    assert "big.png: larger than" in json.loads(content)["error"]
    # Without a length, part after part.
    parts = iter([bytes(0x8000)] * 20)
    status, _, content = visitor.request("POST", path, parts, {"X-Filename": "endless.png"})
    assert status == 422
    assert "endless.png: larger than" in json.loads(content)["error"]
    # The page lives on.
    assert visitor.upload("overhead", encoded(overhead({})))["width"] == 64


def test_a_file_that_never_ends_is_given_up() -> None:
    with page(Limits(receive_seconds=0.2, arriving=1)) as address:
        visitor = Visitor(address)
        host, port = address.removeprefix("http://").strip("/").split(":")
        path = f"/api/{visitor.session}/uploads/overhead"
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            head = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 99\r\n\r\nhalf"
            connection.sendall(head.encode())
            assert b" 422 " in connection.recv(65536).split(b"\r\n")[0]
        assert visitor.upload("overhead", encoded(overhead({})))["width"] == 64


def test_wrong_input_is_answered_in_words(visitor: Visitor) -> None:
    for content, words in (
        (b"nothing", "bad.tif: not a picture"),
        (b"", "bad.tif: the file is em"),
    ):
        status, _, answer = visitor.request(
            "POST", f"api/{visitor.session}/uploads/street", content, {"X-Filename": "bad.tif"}
        )
        assert status == 422
        assert words in json.loads(answer)["error"]
    wish = pair(visitor, encoded(overhead({(20, 40): RED})), encoded(street(RED)))
    for change, words in (
        ({"fov": 0}, "field of view: a number from 1 to 360"),
        ({"fov": "wide"}, "field of view"),
        ({"heading": float("nan")}, "heading: a number"),
        ({"gsd": -1}, "metres per pixel"),
        ({"gsd": 5}, "covers 0.102 km² at 5 m per pixel; at most 0.02"),
        ({"model": 7}, "model"),
        ({"model": "/etc/passwd"}, "model"),
        ({"street": None}, "street view is missing"),
        ({"fov": 90}, "would span"),
    ):
        if "fov" in change and change["fov"] == 90:
            wish["street"] = visitor.upload("street", encoded(np.zeros((640, 64, 3), np.uint8)))[
                "id"
            ]
        assert words in visitor.ask(**{**wish, **change})["error"]
    status, _, _ = visitor.request("POST", f"api/{visitor.session}/jobs", b"{]")
    assert status == 422
    assert visitor.get("static/..%2f..%2fserver.py")[0] == 404
    assert visitor.get("no/such/page")[0] == 404


def test_browsers_are_told_to_ask_nobody_else(visitor: Visitor) -> None:
    status, headers, content = visitor.request("GET", "")
    assert status == 200
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert policy.count("http") == 1  # the map, by pictures alone
    assert "img-src 'self' blob: https://tile.openstreetmap.org" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert b"http://" not in content
    assert b"https://" not in content
    with page(web_map=False) as address:
        _, headers, _ = Visitor(address).request("GET", "")
    assert "http" not in headers["Content-Security-Policy"]


def test_other_sites_and_names_are_refused(visitor: Visitor) -> None:
    for headers, expected in (
        ({"Host": "attacker.example"}, 421),
        ({"Origin": "http://attacker.example"}, 403),
        ({"Origin": "null"}, 403),
    ):
        assert visitor.request("POST", "api/sessions", headers=headers)[0] == expected
    own = visitor.address.rstrip("/")
    assert visitor.request("POST", "api/sessions", headers={"Origin": own})[0] == 200


@pytest.mark.parametrize(
    ("host", "header", "ours"),
    [
        ("127.0.0.1", "127.0.0.1:7861", True),
        ("127.0.0.1", "localhost:7861", True),
        ("127.0.0.1", "[::1]:7861", True),
        ("127.0.0.1", "attacker.example:7861", False),
        ("127.0.0.1", "127.0.0.1.attacker.example", False),
        ("10.0.0.7", "10.0.0.7:7861", True),
        ("10.0.0.7", "localhost:7861", False),
        ("0.0.0.0", "anything:7861", True),
        ("127.0.0.1", "[", False),
        ("127.0.0.1", "", False),
    ],
)
def test_hosts(host: str, header: str, ours: bool) -> None:
    assert host_is_ours(header, Settings(host=host)) is ours


def test_this_machine_alone_unless_asked() -> None:
    assert not is_public(Settings())
    assert not is_public(Settings(host="localhost"))
    assert is_public(Settings(host="0.0.0.0"))
    assert is_public(Settings(host="192.168.1.5"))


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with page() as address:
        visitor = Visitor(address)
        visitor.upload("overhead", encoded(overhead({})))
        (folder,) = tmp_path.glob(f"{PREFIX}*")
        assert len(list(folder.rglob("*.tif"))) == 1
        assert list(folder.rglob("received")) == []
    assert list(tmp_path.iterdir()) == []


def test_questions_that_are_too_many_are_put_off() -> None:
    hold = threading.Event()

    def load(name: str) -> Localizer:
        assert hold.wait(60)
        return load_colours(name)

    settings = Settings(port=0, models=("slow",), limits=Limits(queue=3, waiting=2))
    with running(settings, load=load) as address:
        try:
            visitors = [Visitor(address) for _ in range(3)]
            wishes = [
                pair(visitor, encoded(overhead({(20, 40): RED})), encoded(street(RED)))
                for visitor in visitors
            ]

            def ask(index: int) -> tuple[int, dict[str, str]]:
                visitor, wish = visitors[index], {"heading": 0, **wishes[index]}
                path = f"api/{visitor.session}/jobs"
                status, _, content = visitor.request("POST", path, json.dumps(wish).encode())
                return status, json.loads(content)

            first = ask(0)[1]["job"]
            assert ask(0)[0] == 200
            assert ask(0) == (503, {"error": "your last questions are still being answered",
                                    "lost": False})  # fmt: skip
            third = ask(1)[1]["job"]
            assert "too many questions" in ask(2)[1]["error"]
            reports = [
                visitor.get_json(f"api/{visitor.session}/jobs/{job}")
                for visitor, job in ((visitors[0], first), (visitors[1], third))
            ]
            assert [report["ahead"] for report in reports] == [0, 2]
            assert [report["warm"] for report in reports] == [False, False]
            # Nor does anybody see how others' questions fare.
            assert visitors[1].get(f"api/{visitors[1].session}/jobs/{first}")[0] == 410
        finally:
            hold.set()


def test_a_model_that_fails_is_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    def load(name: str) -> Localizer:
        if name == "broken":
            raise RuntimeError("a fault of ours")
        return load_colours(name)

    with running(Settings(port=0, models=("broken", "fine")), load=load) as address:
        visitor = Visitor(address)
        wish = pair(visitor, encoded(overhead({(20, 40): RED})), encoded(street(RED)))
        assert "should not" in visitor.ask(**wish)["error"]
        assert visitor.ask(**wish, model=1)["model"] == "fine"
    assert "a fault of ours" in capsys.readouterr().err


def test_examples_are_whole(visitor: Visitor) -> None:
    names = [entry["name"] for entry in visitor.facts["examples"]]
    assert len(names) >= 4
    for example in every():
        status, content = visitor.get(f"examples/{example.name}")
        assert status == 200
        assert content.startswith(b"\xff\xd8\xff")
        taken = visitor.post(f"api/{visitor.session}/examples/{example.name}")
        assert taken["overhead"]["crs"] == "EPSG:3857"
        assert taken["overhead"]["gsd"] == pytest.approx(0.2262, abs=1e-3)
        assert 0 <= example.row < taken["overhead"]["height"]
        assert 0 <= example.col < taken["overhead"]["width"]
        answer = visitor.ask(
            overhead=taken["overhead"]["id"], street=taken["street"]["id"], fov=taken["fov"]
        )
        rows, cols = example.row - answer["row"], example.col - answer["col"]
        assert answer["truth"]["error_px"] == pytest.approx(np.hypot(rows, cols))
    assert visitor.request("POST", f"api/{visitor.session}/examples/none")[0] == 422
    # Another street view in the same image: nobody knows the truth.
    own = visitor.upload("street", encoded(street(RED)))
    answer = visitor.ask(overhead=taken["overhead"]["id"], street=own["id"])
    assert answer["truth"] is None


def test_the_bundled_weights_find_the_camera_of_the_first_example() -> None:
    example = every()[0]
    localizer = Localizer.from_pretrained("synthcity", device="cpu")
    result = localizer.localize(
        example.file("overhead"), example.file("street"), heading=example.true_heading
    )
    assert result.gsd is not None
    error = np.hypot(result.row - example.row, result.col - example.col) * result.gsd
    assert error < 5.0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--port", "70000"], "--port"),
        (["--max-upload", "0"], "--max-upload"),
        (["--host", "999.1.2.3", "--port", "0"], "--host 999.1.2.3"),
    ],
)
def test_faults_of_the_command(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["app", *options]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert words in error


def test_a_port_in_use_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["app", "--port", str(port)]) == 2
    assert f"--port {port}" in capsys.readouterr().err
