"""What makes networks fast on a GPU without touching them: bfloat16 and recorded launches.

Most of a small network's time on a GPU is spent launching kernels. A CUDA graph records them once
for inputs of given shapes and replays them at the cost of one.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Lock
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from cvsegguide.errors import ConfigurationError
from cvsegguide.models.base import LocalizationModel, Prediction
from cvsegguide.models.outputs import change_tensors

PRECISIONS = ("auto", "bf16", "fp16", "fp32")
"""What :func:`autocast` takes."""

GRAPHS = 8
"""Shapes of inputs whose graphs are kept."""


def precision_type(precision: str, device: torch.device) -> torch.dtype | None:
    """The type that products are computed in, or None for float32.

    Args:
        precision: ``"auto"``: bfloat16 on CUDA devices that have it, else float32.
        device: Where.

    Raises:
        ConfigurationError: The precision is not one of :data:`PRECISIONS`.
    """
    if precision not in PRECISIONS:
        raise ConfigurationError(f"precision is '{precision}', not one of {', '.join(PRECISIONS)}")
    if precision == "auto":
        quick = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if quick else None
    return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": None}[precision]


def autocast(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[Any]:
    """Autocast to ``dtype``; nothing where it is None."""
    if dtype is None:
        return nullcontext()
    return torch.autocast(device.type, dtype=dtype)


class _Light(TorchFunctionMode):
    """Layer norms and enlargements of a network under autocast give the type that comes next.

    Autocast would have them give float32, which the next layer casts back. Their sums are float32
    nevertheless. And patches of three channels become places of many.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.layer_norm and torch.is_autocast_enabled("cuda"):
            return _light_norm(*args, **kwargs)
        if func is F.interpolate and torch.is_autocast_enabled("cuda"):
            with torch.autocast("cuda", enabled=False):  # in the type that is given
                return func(*args, **kwargs)
        if func is torch.conv2d and not kwargs and len(args) == 7:
            image, weight, bias, stride, padding, dilation, groups = args
            side = _number(stride)
            patches = side > 1 and weight.shape[1] == 3 and _number(dilation) == groups == 1
            if patches and weight.shape[2] % side == weight.shape[3] % side == 0:
                return _by_depth(image, weight, bias, side, _number(padding))
        return func(*args, **kwargs)


def _number(value: Any) -> int:
    """A convolution's step or padding where it is the same in both directions, else 0."""
    pair = (value, value) if isinstance(value, int) else tuple(value)
    return int(pair[0]) if len(pair) == 2 and pair[0] == pair[1] else 0


