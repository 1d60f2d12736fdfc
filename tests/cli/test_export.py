"""What ``cvsegguide export`` and ``localize --model FILE.onnx`` refuse."""

import importlib.util

import pytest

from helpers.commands import refusal


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "network.bin"], "--out network.bin: the name must end in .onnx or .pt2"),
        (
            ["--out", "a.onnx", "--format", "torch-export"],
            "--out a.onnx: the name must end in .pt2",
        ),
        (["--out", "a.onnx", "--model", "nothing-there"], "nothing-there: no such file"),
    ],
)
def test_unusable_options(tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    assert refusal(["export", *options], capsys, tmp_path).startswith(message)


def test_missing_packages_are_named(tmp_path, monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "onnxscript" else find(name)
    )
    error = refusal(["export", "--out", tmp_path / "a.onnx"], capsys)
    assert "needs onnxscript: pip install 'cvsegguide[onnx]'" in error


def foreign(path):
    """An ONNX file that is none of ours."""
    from onnx import TensorProto, helper, save

    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    other = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", [value], [other])
    opset = [helper.make_opsetid("", 18)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (foreign, "not written by `cvsegguide export`"),
        (lambda path: path.write_bytes(b"\x08\x09garbage" * 10), "not a readable ONNX file"),
        (lambda path: path.touch(), "the file is empty"),
        (lambda path: None, "no such file"),
    ],
    ids=["foreign", "damaged", "empty", "missing"],
)
def test_files_that_are_no_exports(tmp_path, monkeypatch, capsys, make, fault):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "network.onnx")
    said = refusal(["localize", "a.png", "b.png", "--model", "network.onnx"], capsys)
    assert said.startswith(f"network.onnx: {fault}")


def test_onnx_files_run_on_the_cpu(capsys):
    command = ["localize", "a.png", "b.png", "--model", "network.onnx", "--device", "cuda"]
    assert "--device: cuda: an ONNX file runs on the CPU" in refusal(command, capsys)
