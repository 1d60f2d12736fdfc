"""Transforms: after each, what stands where in the tile still stands there in the panorama.

The world is a tile with discs of unmistakable colours and a panorama in which every disc is a band
of its colour at its azimuth. From the pictures of a transformed sample alone, the bearing of each
disc from the claimed position must be the azimuth of its band under the claimed heading and field
of view; its distance in metres and its coordinates must be those of the world.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from cvsegguide.data.sample import Sample, collate
from cvsegguide.data.transforms import (
    Coarsen,
    Crop,
    Draws,
    HeadingJitter,
    LimitFieldOfView,
    LimitVerticalExtent,
    Mirror,
    Photometric,
    Rotate,
    Transform,
    transform_batch,
    transform_sample,
)
from cvsegguide.errors import ConfigurationError
from cvsegguide.geo import GeoReference, angular_difference, column_azimuths, tile_bounds, tile_gsd

SIZE = 256
WIDTH = 720  # half a degree a column
ROW, COL = 150.0, 96.0
BOUNDS = tile_bounds(19, 154514, 197033)
GSD = tile_gsd(BOUNDS.center[1], 19)
DISCS = {  # colour: row, column; no two in one direction from the camera
    (1.0, 0.0, 0.0): (40.0, 60.0),
    (0.0, 1.0, 0.0): (80.0, 210.0),
    (0.0, 0.0, 1.0): (170.0, 230.0),
    (1.0, 1.0, 0.0): (230.0, 120.0),
    (0.0, 1.0, 1.0): (200.0, 20.0),
    (1.0, 0.0, 1.0): (120.0, 112.0),
    (1.0, 1.0, 1.0): (166.0, 76.0),
}


def world(heading: float = 30.0) -> Sample:
    overhead = torch.full((3, SIZE, SIZE), 0.5)
    landcover = torch.zeros((SIZE, SIZE), dtype=torch.uint8)
    rows, cols = torch.meshgrid(torch.arange(SIZE) + 0.5, torch.arange(SIZE) + 0.5, indexing="ij")
    street = torch.full((3, WIDTH // 4, WIDTH), 0.5)
    ranges = torch.zeros(WIDTH // 8, WIDTH // 4)
    azimuths = torch.from_numpy(column_azimuths(WIDTH, heading))
    for number, (color, (row, col)) in enumerate(DISCS.items(), 1):
        disc = (rows - row) ** 2 + (cols - col) ** 2 < 36
        overhead[:, disc] = torch.tensor(color)[:, None]
        landcover[disc] = number
        bearing = math.degrees(math.atan2(col - COL, ROW - row))
        band = ((azimuths - bearing + 180) % 360 - 180).abs() < 3
        street[:, :, band] = torch.tensor(color)[:, None, None]
        ranges[:, band[2::4]] = number
    return Sample(
        id="world",
        overhead=overhead,
        street=street,
        landcover=landcover,
        row=ROW,
        col=COL,
        heading=heading,
        fov=360.0,
        gsd=GSD,
        bounds=BOUNDS,
        sightline=torch.exp(-((rows - ROW) ** 2 + (cols - COL) ** 2) / (2 * 64.0**2)),
        labels={"height": landcover.float() * 3},
        street_range=ranges,
    )


def _center(mask: Tensor) -> tuple[float, float]:
    rows, cols = torch.nonzero(mask, as_tuple=True)
    return float(rows.float().mean()) + 0.5, float(cols.float().mean()) + 0.5


def _is(picture: Tensor, color: Sequence[float]) -> Tensor:
    return (picture - torch.tensor(color)[:, None, None]).abs().amax(0) < 0.25


def _touches_edge(mask: Tensor) -> bool:
    return bool(mask[0].any() | mask[-1].any() | mask[:, 0].any() | mask[:, -1].any())


def check_geometry(sample: Sample, least: int = 3) -> None:
    """Position, heading, extent, scale and bounds against the pictures."""
    height, width = sample.overhead.shape[-2:]
    assert 0 <= sample.row <= height
    assert 0 <= sample.col <= width
    azimuths = column_azimuths(sample.street.shape[-1], sample.heading, sample.fov)
    checked = 0
    for number, (color, (row, col)) in enumerate(DISCS.items(), 1):
        disc = _is(sample.overhead, color)
        band = _is(sample.street, color).all(0).numpy()
        if not disc.any() or _touches_edge(disc):
            continue
        seen_row, seen_col = _center(disc)
        # Labels moved with the picture.
        assert sample.landcover is not None
        assert _center(sample.landcover == number) == pytest.approx((seen_row, seen_col), abs=0.6)
        assert sample.labels["height"][int(seen_row), int(seen_col)] == 3.0 * number
        # Distance on the ground.
        pixels = math.hypot(seen_row - sample.row, seen_col - sample.col)
        assert pixels * sample.gsd == pytest.approx(
            GSD * math.hypot(row - ROW, col - COL), rel=0.02, abs=0.1
        )
        if sample.bounds is not None:
            frame = GeoReference.from_bounds(sample.bounds, height, width)
            true = GeoReference.from_tile(19, 154514, 197033, SIZE, SIZE)
            lon, lat = frame.rowcol_to_lonlat(seen_row, seen_col)
            assert true.lonlat_to_rowcol(lon, lat) == pytest.approx((row, col), abs=0.4)
        # Direction: the band's centre, unless the edge of the view cuts it.
        if band.sum() < 9 or (sample.fov < 359 and (band[0] or band[-1])):
            continue
        bearing = math.degrees(math.atan2(seen_col - sample.col, sample.row - seen_row))
        angles = np.radians(azimuths[band])
        direction = math.degrees(math.atan2(np.sin(angles).mean(), np.cos(angles).mean()))
        tolerance = 0.6 + math.degrees(0.6 / pixels)
        assert abs(angular_difference(direction, bearing)) < tolerance, (color, direction, bearing)
        if sample.street_range is not None:
            column = int(np.abs((azimuths - direction + 180) % 360 - 180).argmin())
            assert sample.street_range[0, column // 4] == number
        checked += 1
    assert checked >= least
    assert sample.sightline is not None
    peak = int(sample.sightline.argmax())
    assert (peak // width + 0.5, peak % width + 0.5) == pytest.approx(
        (sample.row, sample.col), abs=1.6
    )


def change(sample: Sample, seed: int, *transforms: Transform) -> Sample:
    return transform_sample(sample, transforms, Draws(seed))


def assert_same_views(first: Sample, second: Sample) -> None:
    assert torch.equal(first.overhead, second.overhead)
    assert torch.equal(first.street, second.street)


def test_the_world_is_true_and_the_check_sees_faults() -> None:
    check_geometry(world(), least=7)
    for name, value in (("row", ROW + 6), ("heading", 33.0), ("gsd", GSD * 1.1)):
        wrong = world()
        setattr(wrong, name, value)
        with pytest.raises(AssertionError):
            check_geometry(wrong)
    wrong = world()
    wrong.street = wrong.street.flip(-1)
    with pytest.raises(AssertionError):
        check_geometry(wrong)


ALL: dict[str, list[Transform]] = {
    "rotate": [Rotate()],
    "mirror": [Mirror(1.0)],
    "crop": [Crop((0.6, 1.0))],
    "limit": [LimitFieldOfView((200.0, 300.0))],
    "blacken": [Rotate(), LimitFieldOfView((200.0, 300.0), 0.7, blacken=True)],
    "jitter": [HeadingJitter(180.0)],
    "chain": [
        Rotate(),
        Mirror(),
        HeadingJitter(90.0),
        Crop((0.75, 1.0)),
        LimitFieldOfView((240.0, 300.0)),
        Rotate(),
        Mirror(),
    ],
}


@pytest.mark.parametrize("name", ALL)
def test_position_and_heading_still_agree(name: str) -> None:
    before = world()
    kept = world()
    for seed in range(12):
        sample = change(before, seed, *ALL[name])
        check_geometry(sample, least=1 if name in ("crop", "chain") else 3)
        again = change(before, seed, *ALL[name])
        assert torch.equal(again.overhead, sample.overhead)
        assert torch.equal(again.street, sample.street)
        assert (again.row, again.col, again.heading) == (sample.row, sample.col, sample.heading)
        batch = collate([before, world(200.0), world(75.0)])
        changed = transform_batch(batch, ALL[name], Draws(seed))
        for number in range(3):
            check_geometry(changed.sample(number), least=1)
    # The sample that came in is as it was.
    for field in ("overhead", "street", "landcover", "sightline"):
        assert torch.equal(before[field], kept[field])
    assert (before.row, before.col, before.heading) == (ROW, COL, 30.0)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_rotation_by_arithmetic(turns: int) -> None:
    rotated = change(world(), 0, Rotate((turns,)))
    expected = {
        1: (COL, SIZE - ROW),
        2: (SIZE - ROW, SIZE - COL),
        3: (SIZE - COL, ROW),
    }[turns]
    assert (rotated.row, rotated.col) == expected
    assert rotated.heading == 30.0  # a full panorama is rolled instead
    assert rotated.bounds is None
    part = change(world(), 1, LimitFieldOfView((100.0, 100.0)))
    turned = change(part, 0, Rotate((turns,)))
    assert turned.heading == pytest.approx((part.heading + 90 * turns) % 360)
    assert torch.equal(turned.street, part.street)


def test_rotation_of_a_width_that_quarters_do_not_divide() -> None:
    sample = world()
    sample.street = sample.street[..., :-2]  # 718 columns: the bands shrink, the rule stays
    turned = change(sample, 0, Rotate((1,)))
    assert torch.equal(turned.street, sample.street)
    assert turned.heading == 120.0


def test_mirror_by_arithmetic() -> None:
    mirrored = change(world(), 0, Mirror(1.0))
    assert (mirrored.row, mirrored.col) == (ROW, SIZE - COL)
    assert mirrored.heading == 330.0
    assert mirrored.bounds is None
    assert change(world(), 0, Mirror(0.0)).bounds == BOUNDS
    twice = change(mirrored, 0, Mirror(1.0))
    assert_same_views(twice, world())


def test_crop_goes_everywhere_and_keeps_the_camera_inside() -> None:
    crop = Crop((0.5, 0.9), margin=0.1)
    positions = []
    for seed in range(400):
        sample = change(world(), seed, crop)
        assert sample.overhead.shape == (3, SIZE, SIZE)
        assert 0.5 * GSD * 0.99 <= sample.gsd <= 0.9 * GSD * 1.01
        low, high = 0.1 * SIZE - 1e-6, 0.9 * SIZE + 1e-6
        assert low <= sample.row <= high
        assert low <= sample.col <= high
        positions.append((sample.row, sample.col))
    spread = np.ptp(np.array(positions), axis=0)
    assert (spread > 0.6 * SIZE).all()


@pytest.mark.parametrize("corner", [(0.0, 0.0), (256.0, 256.0), (0.0, 256.0), (1.0, 255.0)])
def test_crop_with_the_camera_on_the_edge(corner: tuple[float, float]) -> None:
    sample = world()
    sample.row, sample.col = corner
    for seed in range(20):
        cut = change(sample, seed, Crop((0.5, 0.7)))
        assert 0 <= cut.row <= SIZE
        assert 0 <= cut.col <= SIZE
        for before, after in ((sample.row, cut.row), (sample.col, cut.col)):
            if before in (0.0, 256.0):
                assert after == before


def test_field_of_view() -> None:
    starts = set()
    for seed in range(40):
        sample = change(world(), seed, LimitFieldOfView((90.0, 90.0)))
        assert sample.street.shape[-1] == WIDTH // 4
        assert sample.fov == 90.0
        starts.add(sample.heading)
        narrower = change(sample, seed, LimitFieldOfView((30.0, 60.0)))
        assert 29 < narrower.fov < 61
        assert (
            abs(angular_difference(narrower.heading, sample.heading)) <= 45 - narrower.fov / 2 + 1
        )
        check_geometry(narrower, least=0)
    assert len(starts) > 30
    wide = change(sample, 0, LimitFieldOfView((120.0, 120.0)))
    assert torch.equal(wide.street, sample.street)  # nothing to cut away


def test_a_vertical_extent_is_what_a_cut_photograph_of_it_would_be_taken_for() -> None:
    """45 of 90 degrees: a quarter of the rows above and below hold what is seen last."""
    before = world()
    height = before.street.shape[-2]
    before.street = before.street * torch.linspace(0.2, 1.0, height)[:, None]
    before.street[..., :60] = 0.0  # columns that nothing was seen in
    before.street_range = torch.full((height // 2, WIDTH // 4), 7.0)
    after = change(before, 0, LimitVerticalExtent((45.0, 45.0)))
    spare = height // 4

    assert torch.equal(after.street[:, spare:-spare], before.street[:, spare:-spare])
    assert torch.equal(after.street[:, :spare], before.street[:, [spare]].expand(-1, spare, -1))
    below = after.street[:, -spare:, 60:]
    last = before.street[:, height - 1 - spare, 60:].mean(-1)
    torch.testing.assert_close(below, last[:, None, None].expand_as(below))
    assert not after.street[..., :60].any()
    assert after.street_range is not None
    known = (after.street_range > 0).float().mean(1)
    assert known[23:-23].min() == 1.0  # of 90 rows of a degree; the 23rd is cut in half
    assert known[:22].max() == known[-22:].max() == 0.0
    assert (after.heading, after.fov, after.row, after.col) == (30.0, 360.0, ROW, COL)
    part = change(world(), 1, LimitFieldOfView((90.0, 90.0)))
    assert_same_views(change(before, 0, LimitVerticalExtent(probability=0.0)), before)
    assert_same_views(change(part, 0, LimitVerticalExtent()), part)


def test_heading_jitter_and_the_compass() -> None:
    for seed in range(10):
        turned = change(world(), seed, HeadingJitter(20.0))
        assert abs(angular_difference(turned.heading, 30.0)) <= 20.5
        claimed = change(world(), seed, HeadingJitter(20.0, known=False))
        assert claimed.heading == 30.0
        assert torch.equal(claimed.street, turned.street)  # the picture is turned all the same
    part = change(world(), 1, LimitFieldOfView((90.0, 90.0)))
    assert_same_views(change(part, 0, HeadingJitter()), part)


def test_photometric_changes_colours_alone() -> None:
    before = world()
    changed = change(before, 3, Photometric(hue=0.1))
    for picture, original in ((changed.overhead, before.overhead), (changed.street, before.street)):
        assert picture.shape == original.shape
        assert not torch.equal(picture, original)
        assert float(picture.min()) >= 0.0
        assert float(picture.max()) <= 1.0
    assert (changed.row, changed.col, changed.heading) == (ROW, COL, 30.0)
    assert torch.equal(changed.landcover, before.landcover)
    grey = changed.overhead[:, 0, 0], changed.street[:, 0, 0]
    assert not torch.allclose(*grey)  # each view on its own
    one = change(before, 3, Photometric(views=("street",)))
    assert torch.equal(one.overhead, before.overhead)
    none = change(before, 3, Photometric(0, 0, 0, 0, 0))
    assert torch.equal(none.overhead, before.overhead)
    assert torch.equal(before.overhead, world().overhead)


def test_coarser_imagery_keeps_means_and_loses_detail() -> None:
    # lines a pixel wide, brighter by 0.5 in the right half: pixels of four hold two of each
    sample = world()
    columns = torch.arange(SIZE)
    stripes = 0.5 * (columns % 2).float() * 0.5 + 0.5 * (columns >= SIZE // 2).float()
    overhead = stripes.expand(3, SIZE, SIZE).contiguous()
    before = replace(sample, overhead=overhead)
    changed = change(before, 0, Coarsen((4.0, 4.0), 1.0))
    left, right = changed.overhead[..., 20:100], changed.overhead[..., 160:240]
    assert torch.allclose(left, torch.tensor(0.125), atol=0.01)
    assert torch.allclose(right, torch.tensor(0.625), atol=0.01)
    assert torch.equal(changed.street, before.street)
    assert torch.equal(changed.landcover, before.landcover)
    assert (changed.row, changed.col) == (ROW, COL)
    assert_same_views(change(before, 0, Coarsen(probability=0.0)), before)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Coarsen((0.5, 2.0)), "factor"),
        (lambda: Rotate(()), "quarters"),
        (lambda: Mirror(1.5), "probability"),
        (lambda: Crop((0.0, 1.0)), "scale"),
        (lambda: Crop((0.9, 0.5)), "scale"),
        (lambda: Photometric(brightness=-1), "brightness"),
        (lambda: Photometric(views=("sky",)), "views"),
        (lambda: LimitFieldOfView((0.0, 90.0)), "fov"),
        (lambda: LimitVerticalExtent((80.0, 40.0)), "degrees"),
        (lambda: HeadingJitter(200.0), "degrees"),
    ],
)
def test_arguments_out_of_range(make, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigurationError, match=message):
        make()
