"""Checkpoints of the original CVSegGuide code (``.pth.tar``), translated to our networks.

The names and shapes that such a file holds are derived from our own modules, and from those parts
that the original keeps but never reads: the overhead view's last stage, norm and classifier, the
street view's classifier, the last heatmap head.
"""

import re
from collections.abc import Mapping
from os import PathLike

import torch
from torch import Tensor, nn

from cvsegguide.errors import CheckpointError
from cvsegguide.io.checkpoints import check_parameters, read_checkpoint, read_state_dict
from cvsegguide.models.backbones.crossformer import CrossFormer
from cvsegguide.models.base import LocalizationModel, check_choice
from cvsegguide.models.featup import FeatUpModel, UpsampledFeatures
from cvsegguide.models.heads.pixel import PixelHead
from cvsegguide.models.mst import MultiScaleTransformer
from cvsegguide.models.registry import create_model

_MST_NAMES = (
    (r"^overhead\.", "aerial."),
    (r"^landcover_decoder\.(\d+)\.", r"transformer.decod_\1."),
    (r"^similarities\.(\d+)\.overhead\.", r"transformer.aerial_feat\1."),
    (r"^similarities\.(\d+)\.street\.", r"transformer.street_feat\1."),
    (r"^heatmap_decoder\.(\d+)\.", r"transformer.depth_\1."),
    (r"^fusion\.", "transformer.depth."),
)
_FEATUP_NAMES = (
    (r"^(overhead|street)\.backbone\.model\.", r"\1.model.0.model."),
    (r"^(overhead|street)\.norm\.", r"\1.model.1.norm."),
    (r"^overhead\.", "aerial."),
    (r"^landcover_head\.", "transformer.labeling."),
    (r"^similarity\.overhead\.", "transformer.aerial_feat."),
    (r"^similarity\.street\.", "transformer.street_feat."),
    (r"^fusion\.", "transformer.depth."),
)
_CLASSIFIER_CLASSES = 1000


def _upsampler_name(name: str) -> str:
    name = re.sub(r"\bupsampler\.mix\.", "upsampler.fixup_proj.1.", name)
    return re.sub(r"\bupsampler\.steps\.(\d+)\.", lambda m: f"upsampler.up{int(m[1]) + 1}.", name)


def published_name(model: nn.Module, name: str) -> str:
    """What the original code calls the parameter ``name`` of one of our networks."""
    for pattern, replacement in _FEATUP_NAMES if isinstance(model, FeatUpModel) else _MST_NAMES:
        name = re.sub(pattern, replacement, name)
    return _upsampler_name(name)


