"""What is let in, and what is not, with which words."""

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image

from cvsegguide.app.settings import Limits
from cvsegguide.app.uploads import accept_overhead, accept_street, image_format, read_street
from cvsegguide.app.wording import display_name, for_page
from cvsegguide.errors import InputError
from cvsegguide.io.rasters import read_overhead
from helpers.pages import GSD, RED, encoded, overhead, street, write_geotiff

LIMITS = Limits(overhead_pixels=20_000, street_pixels=50_000)


def received(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "received"
    path.write_bytes(content)
    return path


def test_a_geotiff_keeps_its_pixels_and_its_place(tmp_path: Path) -> None:
    image = overhead({(20, 40): RED})
    original = write_geotiff(tmp_path / "original.tif", image)
    expected = read_overhead(original)
    path = received(tmp_path, original.read_bytes())

    upload = accept_overhead(path, "mine.tif", LIMITS)

    assert not path.exists()
    copy = read_overhead(upload.path)
    assert np.array_equal(copy.image, image)
    assert copy.reference == expected.reference == upload.reference
    assert upload.gsd == pytest.approx(GSD, rel=1e-3)
    facts = upload.describe()
    assert (facts["height"], facts["width"], facts["crs"]) == (64, 64, "EPSG:32618")
    assert Image.open(upload.preview).size == (64, 64)


def test_transparent_pixels_stay_without_data(tmp_path: Path) -> None:
    image = np.dstack([overhead({}), np.full((64, 64), 255, np.uint8)])
    image[:10, :, 3] = 0
    upload = accept_overhead(received(tmp_path, encoded(image)), "a.png", LIMITS)
    valid = read_overhead(upload.path).valid
    assert not valid[:10].any()
    assert valid[10:].all()
    assert upload.reference is None
    assert upload.gsd is None


def test_the_first_bytes_tell_the_format_and_the_name_does_not(tmp_path: Path) -> None:
    for kind in ("PNG", "JPEG", "TIFF", "WEBP", "BMP"):
        path = received(tmp_path, encoded(overhead({}), kind))
        assert image_format(path) == kind
        upload = accept_overhead(path, "wrong-name.gif", LIMITS)
        assert (upload.height, upload.width) == (64, 64)
    assert image_format(received(tmp_path, b"GIF89a and more")) is None


def test_a_description_that_leads_to_other_files_is_no_picture(tmp_path: Path) -> None:
    secret = write_geotiff(tmp_path / "secret.tif", overhead({}))
    description = f"""<VRTDataset rasterXSize="64" rasterYSize="64">
      <VRTRasterBand dataType="Byte" band="1"><SimpleSource>
      <SourceFilename relativeToVRT="0">{secret}</SourceFilename><SourceBand>1</SourceBand>
      </SimpleSource></VRTRasterBand></VRTDataset>""".encode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = rasterio.open(received(tmp_path, description))
    with dataset:
        assert dataset.driver == "VRT"  # GDAL would have followed it
    with pytest.raises(InputError, match=r"^evil\.tif: not a picture"):
        accept_overhead(tmp_path / "received", "evil.tif", LIMITS)
    # Nor behind the first bytes of a TIFF.
    disguised = received(tmp_path, b"II*\0" + description)
    with pytest.raises(InputError, match=r"^evil\.tif: damaged"):
        accept_overhead(disguised, "evil.tif", LIMITS)


def png_header(side: int) -> bytes:
    """A picture that says to be large, and next to nothing after it."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0"))


def test_pixels_are_counted_before_they_are_decoded(tmp_path: Path) -> None:
    for accept, most in ((accept_overhead, "0.02"), (accept_street, "0.05")):
        with pytest.raises(InputError, match=rf"^b\.png: 5000 x 5000 .* at most {most} are"):
            accept(received(tmp_path, png_header(5000)), "b.png", LIMITS)
        with pytest.raises(InputError, match=rf"^b\.png: far too many .* at most {most} mega"):
            accept(received(tmp_path, png_header(50_000)), "b.png", LIMITS)
    with rasterio.open(
        tmp_path / "received", "w", driver="GTiff", height=60_000, width=60_000, count=1,
        dtype="uint8", sparse_ok=True, tiled=True, blockxsize=4096, blockysize=4096,
    ):  # fmt: skip
        pass
    with pytest.raises(InputError, match=r"^b\.tif: 60000 x 60000 .*3.6e\+03 megapixels"):
        accept_overhead(tmp_path / "received", "b.tif", LIMITS)


NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"%PDF-1.7 not a picture", "not a picture"),
        (encoded(NOISE)[:5000], "damaged"),
        (encoded(NOISE, "TIFF")[:5000], "damaged"),
        (b"\xff\xd8\xff" + bytes(500), "damaged"),
    ],
)
def test_files_that_cannot_be_used_are_named_and_removed(
    tmp_path: Path, content: bytes, words: str
) -> None:
    for accept in (accept_overhead, accept_street):
        path = received(tmp_path, content)
        with pytest.raises(InputError, match=rf"^holiday\.jpg: .*{words}") as caught:
            accept(path, "holiday.jpg", LIMITS)
        assert str(tmp_path) not in str(caught.value)
        assert list(tmp_path.iterdir()) == []


def test_rasters_of_many_bits_are_refused_with_advice(tmp_path: Path) -> None:
    options = {"driver": "GTiff", "dtype": "uint16", "height": 32, "width": 32, "count": 3}
    place = {"crs": "EPSG:32618", "transform": Affine(GSD, 0, 585000, 0, -GSD, 4511000)}
    with rasterio.open(tmp_path / "received", "w", **options, **place) as dataset:
        dataset.write(np.full((3, 32, 32), 4000, np.uint16))
    with pytest.raises(InputError, match=r"^deep\.tif: holds uint16 values"):
        accept_overhead(tmp_path / "received", "deep.tif", LIMITS)


def test_wide_street_views_are_kept_smaller_and_say_their_own_size(tmp_path: Path) -> None:
    limits = Limits()
    upload = accept_street(received(tmp_path, encoded(street(RED, width=6000))), "w.png", limits)
    assert (upload.height, upload.width) == (3000, 6000)
    view = read_street(upload)
    assert view.shape == (2048, 4096, 3)
    assert tuple(view[1000, 2048]) == RED
    small = accept_street(received(tmp_path, encoded(street(RED))), "s.png", limits)
    assert np.array_equal(read_street(small), street(RED))


def test_street_views_of_a_few_pixels_are_refused(tmp_path: Path) -> None:
    tiny = encoded(np.zeros((4, 9, 3), np.uint8))
    with pytest.raises(InputError, match=r"^t\.png: 9 x 4 pixels are too few"):
        accept_street(received(tmp_path, tiny), "t.png", LIMITS)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("C:\\fakepath\\street.jpg", "street.jpg"),
        ("../../etc/passwd", "passwd"),
        ("a\x00b\x1b[31mc.png", "ab[31mc.png"),
        ("", "unnamed"),
        ("/", "unnamed"),
        ("x" * 200 + ".tif", "x" * 75 + "….tif"),
    ],
)
def test_names_are_shown_without_folders_and_control_characters(given: str, shown: str) -> None:
    assert display_name(given) == shown


def test_messages_speak_of_the_page_not_of_options_and_paths() -> None:
    path = Path("/tmp/somewhere/overhead-1.tif")
    message = f"resolution unknown: {path} is taken as one tile of 58 m; pass --gsd or --bounds"
    assert for_page(message, {path: "mine.png"}) == (
        "resolution unknown: mine.png is taken as one tile of 58 m"
    )
    assert for_page("--fov: must lie in (0, 360] degrees", {}) == (
        "field of view: must lie in (0, 360] degrees"
    )


def test_rasters_that_grow_when_turned_north_up_are_refused(tmp_path: Path) -> None:
    """A sheared one of a hundred pixels a side would take hundreds of times as many."""
    with rasterio.open(
        tmp_path / "received", "w", driver="GTiff", height=100, width=100, count=3,
        dtype="uint8", crs="EPSG:32618", transform=Affine(1, 50, 585000, 0, -1, 4511000),
    ) as dataset:  # fmt: skip
        dataset.write(np.full((3, 100, 100), 90, np.uint8))
    with pytest.raises(InputError, match=r"^s\.tif: turned north up .*0\.02 megapixels"):
        accept_overhead(tmp_path / "received", "s.tif", LIMITS)


@pytest.mark.parametrize("accept", [accept_overhead, accept_street])
@pytest.mark.parametrize(
    ("shape", "bands", "kind", "options", "taken"),
    [
        ((100, 200), 12, "uint8", {}, True),
        ((100, 200), 13, "uint8", {}, False),
        ((100, 200), 3, "float32", {}, True),
        ((100, 200), 4, "float64", {}, False),
        # of a hundred pixels a side, in one block of a thousand
        ((100, 100), 3, "uint8", {"tiled": True, "blockxsize": 1024, "blockysize": 1024}, False),
    ],
)
def test_what_a_tiff_would_decode_to_is_bounded_before_it_is_decoded(
    tmp_path, monkeypatch, accept, shape, bands, kind, options, taken
):
    limits = Limits(overhead_pixels=20_000, street_pixels=20_000)
    assert limits.decoded_bytes == 240_000
    with rasterio.open(
        tmp_path / "received", "w", driver="GTiff", height=shape[0], width=shape[1], count=bands,
        dtype=kind, compress="deflate", sparse_ok=True, **options,
    ):  # fmt: skip
        pass  # declared, and not a pixel in it
    if taken:
        if accept is accept_overhead:
            assert accept(tmp_path / "received", "wide.tif", limits).height == shape[0]
        return
    decoded = []
    for name in ("read_overhead", "read_image"):
        monkeypatch.setattr(f"cvsegguide.app.uploads.{name}", lambda *a, **k: decoded.append(a))
    with pytest.raises(InputError, match=rf"^wide\.tif: {bands} bands of {kind} decode to \d+ MB"):
        accept(tmp_path / "received", "wide.tif", limits)
    assert not decoded
    assert list(tmp_path.iterdir()) == []
