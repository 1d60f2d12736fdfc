"""What two processes export is what one exports, and one of them writes it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cvsegguide.models.hub import load_model
from helpers.brooklyn_queens import make_tree

TESTS = Path(__file__).resolve().parents[1]

PROGRAM = """
import os, sys
from pathlib import Path
from cvsegguide.models import hub
from cvsegguide.training import calibration
calibration.MINIMUM = 1
save = hub.save_model
def noted(model, directory, card=None):
    with Path(directory, "writers").open("a") as file:
        file.write(f"{os.getpid()}\\n")
    return save(model, directory, card)
hub.save_model = noted
if __name__ == "__main__":
    from cvsegguide.cli.main import main
    sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_two_processes_export_what_one_does(tmp_path: Path) -> None:
    make_tree(tmp_path / "city", tiles=3, panoramas=1)
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    command = ["fit", "--config", "mst-small-brooklyn-queens", "--root", str(tmp_path / "city")]
    command += ["--model.network", "mst-tiny", "--model.network_arguments", "{}"]
    for split in ("train", "val", "test"):
        command += [
            f"--data.{split}.overhead_size",
            "64",
            f"--data.{split}.street_size",
            "[32,128]",
        ]
    command += ["--data.num_workers", "0", "--data.batch_size", "2", "--data.eval_batch_size", "1"]
    command += ["--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"]

    def run(out: Path, *more: str) -> None:
        done = subprocess.run(
            [sys.executable, str(script), *command, "--out", str(out), *more],
            env={**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    two, one = tmp_path / "two", tmp_path / "one"
    run(two, "--trainer.devices", "2", "--trainer.strategy", "ddp")
    assert len((two / "writers").read_text().split()) == 1
    assert not list(two.glob(".*")), "nothing half-written"
    # The finished run once more, in one process: nothing is trained, the export is made again.
    shutil.copytree(two, one)
    (one / "model.safetensors").unlink()
    run(one, "--trainer.devices", "1", "--resume")
    assert len((one / "writers").read_text().split()) == 2
    first, second = (load_model(folder).state_dict() for folder in (two, one))
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    for folder in (two, one):  # all three samples, not the half that a process validates
        card = (folder / "README.md").read_text()
        assert re.search("log-probabilities times .* from 3 validation samples", card)