def unread_parameters(model: MultiScaleTransformer) -> dict[str, tuple[int, ...]]:
    """Names and shapes that the original MST keeps and never reads, or derives from sizes."""
    config = model.config()
    with torch.device("meta"):
        full = CrossFormer(
            config["embed_dim"], config["depths"], config["heads"], config["group_size"]
        )
        last = PixelHead(1, config["heatmap_channels"], 1, model.overhead_size)
    shapes = {f"aerial.{name}": tuple(value.shape) for name, value in full.state_dict().items()}
    width = full.widths[-1]
    for view, size in (("aerial", model.overhead_size), ("street", model.street_size)):
        shapes[f"{view}.head.weight"] = (_CLASSIFIER_CLASSES, width)
        shapes[f"{view}.head.bias"] = (_CLASSIFIER_CLASSES,)
        for stage, depth in enumerate(config["depths"]):
            group = min(config["group_size"], *(side // (4 * 2**stage) for side in size))
            for block in range(depth):
                prefix = f"{view}.layers.{stage}.blocks.{block}.attn"
                shapes[f"{prefix}.biases"] = ((2 * group - 1) ** 2, 2)
                shapes[f"{prefix}.relative_position_index"] = (group**2, group**2)
    finest = len(model.heatmap_decoder)
    for name, value in last.state_dict().items():
        shapes[f"transformer.depth_{finest}.{name}"] = tuple(value.shape)
    return shapes


def detect(state: Mapping[str, Tensor], path: str | PathLike[str]) -> tuple[str, str]:
    """Backbone and guidance of a published state dict.

    True and predicted guidance have the same parameters; the answer for both is ``"predicted"``.

    Raises:
        CheckpointError: It is of neither published network.
    """
    if "transformer.labeling.0.weight" in state:
        backbone = "featup"
    elif "transformer.decod_0.0.weight" in state:
        backbone = "mst"
    else:
        raise CheckpointError(
            f"{path}: not a published CVSegGuide checkpoint (neither "
            "'transformer.decod_0.0.weight' nor 'transformer.labeling.0.weight' is there)"
        )
    fusion = state.get("transformer.depth.0.weight")
    if fusion is None or fusion.ndim != 4:
        raise CheckpointError(f"{path}: parameter 'transformer.depth.0.weight' is missing")
    return backbone, "none" if fusion.shape[1] == 1 else "predicted"


def load_published(
    path: str | PathLike[str], backbone: str = "mst", guidance: str = "predicted"
) -> LocalizationModel:
    """Load a checkpoint of the original code.

    Args:
        path: ``.pth.tar`` file: a dictionary with ``state_dict``, or the state dict itself.
        backbone: ``"mst"`` or ``"featup"``.
        guidance: ``"predicted"``, ``"none"`` or ``"truth"``.

    Returns:
        The network in evaluation mode, ``variant="published"``.

    Raises:
        CheckpointError: The file cannot be read safely, or a parameter is missing, extra or
            misshapen.
    """
    return from_published(read_state_dict(path), path, backbone, guidance)


def from_published(
    state: Mapping[str, Tensor], path: str | PathLike[str], backbone: str, guidance: str
) -> LocalizationModel:
    """As :func:`load_published`, from a state dict already read; ``path`` is for messages."""
    check_choice("backbone", backbone, ("mst", "featup"))
    # Made without storage: every parameter comes from the file.
    with torch.device("meta"):
        model = create_model(backbone, guidance=guidance, variant="published")
    names = {name: published_name(model, name) for name in model.state_dict()}
    expected = {names[name]: tuple(value.shape) for name, value in model.state_dict().items()}
    unread = unread_parameters(model) if isinstance(model, MultiScaleTransformer) else {}
    check_parameters(path, state, {**unread, **expected})
    for original in expected:
        if not state[original].is_floating_point():
            raise CheckpointError(f"{path}: parameter '{original}' is not floating point")
    model.load_state_dict(
        {ours: state[original].float().clone() for ours, original in names.items()}, assign=True
    )
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    if isinstance(model, FeatUpModel):
        for view in (model.overhead, model.street):
            if view is not None:
                view.requires_grad_(False)
    return model.eval()


def load_featup_upsampler(model: FeatUpModel, path: str | PathLike[str]) -> None:
    """Load FeatUp's own upsampler weights (a Lightning ``.ckpt``) into both views of ``model``.

    The file is for example ``dino16_jbu_stack_cocostuff.ckpt`` of the FeatUp project. Its entries
    ``upsampler.*`` and, where there, the channel norm ``model.1.norm.*`` are taken; the rest
    (backbone, downsampler, training helpers) is left aside.

    Raises:
        CheckpointError: The file cannot be read safely, or has no fitting upsampler.
    """
    content = read_checkpoint(path)
    state = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping):
        raise CheckpointError(f"{path}: holds no named parameters")
    found = {
        str(name): value
        for name, value in state.items()
        if isinstance(value, Tensor) and str(name).startswith(("upsampler.", "model.1.norm."))
    }
    view = model.overhead
    prefix = {"model.1.norm.": "norm."}
    ours = {f"upsampler.{name}": value for name, value in view.upsampler.state_dict().items()}
    wanted = {_upsampler_name(name): tuple(value.shape) for name, value in ours.items()}
    norm = {
        f"model.1.norm.{name}": tuple(value.shape) for name, value in view.norm.state_dict().items()
    }
    if any(name in found for name in norm):
        wanted.update(norm)
    check_parameters(path, found, wanted)
    translated = {name: found[_upsampler_name(name)] for name in ours}
    for theirs, mine in prefix.items():
        for name, value in found.items():
            if name.startswith(theirs):
                translated[name.replace(theirs, mine)] = value
    for target in (model.overhead, model.street):
        if isinstance(target, UpsampledFeatures):
            target.load_state_dict(translated, strict=False)
