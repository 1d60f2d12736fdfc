"""Weights files: what comes back, and what is refused without being run."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cvsegguide.errors import CheckpointError
from cvsegguide.io.checkpoints import read_checkpoint, read_state_dict
from helpers.files import Hostile

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.steps": torch.tensor(3)}


def checkpoint() -> dict[str, object]:
    optimiser = torch.optim.Adam([torch.nn.Parameter(torch.ones(2))])
    return {
        "epoch": 3,
        "state_dict": STATE,
        "best_acc1": 0.5,
        "optimizer": optimiser.state_dict(),
    }


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_torch_files(tmp_path: Path, zipped: bool, prefix: str) -> None:
    path = tmp_path / "x.pth.tar"
    content = checkpoint()
    content["state_dict"] = {prefix + name: value for name, value in STATE.items()}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    state = read_state_dict(path)
    assert list(state) == list(STATE)
    for name, value in STATE.items():
        torch.testing.assert_close(state[name], value)


def test_arrays_and_safetensors(tmp_path: Path) -> None:
    arrays = {name: value.numpy() for name, value in STATE.items()}
    plain = tmp_path / "x.pkl"
    plain.write_bytes(pickle.dumps({"state_dict": arrays}))
    safe = tmp_path / "x.safetensors"
    save_file(STATE, safe)
    for path in (plain, safe):
        state = read_state_dict(path)
        assert set(state) == set(STATE)
        np.testing.assert_array_equal(state["a.weight"], arrays["a.weight"])


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle"])
def test_code_does_not_run(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "evil.pth.tar"
    content = {"state_dict": STATE, "epoch": Hostile(tmp_path / "made")}
    if kind == "pickle":
        path.write_bytes(pickle.dumps({"epoch": content["epoch"]}))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
    with pytest.raises(CheckpointError, match=r"evil\.pth\.tar: .*mkdir") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", ["x.pth.tar", "x.safetensors", "x.pkl"])
@pytest.mark.parametrize("damage", ["empty", "text", "cut", "absent", "folder", "zeros"])
def test_damaged_files_are_named(tmp_path: Path, name: str, damage: str) -> None:
    path = tmp_path / name
    if name.endswith("safetensors"):
        save_file(STATE, path)
    elif name.endswith("pkl"):
        path.write_bytes(pickle.dumps({"a": np.arange(1000.0)}))
    else:
        torch.save(checkpoint(), path)
    content = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage != "absent":
        path.write_bytes(
            {"empty": b"", "text": b"hello, world", "cut": content[: len(content) // 2]}.get(
                damage, bytes(100)
            )
        )
    with pytest.raises(CheckpointError, match=name) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n" + bytes(40),
        b"hello, world",
        b"{}",
        b"II*\0",
    ],
)
def test_what_is_no_checkpoint(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"x\.png: not a PyTorch checkpoint$"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [[1, 2], {}, {"state_dict": {"a": "b"}}, 7])
def test_no_parameters_in_it(tmp_path: Path, content: object) -> None:
    path = tmp_path / "x.pth"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=r"x\.pth"):
        read_state_dict(path)


def test_a_truncated_file_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "model.pth.tar"
    torch.save({"state_dict": {"weight": torch.zeros(2000)}}, path)
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(CheckpointError, match=r"model\.pth\.tar: damaged or truncated"):
        read_checkpoint(path)
