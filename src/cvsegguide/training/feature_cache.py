"""What a frozen backbone makes of a picture, kept on disk, so that an epoch costs only the heads.

A file's name is a hash of the very pixels that went into the backbone, below a folder named by a
hash of the backbone: its weights, structure and precision. Nothing can therefore be read that does
not belong; another backbone, another input size or another rotation of a tile finds nothing and is
computed. It also follows that only pictures that come again are worth keeping: as they are on
disk, or turned by quarters and mirrored (eight variants each); transforms that draw from a
continuum, such as photometric ones, never make the same picture twice and are refused.
"""

import hashlib
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cvsegguide import console
from cvsegguide.data.transforms import Mirror, Rotate
from cvsegguide.errors import ConfigurationError, InputError
from cvsegguide.io.atomic import atomic_path
from cvsegguide.models.featup import UpsampledFeatures

_FORMAT = "1"
_NAME = "features"


class FeatureCache(Callback):
    """Computes the features of frozen backbones once per picture while ``fit`` runs.

    Args:
        directory: Folder, made when first written to. Several runs and processes may share it.

    Attributes:
        read, computed: Pictures whose features were found, and not, so far.
    """

    def __init__(self, directory: str) -> None:
        self.directory = Path(directory)
        self.read = self.computed = 0
        self._full = False
        self._fingerprints: dict[tuple[int, str], str] = {}
        self._views: list[UpsampledFeatures] = []

    def __call__(self, backbone: nn.Module, image: Tensor) -> Tensor:
        """The features ``backbone(image)``, ``(B, C, h, w)``, of ``image (B, 3, H, W)``."""
        folder = self.directory / self._fingerprint(backbone, image)
        pixels = image.detach().float().cpu().contiguous().numpy()
        names = [hashlib.blake2b(picture, digest_size=16).hexdigest() for picture in pixels]
        paths = [folder / name[:2] / f"{name}.safetensors" for name in names]
        found = [_load(path) for path in paths]
        missing = [index for index, features in enumerate(found) if features is None]
        self.read += len(found) - len(missing)
        self.computed += len(missing)
        if missing:
            with torch.no_grad():
                made = backbone(image[missing])
            for index, features in zip(missing, made, strict=True):
                self._store(paths[index], features)
                found[index] = features
        return torch.stack([f.to(image.device, non_blocking=True) for f in found if f is not None])

    def _store(self, path: Path, features: Tensor) -> None:
        if self._full:
            return
        try:
            with atomic_path(path) as temporary:
                save_file({_NAME: features.cpu().contiguous().clone()}, temporary)
        except (InputError, OSError, RuntimeError) as error:
            self._full = True  # training goes on without
            console.complain("warning", f"features are no longer cached ({error})")

    def _fingerprint(self, backbone: nn.Module, image: Tensor) -> str:
        device = image.device.type
        precision = str(image.dtype)
        if torch.is_autocast_enabled(device):
            precision += f" {torch.get_autocast_dtype(device)}"
        key = (id(backbone), precision)
        if key not in self._fingerprints:
            digest = hashlib.blake2b(digest_size=12)
            position = getattr(backbone, "position_resampling", "")
            for text in (_FORMAT, repr(backbone), str(position), precision):
                digest.update(f"{text}\0".encode())
            for name, value in sorted(backbone.state_dict().items()):
                digest.update(f"{name} {value.dtype} {tuple(value.shape)}\0".encode())
                digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
            self._fingerprints[key] = digest.hexdigest()
        return self._fingerprints[key]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the cache in front of the backbones.

        Raises:
            ConfigurationError: No backbone is frozen, or a transform never makes a picture twice.
        """
        data = getattr(trainer, "datamodule", None)
        for transform in getattr(data, "transforms", ()):
            if not isinstance(transform, Rotate | Mirror):
                raise ConfigurationError(
                    f"{type(transform).__name__} makes a new picture every time, whose features "
                    "are never met again; take it out of data.transforms, or leave the cache out",
                    parameter="feature_cache",
                )
        parts = (part for part in pl_module.modules() if isinstance(part, UpsampledFeatures))
        self._views = [view for view in parts if view.frozen_backbone]
        if not self._views:
            raise ConfigurationError(
                "the network has no frozen backbone whose features could be kept",
                parameter="feature_cache",
            )
        for view in self._views:
            view.cached = self

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the cache away, and say what it was worth."""
        for view in self._views:
            view.cached = None
        console.note(
            f"features of the frozen backbone: {self.read} read, {self.computed} computed "
            f"({self.directory})"
        )


def _load(path: Path) -> Tensor | None:
    """The features of a file, or None where there is none that is whole."""
    try:
        return load_file(path).get(_NAME)
    except (OSError, SafetensorError):
        return None
