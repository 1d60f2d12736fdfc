"""What ``cvsegguide export`` and ``localize --model FILE.onnx`` refuse."""

import importlib.util

import pytest

from cvsegguide.cli.main import main


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
    assert main(["export", *options]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"cvsegguide: error: {message}")
    assert captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_are_named(tmp_path, monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "onnxscript" else find(name)
    )
    assert main(["export", "--out", str(tmp_path / "a.onnx")]) == 2
    assert "needs onnxscript: pip install 'cvsegguide[onnx]'" in capsys.readouterr().err


def foreign(path):
    """An ONNX file that is none of ours."""
    from onnx import TensorProto, helper, save

    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    other = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", [value], [other])
    opset = [helper.make_opsetid("", 18)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)


@pytest.mark.parametrize("kind", ["foreign", "damaged", "empty", "missing"])
def test_files_that_are_no_exports(tmp_path, monkeypatch, capsys, kind):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "network.onnx"
    if kind == "foreign":
        foreign(path)
    elif kind == "damaged":
        path.write_bytes(b"\x08\x09garbage" * 10)
    elif kind == "empty":
        path.touch()
    assert main(["localize", "a.png", "b.png", "--model", "network.onnx"]) == 2
    message = capsys.readouterr().err
    wanted = {
        "foreign": "network.onnx: not written by `cvsegguide export`",
        "damaged": "network.onnx: not a readable ONNX file",
        "empty": "network.onnx: the file is empty",
        "missing": "network.onnx: no such file",
    }
    assert message.startswith(f"cvsegguide: error: {wanted[kind]}")
    assert message.count("\n") == 1


def test_onnx_files_run_on_the_cpu(capsys):
    command = ["localize", "a.png", "b.png", "--model", "network.onnx", "--device", "cuda"]
    assert main(command) == 2
    assert "--device: cuda: an ONNX file runs on the CPU" in capsys.readouterr().err
