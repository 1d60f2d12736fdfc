"""Networks on disk and on the Hugging Face Hub: ``config.json``, ``model.safetensors``, a card."""

import json
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from cvsegguide import console
from cvsegguide.errors import CheckpointError, ConfigurationError, InputError, first_sentence
from cvsegguide.io.atomic import atomic_folder, write_text
from cvsegguide.io.checkpoints import check_parameters, read_checkpoint, read_state_dict
from cvsegguide.models.base import LocalizationModel
from cvsegguide.models.card import PLACE, model_card
from cvsegguide.models.published import detect, from_published
from cvsegguide.models.registry import from_config, to_config
from cvsegguide.progress import enabled

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
CARD = "README.md"
DEFAULT = "synthcity"
"""Name of the best bundled weights."""

PATIENCE = 5.0
"""Seconds that the Hub has to answer."""

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
            "no weights are bundled with this version; pass a directory written by "
            "`cvsegguide fit` or `cvsegguide convert`, a Hugging Face repository id, or a "
            "published .pth.tar checkpoint",
            parameter="model",
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
        with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they are
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
    """Download, or take from the cache where nobody answers within seconds."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    cached = all(
        isinstance(try_to_load_from_cache(repository, name), str) for name in (CONFIG, WEIGHTS)
    )
    if not cached:
        console.note(f"looking for {repository} on the Hugging Face Hub")
    with _silent_hub():
        fault = _ask_hub(repository)
        try:
            # The library itself tries again and again where there is no network.
            offline = fault is not None
            if offline and not cached:
                raise fault if fault else OSError
            config = Path(hf_hub_download(repository, CONFIG, local_files_only=offline))
            weights = Path(hf_hub_download(repository, WEIGHTS, local_files_only=offline))
        except Exception as error:  # offline, unknown, private: the library has many kinds
            raise CheckpointError(
                f"{repository}: neither a local file or folder nor a Hugging Face repository that "
                f"could be read ({_hub_reason(error)}); {_choices()}"
            ) from None
    if fault is not None:
        console.note(f"{repository}: the copy in the cache; the Hub said: {_hub_reason(fault)}")
    return _load_weights(config, weights)


@contextmanager
def _silent_hub() -> Iterator[None]:
    """The library's words about every new try would stand around the line that says what is wrong.

    Its progress bars are drawn in terminals only, and not with ``--quiet``.
    """
    from huggingface_hub.utils import logging as hub_logging
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    verbosity = hub_logging.get_verbosity()
    bars = not are_progress_bars_disabled()
    hub_logging.set_verbosity(ERROR)
    if bars and not enabled():
        disable_progress_bars()
    try:
        yield
    finally:
        hub_logging.set_verbosity(verbosity)
        if bars and not enabled():
            enable_progress_bars()


def _ask_hub(repository: str) -> Exception | None:
    """Ask for the header of the configuration, once and for seconds; return what went wrong.

    In a thread, since looking a name up can take longer than any limit on the connection.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    faults: list[Exception | None] = []

    def ask() -> None:
        try:
            get_hf_file_metadata(hf_hub_url(repository, CONFIG), timeout=PATIENCE)
        except Exception as error:
            faults.append(error)
        else:
            faults.append(None)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE + 1)
    return faults[0] if faults else TimeoutError(f"no answer within {PATIENCE:g} seconds")


def _hub_reason(error: BaseException) -> str:
    """What the library's message says first."""
    from huggingface_hub import constants

    seen: BaseException | None = error
    while seen is not None:
        if type(seen).__name__ in ("ConnectError", "ConnectTimeout", "ConnectionError", "gaierror"):
            return f"no connection to {constants.ENDPOINT}"
        seen = seen.__cause__
    # "404 Client Error. (Request ID: ...)" stands before what is wrong.
    text = re.sub(r"^\d{3} \w+ Error[^\n]*\n", "", str(error).strip())
    return first_sentence(text) or type(error).__name__


def save_model(
    model: LocalizationModel, directory: str | PathLike[str], card: dict[str, Any] | None = None
) -> None:
    """Write ``model.safetensors``, ``config.json`` and the model card ``README.md``.

    Args:
        model: The network.
        directory: Made when it is not there.
        card: Facts for the card, in this order and with these words as headings:
            ``{"Training data": "...", "Errors": "..."}``; ``license`` and ``results`` go into its
            header (:func:`cvsegguide.models.card.model_card`).
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    from cvsegguide import __version__

    folder = Path(directory)
    # What is refused is refused before anything is written.
    config = {**to_config(model), "cvsegguide_version": __version__}
    texts = {
        CONFIG: json.dumps(config, indent=2) + "\n",
        CARD: model_card(model, card or {}),
    }
    state = {
        name: value.detach().cpu().contiguous().clone()
        for name, value in model.state_dict().items()
    }
    with atomic_folder(folder) as stage:
        for name, text in texts.items():
            write_text(stage / name, text)
        try:
            save_file(state, stage / WEIGHTS, metadata={"format": "pt"})
        except SafetensorError as error:
            reason = " ".join(str(error).split())[:160]
            raise InputError(f"{folder / WEIGHTS}: cannot be written ({reason})") from None
        shutil.copymode(stage / CONFIG, stage / WEIGHTS)  # the library keeps it to its owner


def push_to_hub(
    source: LocalizationModel | str | PathLike[str],
    repository: str,
    card: dict[str, Any] | None = None,
    private: bool = False,
) -> str:
    """Upload a network to the Hugging Face Hub (log in first: ``hf auth login``).

    ``Localizer.from_pretrained(repository)`` reads it back.

    Args:
        source: The network; or the name of bundled weights or a folder that :func:`save_model`
            wrote, which is uploaded with its own card.
        repository: ``owner/name``; made when it is not there.
        card: Facts for the card, as for :func:`save_model`; not with a folder that has a card.
        private: Whether a new repository is private.

    Returns:
        Address of the commit.

    Raises:
        CheckpointError: The source is none of these.
        InputError: The Hub does not take it: no network, not logged in, no right to.
    """
    import tempfile

    from huggingface_hub import HfApi

    with tempfile.TemporaryDirectory() as name:
        stage = Path(name) / "model"
        if isinstance(source, LocalizationModel):
            save_model(source, stage, card)
        else:
            folder = bundled_weights().get(str(source), Path(source))
            if (folder / CARD).is_file() and card is None:
                _load_folder(folder)  # what cannot be read back is not uploaded
                stage.mkdir()
                for part in (CONFIG, WEIGHTS, CARD):
                    shutil.copyfile(folder / part, stage / part)
            else:
                save_model(_load_folder(folder), stage, card)
        config = json.loads((stage / CONFIG).read_text(encoding="utf-8"))
        config.pop("model_file", None)  # a folder of this machine
        (stage / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        text = (stage / CARD).read_text(encoding="utf-8")
        (stage / CARD).write_text(text.replace(PLACE, repository), encoding="utf-8")
        with _silent_hub():
            try:
                api = HfApi()
                api.create_repo(repository, private=private, exist_ok=True)
                return str(
                    api.upload_folder(
                        repo_id=repository,
                        folder_path=stage,
                        commit_message=f"Upload {repository.rsplit('/', 1)[-1]}",
                    )
                )
            except Exception as error:  # the library has many kinds
                raise InputError(
                    f"{repository}: could not be uploaded ({_hub_reason(error)})"
                ) from None
