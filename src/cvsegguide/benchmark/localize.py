"""Localisation from end to end beside the bare forward pass of the same network."""

import numpy as np
import torch
from numpy.typing import NDArray

from cvsegguide.benchmark.registry import Measurement, median_seconds


def measure(quick: bool = False) -> list[Measurement]:
    """Time :meth:`Localizer.localize` on arrays in memory, warm, against the network alone.

    The pair has published sizes: a tile of 256 x 256 pixels and the middle half of a panorama,
    832 x 3328 pixels. What is left beside the network: shrinking the panorama, the posterior,
    regions and land cover.

    Args:
        quick: The small MST alone; else the published one as well.
    """
    from cvsegguide.inference.localizer import Localizer
    from cvsegguide.models.registry import create_model

    rng = np.random.default_rng(0)
    overhead = _texture(rng, 256, 256)
    street = _texture(rng, 832, 3328)
    results = []
    for name in ("mst-small",) if quick else ("mst-small", "mst"):
        torch.manual_seed(0)
        localizer = Localizer(create_model(name), name=name)
        model, device = localizer.model, localizer.device
        pair = (
            torch.rand(1, 3, *model.overhead_size, device=device),
            torch.rand(1, 3, *model.street_size, device=device),
        )

        def forward(model: torch.nn.Module = model, pair: tuple[torch.Tensor, ...] = pair) -> None:
            with torch.inference_mode():
                model(*pair).heatmap.sum().item()

        def localize(localizer: Localizer = localizer) -> None:
            localizer.localize(overhead, street, gsd=localizer.model.gsd)

        repeats = 3 if quick else 7
        whole, bare = median_seconds(localize, forward, repeats=repeats)
        results.append(
            Measurement(
                name=f"localize, {name}",
                value=1000 * whole,
                unit="ms",
                reference=1000 * bare,
                reference_name="forward pass",
                note=f"256 x 256 and 832 x 3328 pixels, {device}, "
                f"{torch.get_num_threads()} threads",
            )
        )
    return results


def _texture(rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """A smooth picture: noise alone makes posteriors that no photograph makes."""
    from cvsegguide.io.rasters import resample

    coarse = rng.integers(0, 256, (height // 16, width // 16, 3), np.uint8)
    return np.array(resample(coarse, (height, width)))
