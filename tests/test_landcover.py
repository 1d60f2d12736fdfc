"""Class schemes: folding, ids, schemes from files."""

from pathlib import Path

import numpy as np
import pytest

from cvsegguide.errors import ConfigurationError
from cvsegguide.landcover import NYC, NYC_CLASSES, ClassScheme, scheme_of

SCHEME = """
name = "two"
[channels]
building = 3
rest = 9
[[classes]]
id = 3
name = "building"
color = [200, 0, 0]
obstacle = true
channel = "building"
[[classes]]
id = 9
name = "rest"
color = [0, 0, 0]
channel = "rest"
[[classes]]
id = 0
name = "no data"
color = [0, 0, 0]
"""


def test_nyc_folds_into_the_published_channels_in_order() -> None:
    assert list(NYC.channels) == ["tree canopy", "building", "road", "other impervious"]
    folded = NYC.fold(np.arange(9, dtype=np.uint8))
    #        none tree grass soil water building road other rail
    assert folded.tolist() == [255, 0, 3, 3, 3, 1, 2, 3, 3]


def test_nyc_keeps_bare_soil_apart_from_grass() -> None:
    assert NYC.by_name("bare soil").id == 3
    assert NYC.by_name("grass/shrub").id == 2
    assert NYC.obstacles == (5,)
    assert NYC.ignored == (0,)


def test_channel_ids_name_the_class_that_stands_for_the_channel() -> None:
    assert NYC.fold(NYC.channel_ids).tolist() == [0, 1, 2, 3]


def test_every_class_its_own_channel() -> None:
    assert NYC_CLASSES.fold(np.arange(9, dtype=np.uint8)).tolist() == [255, *range(8)]
    assert NYC_CLASSES.obstacles == (5,)
    assert scheme_of(list(NYC_CLASSES.channels)) is NYC_CLASSES
    assert scheme_of(list(NYC.channels)) is NYC
    with pytest.raises(ConfigurationError, match="no built-in class scheme"):
        scheme_of(["sea"])


def test_scheme_from_file(tmp_path: Path) -> None:
    path = tmp_path / "two.toml"
    path.write_text(SCHEME)
    scheme = ClassScheme.from_file(path)
    assert scheme.obstacles == (3,)
    assert scheme.ignored == (0,)
    assert scheme.fold(np.array([3, 9, 0, 77], np.uint8)).tolist() == [0, 1, 255, 255]
    assert scheme.palette[3].tolist() == [200, 0, 0]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("id = 9", "id = 3", "share an id"),
        ('channel = "rest"', 'channel = "other"', "unknown guidance channel 'other'"),
        ("id = 9", "id = 900", "0..255"),
        ("color = [200, 0, 0]", "color = [200, 0]", "three numbers"),
        ('name = "building"', "", "'name' is missing"),
        ("[channels]", "[channels", "not a readable class scheme"),
        ("rest = 9", "rest = 8", "unknown id 8"),
    ],
)
def test_faults_are_named_with_the_file(tmp_path: Path, old: str, new: str, fault: str) -> None:
    path = tmp_path / "bad.toml"
    assert old in SCHEME
    path.write_text(SCHEME.replace(old, new, 1))
    with pytest.raises(ConfigurationError, match=fault) as caught:
        ClassScheme.from_file(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
