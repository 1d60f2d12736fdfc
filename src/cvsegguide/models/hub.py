"""Networks on disk and on the Hugging Face Hub: ``config.json``, ``model.safetensors``, a card."""

import json
import re
import sys
from logging import ERROR
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from cvsegguide.errors import CheckpointError, ConfigurationError, InputError, first_sentence
from cvsegguide.io.atomic import atomic_folder, write_text
from cvsegguide.io.checkpoints import check_parameters, read_checkpoint, read_state_dict
from cvsegguide.models.base import LocalizationModel
from cvsegguide.models.published import detect, from_published
from cvsegguide.models.registry import from_config

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
CARD = "README.md"
DEFAULT = "synthcity"
"""Name of the best bundled weights."""

_WEIGHTS_FOLDER = Path(__file__).resolve().parents[1] / "weights"
_PICKLED = (".pth.tar", ".pth", ".pt", ".tar", ".ckpt")


def bundled_weights() -> dict[str, Path]:
    """Names of the weights that ship with the package -> their folders."""
    if not _WEIGHTS_FOLDER.is_dir():
        return {}
    return {
        folder.name: folder
        for folder in sorted(_WEIGHTS_FOLDER.iterdir())
        if (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file()
    }


def default_weights() -> str:
    """Name of the bundled weights that are used when none are asked for.

    Raises:
        ConfigurationError: None are bundled.
    """
    names = list(bundled_weights())
    if not names:
        raise ConfigurationError(
            "--model: no weights are bundled with this version; pass a directory written by "
            "`cvsegguide fit` or `cvsegguide convert`, a Hugging Face repository id, or a "
            "published .pth.tar checkpoint"
        )
    return DEFAULT if DEFAULT in names else names[0]


def load_model(source: str | PathLike[str]) -> LocalizationModel:
    """Load a network in evaluation mode.

    Args:
        source: Name of bundled weights; a folder or ``.safetensors`` file that
            :func:`save_model` wrote; a published checkpoint (``.pth.tar``; backbone and guidance
            are told from its parameters, true guidance reads as predicted); or a Hugging Face
            repository id ``owner/name``, downloaded once and cached.

    Raises:
        CheckpointError: It is none of these, or cannot be read.
    """
    text = str(source)
    if not text:
        raise CheckpointError(f"no model given ({_choices()})")
    bundled = bundled_weights()
    if text in bundled:
        return _load_folder(bundled[text])
    path = Path(source)
    if path.is_dir():
        return _load_folder(path)
    if path.is_file():
        if path.suffix == ".safetensors":
            return _load_weights(path.parent / CONFIG, path)
        state = read_state_dict(path)
        backbone, guidance = detect(state, path)
        return from_published(state, path, backbone, guidance)
    looks_like_file = text.endswith((".safetensors", *_PICKLED)) or path.is_absolute()
    if not looks_like_file and re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", text):
        return _load_from_hub(text)
    raise CheckpointError(f"{text}: no such file, folder or bundled model ({_choices()})")


def _choices() -> str:
    names = ", ".join(bundled_weights())
    return f"bundled: {names}" if names else "no weights are bundled"


def _load_folder(folder: Path) -> LocalizationModel:
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder}: no {name} in this folder")
    return _load_weights(folder / CONFIG, folder / WEIGHTS)


def _load_weights(config_path: Path, weights: Path) -> LocalizationModel:
    try:
        config = json.loads(config_path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{config_path}: not a readable configuration ({error})") from None
    if not isinstance(config, dict):
        raise CheckpointError(f"{config_path}: not a table of arguments")
    config.pop("cvsegguide_version", None)
    state = read_checkpoint(weights)
    try:
        with torch.device("meta"):
            model = from_config(config)
    except ConfigurationError as error:
        raise CheckpointError(f"{config_path}: {error}") from None
    wanted = model.state_dict()
    check_parameters(weights, state, {name: tuple(value.shape) for name, value in wanted.items()})
    for name, value in state.items():
        if not wanted[name].is_floating_point():
            state[name] = value.to(wanted[name].dtype)  # counters
            continue
        if not value.is_floating_point():
            raise CheckpointError(f"{weights}: parameter '{name}' is not floating point")
        state[name] = value.float()  # files of half precision are a good way to save space
    trainable = {name: value.requires_grad for name, value in model.named_parameters()}
    model.load_state_dict(state, assign=True)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trainable[name])
    return model.eval()


