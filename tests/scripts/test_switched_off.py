"""What a part is worth in the trained network, by arithmetic and through the command."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cvsegguide.models.hub import save_model
from cvsegguide.models.registry import create_model
from cvsegguide.synth.generation import generate
from helpers.scripts import load


def test_differences_are_to_the_whole_network_pair_by_pair() -> None:
    script = load("switched_off")
    rng = np.random.default_rng(0)
    error, nll = rng.uniform(0, 9, 40), rng.uniform(2, 9, 40)
    found = {name: {"error_m": error, "nll": nll} for name in script.PARTS}
    found["prior"] = {"error_m": error + 2.0, "nll": nll + 0.5}
    # half of the places lose 4 m, the others nothing
    places = np.repeat(np.arange(10), 4)
    found["visibility"] = {"error_m": error + 4.0 * (places % 2), "nll": nll}
    result = script.compared(found, [f"place {place}" for place in places])

    whole, prior, seen = (result[name] for name in (script.WHOLE, "prior", "visibility"))
    assert whole["median"] == pytest.approx(np.median(error))
    assert whole["recall_5m"] == pytest.approx(np.mean(error <= 5))
    for key, value in (("median_more", 2.0), ("mean_more", 2.0), ("nll_more", 0.5)):
        assert prior[key] == pytest.approx({"value": value, "low": value, "high": value})
    assert seen["mean_more"]["value"] == pytest.approx(2.0)
    # five of ten places: the mean of a resample is binomial, 4 / 10 * Binomial(10, 1 / 2)
    assert seen["mean_more"]["low"] == pytest.approx(0.8, abs=0.01)
    assert seen["mean_more"]["high"] == pytest.approx(3.2, abs=0.01)
    assert seen["nll_more"]["value"] == 0.0


def test_the_command_switches_parts_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = load("switched_off")
    torch.manual_seed(0)
    model = create_model("geometric-tiny").eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    save_model(model, tmp_path / "tiny", {})
    generate(tmp_path / "city", 1, 3, town=1, workers=1)
    table = tmp_path / "city/brooklyn/manifest.csv"
    command = [str(table), "--weights", str(tmp_path / "tiny"), "--out", str(tmp_path / "out")]
    assert script.main(command) == 0
    shown = capsys.readouterr().out
    assert (tmp_path / "out" / "switched_off.md").read_text() == shown
    found = json.loads((tmp_path / "out" / "switched_off.json").read_text())
    assert list(found) == list(script.PARTS)
    likelihoods = {entry["nll"] for entry in found.values()}
    assert len(likelihoods) == len(found)  # each of them changes the answer

    assert script.main([*command, "--group", "town"]) == 2
    assert "has no columns 'id' and 'town' (--group)" in capsys.readouterr().err
    save_model(create_model("mst-tiny"), tmp_path / "mst", {})
    command[2] = str(tmp_path / "mst")
    assert script.main(command) == 2
    assert "is not a geometric network" in capsys.readouterr().err
