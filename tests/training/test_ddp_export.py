"""What two processes export is what one exports."""

import re
import shutil
from pathlib import Path

import pytest
import torch

from cvsegguide.models.hub import load_model
from helpers.brooklyn_queens import make_tree
from helpers.commands import run_python


@pytest.mark.slow
def test_two_processes_export_what_one_does(tmp_path: Path) -> None:
    make_tree(tmp_path / "city", tiles=3, panoramas=17, street_size=(32, 128))
    command = ["fit", "--config", "mst-small-brooklyn-queens", "--root", str(tmp_path / "city")]
    command += ["--model.network", "mst-tiny", "--model.network_arguments", "{}"]
    for split in ("train", "val", "test"):
        sizes = [f"--data.{split}.overhead_size", "64", f"--data.{split}.street_size", "[32,128]"]
        command += sizes
    command += ["--data.num_workers", "0", "--data.batch_size", "8", "--data.eval_batch_size", "3"]
    command += ["--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"]

    def run(out: Path, *more: str) -> None:
        done = run_python("-m", "cvsegguide", *command, "--out", out, *more)
        assert done.returncode == 0, done.stderr

    two, one = tmp_path / "two", tmp_path / "one"
    run(two, "--trainer.devices", "2", "--trainer.strategy", "ddp")
    assert not list(two.glob(".*")), "nothing half-written"
    # The finished run once more, in one process: nothing is trained, the export is made again.
    shutil.copytree(two, one)
    (one / "model.safetensors").unlink()
    run(one, "--trainer.devices", "1", "--resume")
    first, second = (load_model(folder).state_dict() for folder in (two, one))
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    for folder in (two, one):  # all samples, not the half that a process validates
        card = (folder / "README.md").read_text()
        assert re.search("log-probabilities times .* from 51 validation samples", card)
