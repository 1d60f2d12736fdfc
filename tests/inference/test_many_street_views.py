"""Many street views in one overhead image: the same answers, and the image encoded once."""

import numpy as np
import pytest

from cvsegguide.errors import InputError
from cvsegguide.inference.localizer import Localizer
from cvsegguide.models.registry import create_model
from helpers.models import ColourModel


def pictures(name: str, side: int) -> tuple[np.ndarray, list[np.ndarray], Localizer]:
    random = np.random.default_rng(0)
    model = ColourModel() if name == "colour" else create_model(name)
    overhead = random.integers(0, 256, (side, side, 3), np.uint8)
    streets = [random.integers(0, 256, (*model.street_size, 3), np.uint8) for _ in range(3)]
    return overhead, streets, Localizer(model, device="cpu")


@pytest.mark.parametrize("name", ["geometric-tiny", "mst-tiny", "featup-tiny", "colour"])
@pytest.mark.parametrize("tiles", [1, 6])
def test_answers_are_those_of_one_by_one(
    name: str, tiles: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    overhead, streets, localizer = pictures(name, 64 * tiles)
    gsd, headings = localizer.model.gsd, [10.0, -75.0, 180.0]
    expected = [
        localizer.localize(overhead, street, gsd=gsd, heading=heading)
        for street, heading in zip(streets, headings, strict=True)
    ]
    encoded = []
    if name != "colour":
        encode = localizer.model.encode_tile
        monkeypatch.setattr(
            localizer.model, "encode_tile", lambda *given: encoded.append(1) or encode(*given)
        )
    found = list(localizer.localize_many(overhead, streets, gsd=gsd, heading=headings))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.posterior, theirs.posterior, atol=1e-6)
        np.testing.assert_array_equal(ours.landcover, theirs.landcover)
        assert ours.heading == theirs.heading
    if name != "colour" and tiles == 1:
        assert len(encoded) == 1


def test_unknown_headings_and_unguided_networks() -> None:
    overhead, streets, localizer = pictures("geometric-tiny", 64)
    given = {"gsd": localizer.model.gsd, "heading": None}
    for ours, street in zip(
        localizer.localize_many(overhead, streets, **given), streets, strict=True
    ):
        theirs = localizer.localize(overhead, street, **given)
        assert ours.heading == pytest.approx(theirs.heading)
    localizer = Localizer(create_model("mst-tiny", guidance="none"), device="cpu")
    found = list(localizer.localize_many(overhead, streets, gsd=localizer.model.gsd))
    expected = localizer.localize(overhead, streets[0], gsd=localizer.model.gsd)
    for each in found:
        np.testing.assert_array_equal(each.landcover, expected.landcover)


def test_they_are_taken_one_by_one_and_faults_are_told() -> None:
    overhead, streets, localizer = pictures("geometric-tiny", 64)
    drawn = []

    def stream():
        for street in streets:
            drawn.append(1)
            yield street

    answers = localizer.localize_many(overhead, stream(), gsd=0.2262, heading=[0.0, 1.0])
    next(answers)
    assert len(drawn) == 1
    next(answers)
    with pytest.raises(InputError, match="heading: there is none for street view 3"):
        next(answers)
    with pytest.raises(InputError, match="fov: must lie"):
        list(localizer.localize_many(overhead, streets, gsd=0.2262, fov=0.0))