def _light_norm(
    x: Tensor,
    shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    dtype = torch.get_autocast_dtype("cuda")
    with torch.autocast("cuda", enabled=False):
        return F.layer_norm(
            x.to(dtype),
            shape,
            None if weight is None else weight.to(dtype),
            None if bias is None else bias.to(dtype),
            eps,
        )


def _by_depth(
    image: Tensor, weight: Tensor, bias: Tensor | None, side: int, padding: int
) -> Tensor:
    """A convolution in steps of ``side`` after space was brought to depth."""
    deep = F.pixel_unshuffle(F.pad(image, (padding,) * 4), side)
    deep = deep.contiguous(memory_format=torch.channels_last)
    return F.conv2d(deep, F.pixel_unshuffle(weight, side), bias)


class Recorded:
    """A function of CUDA tensors as CUDA graphs, one for each set of shapes that comes again.

    The first call with given shapes runs as it is, the second one is recorded, all others are
    replayed. Results are copies. What cannot be recorded runs as it is for ever.

    Args:
        function: Takes tensors and None; returns a tensor, or a dataclass, list or tuple of them.
            It waits for nothing on the CPU and keeps nothing of a call.
        dtype: Autocast to it within.
        light: Let layer norms give ``dtype``, too, and cut images into patches by their depth.

    Attributes:
        recorded: How many graphs were recorded.
        reason: Why the last one that could not be was not.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        dtype: torch.dtype | None = None,
        light: bool = True,
    ) -> None:
        self.function, self.dtype = function, dtype
        self.light = light and dtype is not None
        self.recorded, self.reason = 0, ""
        self._one_at_a_time = Lock()
        self._known: OrderedDict[Any, tuple[Any, list[Any], Any] | None] = OrderedDict()

    def __call__(self, *inputs: Tensor | None) -> Any:
        """The function's result."""
        tensors = [value for value in inputs if value is not None]
        recordable = tensors and all(value.is_cuda for value in tensors)
        if not recordable or torch.is_grad_enabled():
            return self._run(*inputs)
        with self._one_at_a_time, torch.cuda.device(tensors[0].device):
            return self._replayed(*inputs)

    def _replayed(self, *inputs: Tensor | None) -> Any:
        key = tuple(
            None if value is None else (tuple(value.shape), value.dtype, value.device)
            for value in inputs
        )
        if key not in self._known:
            self._known[key] = None
            while len(self._known) > GRAPHS:
                self._known.popitem(last=False)
            return self._run(*inputs)
        self._known.move_to_end(key)
        if self._known[key] is None:
            try:
                self._known[key] = self._record(inputs)
                self.recorded += 1
            except RuntimeError as error:
                self.reason = str(error).partition("\n")[0]
                self._known[key] = (None, [], None)
        known = self._known[key]
        assert known is not None
        graph, places, result = known
        if graph is None:
            return self._run(*inputs)
        for place, value in zip(places, inputs, strict=True):
            if place is not None:
                place.copy_(value)
        graph.replay()
        return change_tensors(result, torch.clone)

    def _run(self, *inputs: Tensor | None) -> Any:
        device = next((value.device for value in inputs if value is not None), None)
        light = _Light() if self.light else nullcontext()
        with autocast(device or torch.device("cpu"), self.dtype), light:
            return self.function(*inputs)

    def _record(self, inputs: tuple[Tensor | None, ...]) -> tuple[Any, list[Any], Any]:
        places = [None if value is None else value.clone() for value in inputs]
        stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        before = torch.backends.cudnn.benchmark
        torch.backends.cudnn.benchmark = True
        try:
            with torch.cuda.stream(stream):
                self._run(*places)  # libraries choose their kernels and make their handles
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                result = self._run(*places)
        finally:
            torch.backends.cudnn.benchmark = before
        return graph, places, result


class _Accelerated:
    """A model whose forward pass and :meth:`segment` are recorded; all else is its own."""

    def __init__(self, model: LocalizationModel, dtype: torch.dtype | None) -> None:
        self._model = model
        self._forward, self._segment = Recorded(model, dtype), Recorded(model.segment, dtype)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __call__(self, *inputs: Tensor | None) -> Prediction:
        prediction: Prediction = change_tensors(self._forward(*inputs), _wide)
        return prediction

    def segment(self, overhead: Tensor) -> Tensor:
        return _wide(self._segment(overhead))


def _wide(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def accelerated(
    model: LocalizationModel, device: torch.device, precision: str = "auto"
) -> LocalizationModel:
    """The model as it is fastest on a device without gradients; the model itself on a CPU.

    Products are computed in the type of ``precision`` by autocast; results are float32. On CUDA
    convolutions run in channels-last order, and what comes again with the same shapes is recorded
    and replayed (:class:`Recorded`), with the parameters as they were then.

    Args:
        model: In evaluation mode, on the device.
        device: Where it is.
        precision: See :func:`precision_type`.

    Raises:
        ConfigurationError: The precision is not one of :data:`PRECISIONS`.
    """
    dtype = precision_type(precision, device)
    if device.type == "cuda":
        model.to(memory_format=torch.channels_last)
    elif dtype is None:
        return model
    return cast(LocalizationModel, _Accelerated(model, dtype))


@contextmanager
def exact_products() -> Iterator[None]:
    """Within it, float32 products on CUDA keep all their bits: no TF32 anywhere."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before