def _load_from_hub(repository: str) -> LocalizationModel:
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.utils import logging as hub_logging

    # Its words about every new try would stand around the one line that says what is wrong.
    verbosity = hub_logging.get_verbosity()
    hub_logging.set_verbosity(ERROR)
    if not isinstance(try_to_load_from_cache(repository, WEIGHTS), str):
        # Without a network the library tries for half a minute.
        print(f"looking for {repository} on the Hugging Face Hub", file=sys.stderr, flush=True)
    try:
        config = Path(hf_hub_download(repository, CONFIG))
        weights = Path(hf_hub_download(repository, WEIGHTS))
    except Exception as error:  # offline, unknown, private: the library has many kinds
        # "404 Client Error. (Request ID: ...)" stands before what is wrong.
        text = re.sub(r"^\d{3} \w+ Error[^\n]*\n", "", str(error).strip())
        reason = first_sentence(text) or type(error).__name__
        raise CheckpointError(
            f"{repository}: neither a local file or folder nor a Hugging Face repository that "
            f"could be read ({reason}); {_choices()}"
        ) from None
    finally:
        hub_logging.set_verbosity(verbosity)
    return _load_weights(config, weights)


def save_model(
    model: LocalizationModel, directory: str | PathLike[str], card: dict[str, Any] | None = None
) -> None:
    """Write ``model.safetensors``, ``config.json`` and the model card ``README.md``.

    Args:
        model: The network.
        directory: Made when it is not there.
        card: Facts for the card, in this order and with these words as headings:
            ``{"Training data": "...", "Errors": "..."}``; ``license`` goes into its header.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    from cvsegguide import __version__

    folder = Path(directory)
    # What is refused is refused before anything is written.
    config = {**model.config(), "cvsegguide_version": __version__}
    texts = {
        CONFIG: json.dumps(config, indent=2) + "\n",
        CARD: model_card(model, card or {}),
    }
    state = {
        name: value.detach().cpu().contiguous().clone()
        for name, value in model.state_dict().items()
    }
    with atomic_folder(folder) as stage:
        try:
            save_file(state, stage / WEIGHTS, metadata={"format": "pt"})
        except SafetensorError as error:
            reason = " ".join(str(error).split())[:160]
            raise InputError(f"{folder / WEIGHTS}: cannot be written ({reason})") from None
        for name, text in texts.items():
            write_text(stage / name, text)


def model_card(model: LocalizationModel, facts: dict[str, Any]) -> str:
    """The text of the model card."""
    facts = dict(facts)
    license_name = facts.pop("license", None)
    config = model.config()
    count = sum(value.numel() for value in model.parameters())
    height, width = model.overhead_size
    street_height, street_width = model.street_size
    header = ["---", "library_name: cvsegguide", "tags: [geo-localisation, cross-view]"]
    if license_name:
        header.append(f"license: {license_name}")
    lines = [
        *header,
        "---",
        f"# CVSegGuide: {config['model']}",
        "",
        f"- {count / 1e6:.1f} million parameters, guidance: {model.guidance}, "
        f"variant: {config.get('variant', '-')}",
        f"- overhead {height} x {width} pixels at {model.gsd} m per pixel",
        f"- street view {street_height} x {street_width} pixels spanning "
        f"{model.street_extent[0]:g} x {model.street_extent[1]:g} degrees",
        f"- land-cover channels: {', '.join(model.channels)}",
        "",
    ]
    for heading, text in facts.items():
        lines += [f"## {heading}", "", str(text), ""]
    lines += [
        "## Use",
        "",
        "```python",
        "import cvsegguide",
        "",
        'localizer = cvsegguide.Localizer.from_pretrained("path/or/owner/name")',
        "```",
        "",
    ]
    return "\n".join(lines)


def push_to_hub(
    model: LocalizationModel,
    repository: str,
    card: dict[str, Any] | None = None,
    private: bool = False,
) -> str:
    """Upload a network to the Hugging Face Hub (log in first: ``hf auth login``).

    Returns:
        Address of the commit.
    """
    import tempfile

    from huggingface_hub import HfApi

    api = HfApi()
    api.create_repo(repository, private=private, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, folder, card)
        return str(api.upload_folder(repo_id=repository, folder_path=folder))
