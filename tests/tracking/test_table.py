"""The table of a drive."""

import math
import warnings

import numpy as np
import pandas
import pytest
from PIL import Image

from cvsegguide.errors import InferenceWarning, InputError
from cvsegguide.tracking.table import read_frames


@pytest.fixture
def folder(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (16, 8)).save(tmp_path / name)
    return tmp_path


def write(folder, text, name="drive.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_column_that_looks_misspelt_is_told(folder):
    path = write(folder, "street,Forward,compas_error,note,times\na.jpg,1,2,x,3\n")
    with pytest.warns(InferenceWarning) as told:
        read_frames(path)
    assert [str(warning.message).partition(": ")[2] for warning in told] == [
        "column 'Forward' is ignored; is 'forward' meant?",
        "column 'compas_error' is ignored; is 'compass_error' meant?",
        "column 'times' is ignored; is 'time' meant?",
    ]
    path = write(folder, "street,time,times,note,id\na.jpg,1,2,x,3\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_frames(path)


def test_rows_become_frames(folder):
    path = write(
        folder,
        "street,time,forward,left,turn,forward_error,turn_error,fov,compass,lon,lat,heading,note\n"
        "a.jpg,0,,,,,,70,,-73.9,40.7,12.5,x\n"
        ",1.5,8,0.5,-3,0.2,1,,90,,,,\n"
        "b.jpg,2,8,,,,,,,-73.9,40.7,,\n",
    )
    first, second, third = read_frames(path, fov=100.0)

    assert first.image == folder / "a.jpg"
    assert (first.fov, first.motion, first.truth) == (70.0, None, (-73.9, 40.7, 12.5))
    assert second.image is None
    assert (second.time, second.fov, second.compass) == (1.5, 100.0, 90.0)
    assert (second.motion.forward, second.motion.left, second.motion.turn) == (8.0, 0.5, -3.0)
    deviations = np.sqrt(np.diag(second.motion.matrix()))
    assert deviations[[0, 2]].tolist() == pytest.approx([0.2, 1.0])
    assert 0.1 < deviations[1] < 0.5  # not given: the usual one
    assert third.motion.turn == 0.0
    assert math.isnan(third.truth[2])


def test_a_compass_may_be_exact(folder):
    path = write(folder, "street,compass,compass_error\na.jpg,9,0\nb.jpg,9,\n")
    assert [frame.compass_error for frame in read_frames(path)] == [0.0, 5.0]


def test_distance_and_turn_are_an_arc(folder):
    path = write(folder, f"street,distance,turn\na.jpg,,\nb.jpg,{10 * math.pi / 2},90\n")
    motion = read_frames(path)[1].motion

    assert (motion.forward, motion.left, motion.turn) == pytest.approx((10.0, -10.0, 90.0))


def test_parquet_is_read_as_csv_is(folder):
    table = pandas.DataFrame(
        {"street": ["a.jpg", None], "forward": [np.nan, 3.0], "turn": [np.nan, 4.0]}
    )
    table.to_parquet(folder / "drive.parquet")
    first, second = read_frames(folder / "drive.parquet")

    assert first.motion is None
    assert second.image is None
    assert (second.motion.forward, second.motion.turn) == (3.0, 4.0)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("picture\na.jpg\n", "no column 'street'"),
        ("street\n", "no rows"),
        ("street\na.jpg\nc.jpg\n", r"line 3, column 'street': .*c\.jpg is missing"),
        ("street,fov\na.jpg,70\nb.jpg,wide\n", "line 3, column 'fov': 'wide' is no number"),
        ("street,fov\na.jpg,0\n", "line 2, column 'fov': 0 lies outside"),
        ("street,forward\na.jpg,inf\n", "line 2, column 'forward': 'inf' is not finite"),
        ("street,turn\na.jpg,3\n", "line 2: left and turn go with"),
        ("street,forward,distance\na.jpg,3,3\n", "line 2: has both"),
        ("street,lon\na.jpg,3\n", "line 2: lon and lat"),
    ],
)
def test_faults_name_file_and_row(folder, text, fault):
    with pytest.raises(InputError, match=rf"drive\.csv: .*{fault}"):
        read_frames(write(folder, text))


def test_what_is_no_table_is_refused(folder):
    with pytest.raises(InputError, match="no such file"):
        read_frames(folder / "none.csv")
    with pytest.raises(InputError, match=r"a\.jpg"):
        read_frames(folder / "a.jpg")
    with pytest.raises(InputError, match="not a readable table"):
        read_frames(write(folder, "nonsense", "drive.parquet"))
