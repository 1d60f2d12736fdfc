"""The six published configurations compute what the original code computes."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from cvsegguide.models import load_published

_SPEC = importlib.util.spec_from_file_location(
    "published_checkpoints", Path(__file__).with_name("published.py")
)
assert _SPEC is not None
assert _SPEC.loader is not None
published = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(published)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["mst", "mst_nSeg", "mst_Seg", "featup", "featup_nSeg", "featup_Seg"]
)
def test_outputs_agree(name: str, shared: Path, tmp_path: Path) -> None:
    parity = shared / "parity"
    path = tmp_path / "model_best.pth.tar"
    state = published.state_dict(parity, name)
    torch.save(
        {
            "epoch": 100,
            "state_dict": state,
            "best_acc1": 1.0,
            "optimizer": {"state": {0: {"step": 1, "exp_avg": torch.zeros(2)}}, "param_groups": []},
        },
        path,
    )
    del state
    backbone, guidance = published.split(name)
    model = load_published(path, backbone=backbone, guidance=guidance)
    path.unlink()
    data = np.load(parity / f"{name}_seed0.npz")
    overhead, street = (
        torch.from_numpy(data[view].astype(np.float32) / 65535)[None]
        for view in ("overhead", "streetview")
    )
    landcover = None
    if guidance == "truth":
        landcover = torch.from_numpy(data["landcover"])[None] + 1
    with torch.inference_mode():
        out = model(overhead, street, landcover)
    assert not model.training
    assert out.heatmap.shape == (1, 1, 256, 256)
    np.testing.assert_allclose(out.heatmap[0, 0, ::2, ::2], data["heatmap"], atol=1e-4, rtol=0)
    if guidance == "predicted":
        assert out.landcover.shape == (1, 4, 256, 256)
        np.testing.assert_allclose(
            out.landcover[0, :, ::4, ::4], data["segmentation"], atol=1e-4, rtol=0
        )
    else:
        assert out.landcover is None


@pytest.mark.slow
def test_another_seed_is_as_exact(shared: Path, tmp_path: Path) -> None:
    """Rounding stays far below what agreement allows, whatever the parameters."""
    parity = shared / "parity"
    path = tmp_path / "model.pth.tar"
    torch.save({"state_dict": published.state_dict(parity, "mst_nSeg", seed=5)}, path)
    model = load_published(path, backbone="mst", guidance="none")
    data = np.load(parity / "mst_nSeg_seed0.npz")
    views = [
        torch.from_numpy(data[view].astype(np.float32) / 65535)[None]
        for view in ("overhead", "streetview")
    ]
    with torch.inference_mode():
        single = model(*views).heatmap
        double = model.double()(*(view.double() for view in views)).heatmap
    assert (single - double).abs().max() < 2e-5
    assert np.abs(single[0, 0, ::2, ::2].numpy() - data["heatmap"]).max() > 1e-2
