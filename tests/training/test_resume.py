"""A run that was interrupted anywhere goes on as if it had not been."""

import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from cvsegguide.cli.main import main
from helpers.commands import run_python
from helpers.tiny import write_config


def configure(
    folder: Path, trainer: dict[str, Any], data: dict[str, Any] | None = None, **callback: int
) -> list[str]:
    """The command of a run, which writes the loss of every step beside its folder."""
    arguments = {"path": str(folder.parent / f"{folder.name}.trace"), **callback}
    trace = {"class_path": "helpers.tiny.LossTrace", "init_args": arguments}
    config = write_config(
        folder.parent / f"{folder.name}.yaml",
        data=data or {},
        trainer={**trainer, "callbacks": [trace]},
    )
    return ["fit", "--config", str(config), "--out", str(folder)]


def fit(folder: Path, trainer: dict[str, Any], *extra: str, **callback: int) -> int:
    return main([*configure(folder, trainer, **callback), *extra])


def start(command: list[str]) -> subprocess.CompletedProcess[str]:
    """A command in a process and a group of its own."""
    return run_python("-m", "cvsegguide", *command, OMP_NUM_THREADS="1")


def steps(folder: Path) -> dict[int, str]:
    """Batch number -> loss (bit for bit) and names; what was done twice counts the second time."""
    lines = (folder.parent / f"{folder.name}.trace").read_text().splitlines()
    return {int(number): rest for number, rest in (line.split(" ", 1) for line in lines)}


def assert_same_state(first: Path, second: Path) -> None:
    one, two = (torch.load(path / "last.ckpt", weights_only=True) for path in (first, second))
    for group in ("state_dict", "current_model_state"):
        assert one[group].keys() == two[group].keys()
        for name, value in one[group].items():
            assert torch.equal(value, two[group][name]), name
    assert one["lr_schedulers"] == two["lr_schedulers"]
    assert one["global_step"] == two["global_step"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Uninterrupted runs by kind."""
    folder = tmp_path_factory.mktemp("whole")
    found = {}
    for kind, trainer in KINDS.items():
        assert fit(folder / kind, trainer) == 0
        found[kind] = folder / kind
    return found


KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "accumulating": {"accumulate_grad_batches": 2},
    "by steps": {"max_epochs": None, "max_steps": 12},
    "without validation": {"limit_val_batches": 0},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("interrupted", [4, 5, 7])
def test_sigterm_and_resume(
    whole: dict[str, Path], tmp_path: Path, kind: str, interrupted: int
) -> None:
    # 13 samples in batches of 3: an epoch has 5 batches, so 5 ends one.
    run = tmp_path / kind
    assert fit(run, KINDS[kind], signal_at=interrupted) == 128 + signal.SIGTERM
    before = steps(run)
    assert max(before) < 12
    assert fit(run, KINDS[kind], "--resume") == 0
    expected = steps(whole[kind])
    assert steps(run) == expected
    # Nothing was trained on twice: the request was answered between two steps.
    lines = (tmp_path / f"{kind}.trace").read_text().splitlines()
    assert len(lines) == len(expected)
    assert_same_state(run, whole[kind])


@pytest.mark.slow
@pytest.mark.parametrize("killed", [4, 14])
def test_kill_9_and_resume(whole: dict[str, Path], tmp_path: Path, killed: int) -> None:
    run = tmp_path / "plain"
    command = configure(run, {}, signal_at=killed, number=int(signal.SIGKILL))
    done = start([*command, "--save_every_steps", "3"])
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert max(steps(run)) == killed
    assert not list(run.glob(".last*")), "a half-written checkpoint"
    assert fit(run, {}, "--resume") == 0
    assert steps(run) == steps(whole["plain"])
    assert_same_state(run, whole["plain"])


@pytest.mark.slow
@pytest.mark.parametrize(("number", "interrupted"), [(signal.SIGTERM, 7), (signal.SIGINT, 4)])
def test_a_signal_to_the_whole_group(
    whole: dict[str, Path], tmp_path: Path, number: signal.Signals, interrupted: int
) -> None:
    """Processes that read data live on until the run has saved; then they end with it."""
    run = tmp_path / "plain"
    callback = {"signal_at": interrupted, "number": int(number), "group": True}
    command = configure(run, {}, {"num_workers": 2}, **callback)
    done = start(command)
    assert done.returncode == 128 + number, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if "error" in line]
    assert len(lines) == 1, done.stderr
    assert f"stopped on request at step {interrupted}" in lines[0]
    done = start([*command, "--resume"])
    assert done.returncode == 0, done.stderr
    assert steps(run) == steps(whole["plain"])
    assert_same_state(run, whole["plain"])


def test_ctrl_c(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert fit(tmp_path / "run", {}, signal_at=2, number=int(signal.SIGINT)) == 130
    error = capfd.readouterr().err
    assert "stopped on request at step 2" in error
    assert "Traceback" not in error


def test_a_run_is_not_overwritten(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    trainer = {"max_epochs": 1}
    assert fit(tmp_path / "run", trainer) == 0
    content = (tmp_path / "run" / "last.ckpt").read_bytes()
    assert fit(tmp_path / "run", trainer) == 2
    assert "holds a run already" in capfd.readouterr().err
    assert (tmp_path / "run" / "last.ckpt").read_bytes() == content


def test_resume_with_another_network(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert fit(tmp_path / "run", {"max_epochs": 1}) == 0
    arguments = ["--resume", "--model.network_arguments", "{width: 5}", "--trainer.max_epochs", "2"]
    assert fit(tmp_path / "run", {"max_epochs": 1}, *arguments) == 2
    error = capfd.readouterr().err.splitlines()[-1]
    assert "last.ckpt: is of another network" in error


def test_damaged_checkpoint(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert fit(tmp_path / "run", {"max_epochs": 1}) == 0
    last = tmp_path / "run" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:5000])
    assert fit(tmp_path / "run", {"max_epochs": 2}, "--resume") == 2
    assert "last.ckpt: damaged or truncated" in capfd.readouterr().err
