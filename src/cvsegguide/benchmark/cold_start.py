"""``cvsegguide localize`` from the shell with bundled weights, beside the least it has to do."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from cvsegguide.benchmark.registry import Measurement, median_seconds
from cvsegguide.errors import CVSegGuideError


def measure(quick: bool = False) -> list[Measurement]:
    """Whole processes, from start to exit; files come from the page cache.

    The reference is ``python -c "import torch, rasterio"`` plus one forward pass of the bundled
    network, measured warm in this process.
    """
    import torch
    from PIL import Image

    from cvsegguide.benchmark.networks import pairs, threads
    from cvsegguide.models.hub import load_model

    model = load_model("synthcity")
    inputs = pairs(model, 1)

    def forward() -> None:
        with torch.inference_mode():
            model(*inputs)

    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        for name, size in (("overhead.png", (256, 256)), ("street.png", (512, 256))):
            coarse = rng.integers(0, 256, (size[1] // 16, size[0] // 16, 3), np.uint8)
            Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(Path(folder) / name)
        localize = [
            *(sys.executable, "-m", "cvsegguide", "localize"),
            *(str(Path(folder) / "overhead.png"), str(Path(folder) / "street.png")),
            *("--gsd", f"{model.gsd:g}", "--model", "synthcity", "--json"),
        ]
        whole, imports, once = median_seconds(
            lambda: _run(localize),
            lambda: _run([sys.executable, "-c", "import torch, rasterio"]),
            forward,
            repeats=3 if quick else 7,
            wall=True,
        )
    note = f"{threads()}; imports {imports:.3g} s, forward pass {once:.3g} s"
    return [
        Measurement(
            "localize from the shell, cold",
            whole,
            "s",
            imports + once,
            'python -c "import torch, rasterio" plus a forward pass',
            note,
        )
    ]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise CVSegGuideError(f"{' '.join(command[1:4])} failed: {reason}")
