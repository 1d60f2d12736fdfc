"""Writing exported files, each checked against the network before it appears."""

import contextlib
import importlib.util
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cvsegguide.errors import ConfigurationError, CVSegGuideError, first_sentence
from cvsegguide.export.networks import ExportedNetwork, describe
from cvsegguide.inference import description as names
from cvsegguide.inference.description import Description
from cvsegguide.inference.onnx import OnnxNetwork
from cvsegguide.io.atomic import atomic_path
from cvsegguide.models.base import LocalizationModel

OPSET = 18
"""Version of the ONNX operators: ONNX Runtime 1.14 and later read it."""

TOLERANCE = 1e-3
"""Largest difference from the network, absolute and, above 100, relative to 100."""

PROGRAM_METADATA = "cvsegguide.json"
"""Extra file of a ``.pt2`` archive with the description."""

Arrays = dict[str, NDArray[Any]]


class ExportError(CVSegGuideError):
    """A network that could not be written, or whose file gives other answers."""

    exit_status = 1


def write_onnx(
    model: LocalizationModel,
    path: str | PathLike[str],
    name: str,
    license_note: str = "not stated",
    check: bool = True,
) -> float | None:
    """Write a network as ONNX.

    The batch is dynamic; names, shapes and metadata are those of docs/export.md.

    Args:
        model: The network.
        path: File to write. It appears only when it is whole and right.
        name: Name of the weights.
        license_note: Licence of the weights.
        check: Compare the file's answers with the network's, in ONNX Runtime on the CPU.

    Returns:
        The largest difference that was found, or None without a check.

    Raises:
        ConfigurationError: A package is missing, or the network has no known class scheme.
        ExportError: It cannot be written as a graph, or its answers differ.
    """
    need_onnx(check)
    facts = describe(model, name, license_note)
    network = ExportedNetwork(model)
    with _quiet():
        program = _program(network)
        try:
            graph: Any = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                input_names=network.inputs,
                output_names=network.outputs,
                optimize=False,
                verbose=False,
            )
        except Exception as error:  # the exporter fails in many ways
            raise ExportError(f"{name}: cannot be written as ONNX ({_reason(error)})") from error
        _finish(graph.model, facts)
        with atomic_path(path) as temporary:
            try:
                graph.save(temporary, external_data=False)
            except ValueError as error:
                raise ExportError(f"{path}: cannot be written ({_reason(error)})") from None
            return _check(model, network, facts, _onnx_runner(temporary), path) if check else None


def write_program(
    model: LocalizationModel,
    path: str | PathLike[str],
    name: str,
    license_note: str = "not stated",
    check: bool = True,
) -> float | None:
    """Write a network as a program of ``torch.export`` (``.pt2``); see :func:`write_onnx`.

    The archive holds the description as JSON in the extra file :data:`PROGRAM_METADATA`.
    """
    facts = describe(model, name, license_note)
    network = ExportedNetwork(model)
    with _quiet():
        program = _program(network)
        with atomic_path(path) as temporary:
            texts = {PROGRAM_METADATA: json.dumps(facts.to_metadata(), indent=1)}
            torch.export.save(program, temporary, extra_files=texts)
            if not check:
                return None
            return _check(model, network, facts, _program_runner(temporary, network), path)


def need_onnx(check: bool = True) -> None:
    """Raise ConfigurationError where packages of the extra ``onnx`` are missing."""
    wanted = ("onnx", "onnxscript", *(("onnxruntime",) if check else ()))
    missing = [name for name in wanted if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"onnx: needs {', '.join(missing)}: pip install 'cvsegguide[onnx]'", "format"
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Exporters tell of their own inner life; what goes wrong is raised."""
    before = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)


def _program(network: ExportedNetwork) -> Any:
    batch = torch.export.Dim("batch", min=1, max=4096)
    dimensions = {name: {0: batch} for name in network.inputs}
    if names.HEADINGS in dimensions:
        dimensions[names.HEADINGS] = {0: torch.export.Dim("headings", min=1, max=4096)}
    example = network.example(3)
    try:
        with torch.no_grad():
            network(*example.values())  # constants that modules keep are made before the trace
            return torch.export.export(
                network,
                tuple(example.values()),
                dynamic_shapes=(tuple(dimensions[name] for name in example),),
                strict=False,
            )
    except Exception as error:
        raise ExportError(f"the network cannot be traced ({_reason(error)})") from error


def _finish(model: Any, facts: Description) -> None:
    """Fold constants, forget where in the source each node came from, add the metadata."""
    from onnxscript import optimizer

    optimizer.fold_constants(model)
    optimizer.remove_unused_nodes(model)
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
    for value in (*model.graph.inputs, *model.graph.outputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
    model.graph.metadata_props.clear()
    model.graph.name = "cvsegguide"
    model.metadata_props.clear()
    model.metadata_props.update(facts.to_metadata())
    model.producer_name = "cvsegguide"
    model.producer_version = facts.version
    model.doc_string = f"CVSegGuide {facts.model} ({facts.architecture})"


def _onnx_runner(path: Path) -> Callable[[dict[str, Tensor]], Arrays]:
    file = OnnxNetwork(path)
    return lambda inputs: file.run({name: value.numpy() for name, value in inputs.items()})


def _program_runner(path: Path, network: ExportedNetwork) -> Callable[[dict[str, Tensor]], Arrays]:
    loaded = torch.export.load(path).module()

    def run(inputs: dict[str, Tensor]) -> Arrays:
        with torch.no_grad():
            outputs = loaded(*inputs.values())
        return {n: v.numpy() for n, v in zip(network.outputs, outputs, strict=True)}

    return run


def _check(
    model: LocalizationModel,
    network: ExportedNetwork,
    facts: Description,
    runner: Callable[[dict[str, Tensor]], Arrays],
    path: str | PathLike[str],
) -> float:
    """Compare a file with the network itself, at two sizes of the batch."""
    worst = 0.0
    for batch in (1, 2):
        inputs = network.example(batch, seed=batch)
        wanted = _answer(model, network, inputs)
        found = runner(inputs)
        found["posterior of the metadata"] = facts.log_posterior(found[names.HEATMAP])
        wanted["posterior of the metadata"] = wanted[names.POSTERIOR]
        for name, values in wanted.items():
            if found[name].shape != values.shape:
                raise ExportError(
                    f"{path}: not written: {name} has shape {found[name].shape}, not {values.shape}"
                )
            scale = np.maximum(1.0, np.abs(values) / 100)
            difference = float((np.abs(found[name] - values) / scale).max())
            if not difference <= TOLERANCE:  # NaN, too
                raise ExportError(
                    f"{path}: not written: {name} differs from the network by {difference:.2g}"
                )
            worst = max(worst, difference)
    return worst


def _answer(
    model: LocalizationModel, network: ExportedNetwork, inputs: dict[str, Tensor]
) -> Arrays:
    """What the network says as it was given, untouched by any preparation."""
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            outputs = network.answer(model, *(value.to(device) for value in inputs.values()))
    finally:
        model.train(training)
    return {
        name: value.float().cpu().numpy()
        for name, value in zip(network.outputs, outputs, strict=True)
    }


def _reason(error: BaseException) -> str:
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return first_sentence(str(cause)) or type(cause).__name__
