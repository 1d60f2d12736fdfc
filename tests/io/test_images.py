"""Pictures in every mode, and every way of being unusable."""

import numpy as np
import pytest
from PIL import Image

from cvsegguide.errors import InputError
from cvsegguide.io.images import read_image
from helpers.files import png

RGB = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)


def save(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return path


def test_png_is_read_as_it_is(tmp_path):
    assert np.array_equal(read_image(save(tmp_path / "a.png", RGB)), RGB)
    assert np.array_equal(read_image(str(tmp_path / "a.png")), RGB)
    assert np.array_equal(read_image(Image.fromarray(RGB)), RGB)
    assert np.array_equal(read_image(RGB), RGB)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation):
    stored = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation](RGB)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.png", np.ascontiguousarray(stored), exif=exif)
    assert np.array_equal(read_image(path), RGB)


def test_modes(tmp_path):
    grey = RGB[..., 0]
    assert np.array_equal(read_image(save(tmp_path / "g.png", grey)), np.dstack([grey] * 3))
    Image.fromarray(RGB).quantize(256).save(tmp_path / "p.png")
    assert np.abs(read_image(tmp_path / "p.png").astype(int) - RGB).mean() < 12
    flat = np.full((8, 8, 3), (10, 200, 90), np.uint8)
    Image.fromarray(flat).convert("CMYK").save(tmp_path / "c.jpg", quality=100)
    assert np.abs(read_image(tmp_path / "c.jpg").astype(int) - flat).max() <= 3
    Image.fromarray(flat).convert("1").save(tmp_path / "one.png")
    assert read_image(tmp_path / "one.png").shape == (8, 8, 3)


def test_sixteen_bits_use_their_full_range(tmp_path):
    wide = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    Image.fromarray(wide).save(tmp_path / "w.png")
    assert np.array_equal(read_image(tmp_path / "w.png")[..., 1], wide // 257)


def test_sixteen_bit_rgb(tmp_path):
    wide = np.random.default_rng(1).integers(0, 65536, (6, 5, 3), np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in wide)

    (tmp_path / "w.png").write_bytes(png(5, 6, 16, 2, rows))
    difference = read_image(tmp_path / "w.png").astype(float) - wide / 257
    assert np.abs(difference).max() <= 1


def test_transparency_is_blended_with_black(tmp_path):
    rgba = np.dstack((RGB, np.full(RGB.shape[:2], 255, np.uint8)))
    assert np.array_equal(read_image(save(tmp_path / "o.png", rgba)), RGB)
    rgba[:4, ..., 3] = 0
    read = read_image(save(tmp_path / "t.png", rgba))
    assert read[:4].max() == 0
    assert np.array_equal(read[4:], RGB[4:])
    assert np.array_equal(read_image(rgba), read)


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (
            lambda path: Image.fromarray(RGB[..., 0].astype(np.float32)).save(path, "TIFF"),
            "floating-point",
        ),
        (
            lambda path: Image.fromarray(RGB[..., 0].astype(np.int32) * 300 - 9).save(path, "TIFF"),
            "32-bit",
        ),
    ],
)
def test_unusable_files(tmp_path, make, fault):
    path = tmp_path / "bad.png"
    make(path)
    with pytest.raises(InputError, match=fault) as caught:
        read_image(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_larger_than_the_limit(tmp_path, monkeypatch):
    path = save(tmp_path / "big.png", RGB)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match=r"big\.png.*megapixels"):
        read_image(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    assert read_image(path).shape == RGB.shape


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 3)),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros(4, np.uint8),
    ],
)
def test_unusable_arrays(array):
    with pytest.raises(InputError, match="street view"):
        read_image(array, "street view")


def test_other_types():
    with pytest.raises(InputError, match="expected a path"):
        read_image(3)
