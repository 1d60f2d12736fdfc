"""The fast paths of linear layers and heads against the plain ones."""

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cvsegguide.models import convolutions, create_model
from cvsegguide.models import linear as fast
from cvsegguide.models.convolutions import patch_projection
from cvsegguide.models.heads import pixel, trained
from cvsegguide.models.heads.pixel import PixelHead


def pair(batch: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return (
        torch.rand(batch, 3, 64, 64, generator=generator),
        torch.rand(batch, 3, 32, 128, generator=generator),
    )


@pytest.mark.parametrize("shape", [(64, 24), (2, 5, 7, 24), (1, 24), (600, 24)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("gelu", [True, False])
def test_linear_and_its_gradients(shape: tuple[int, ...], bias: bool, gelu: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(24, 40, bias=bias)
    x = torch.randn(shape, requires_grad=True)

    def plain(x: torch.Tensor) -> torch.Tensor:
        y = F.linear(x, layer.weight, layer.bias)
        return F.gelu(y) if gelu else y

    def ours(x: torch.Tensor) -> torch.Tensor:
        return fast.linear(x, layer.weight, layer.bias, gelu)

    probe = torch.randn(*shape[:-1], 40)
    wanted = [x, *layer.parameters()]
    expected = torch.autograd.grad((plain(x) * probe).sum(), wanted)
    found = torch.autograd.grad((ours(x) * probe).sum(), wanted)
    for a, b in zip(found, expected, strict=True):
        assert float((a - b).abs().max()) <= 1e-5 * max(1.0, float(b.abs().max()))
    with torch.no_grad():
        torch.testing.assert_close(ours(x), plain(x), atol=1e-5, rtol=1e-5)


def test_the_fast_path_is_taken_and_can_be_left(monkeypatch: pytest.MonkeyPatch) -> None:
    if not torch.backends.mkldnn.is_available():
        pytest.skip("PyTorch was built without oneDNN")
    calls = []
    monkeypatch.setattr(fast, "multiply", lambda *a: calls.append(1) or F.linear(a[0], a[1], a[2]))
    x, weight = torch.randn(32, 8), torch.randn(4, 8)
    fast.linear(x, weight)
    assert calls == [1]
    with fast.plain_path():
        fast.linear(x, weight)
    fast.linear(x.double(), weight.double())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fast.linear(x, weight)
    assert calls == [1]


@pytest.mark.parametrize("variant", ["published", "corrected"])
def test_network_equals_its_plain_path(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # A small cache, so that every head is computed by parts.
    monkeypatch.setattr(pixel, "CHUNK_BYTES", 4096)
    torch.manual_seed(0)
    model = create_model("mst-tiny", variant=variant).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1 and not parameter.any():
            nn.init.normal_(parameter, std=0.1)  # residual branches start silent
    with torch.no_grad():
        found = model(*pair())
        with fast.plain_path():
            expected = model(*pair())
    for name in ("heatmap", "landcover"):
        torch.testing.assert_close(
            getattr(found, name), getattr(expected, name), atol=1e-4, rtol=1e-4
        )
    assert expected.heatmap.std() > 1e-3


@pytest.mark.parametrize("variant", ["published", "corrected"])
def test_gradients_of_the_network_equal_those_of_its_plain_path(
    variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A small cache, so that heads are trained by parts.
    monkeypatch.setattr(pixel, "CHUNK_BYTES", 4096)
    torch.manual_seed(0)
    model = create_model("mst-tiny", variant=variant).train()
    twin = copy.deepcopy(model)
    for network, plain in ((model, False), (twin, True)):
        if plain:
            with fast.plain_path():
                out = network(*pair())
                (out.heatmap.square().mean() + out.landcover.square().mean()).backward()
        else:
            out = network(*pair())
            (out.heatmap.square().mean() + out.landcover.square().mean()).backward()
    for (name, a), b in zip(model.named_parameters(), twin.parameters(), strict=True):
        if b.grad is None:
            assert a.grad is None, name
            continue
        assert a.grad is not None
        scale = float(b.grad.abs().max().clamp_min(1e-3))
        torch.testing.assert_close(a.grad / scale, b.grad / scale, atol=1e-4, rtol=0, msg=name)


def gradients(function: Callable[[torch.Tensor], torch.Tensor], module: nn.Module, x: torch.Tensor):
    """The result of ``function`` and what a random scalar of it is pulled back to."""
    x = x.clone().requires_grad_(not isinstance(module, nn.Conv2d))  # images want none
    result = function(x)
    probe = torch.randn(result.shape, generator=torch.Generator().manual_seed(1))
    wanted = [*([x] if x.requires_grad else []), *module.parameters()]
    return [result.detach(), *torch.autograd.grad((result * probe).sum(), wanted)]


def assert_same(found: list[torch.Tensor], expected: list[torch.Tensor]) -> None:
    for a, b in zip(found, expected, strict=True):
        assert float((a - b).abs().max()) <= 1e-4 * float(b.abs().max())


@pytest.mark.parametrize(("size", "part"), [((32, 32), 96), ((72, 40), 64), ((13, 37), 1)])
@pytest.mark.parametrize("outputs", [1, 5, 17])
def test_training_a_head_by_parts(
    size: tuple[int, int], part: int, outputs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(trained, "PART_BYTES", 4 * 12 * part)
    monkeypatch.setattr(pixel, "CHUNK_BYTES", 1024)
    head = PixelHead(6, 12, outputs, kernel_size=3)
    for parameter in head.parameters():
        nn.init.normal_(parameter, std=0.5)
    x = torch.randn(2, 6, *size)
    calls = []
    own = trained.trained_head
    monkeypatch.setattr(pixel, "trained_head", lambda *a: calls.append(1) or own(*a))
    found = gradients(head, head, x)
    assert calls == [1]
    with fast.plain_path():
        assert_same(found, gradients(head, head, x))
    assert calls == [1]


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("channels", [1, 4, 12])
def test_training_a_published_head(
    factor: int, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(trained, "PART_BYTES", 4 * 16 * 24 * channels)
    head = PixelHead(6, 10, 3, size=(16, 24))
    for parameter in head.parameters():
        nn.init.normal_(parameter, std=0.5)
    x = torch.randn(2, 6, 16 // factor, 24 // factor)
    run = head if factor == 1 else head.on_nearest
    found = gradients(run, head, x)
    with fast.plain_path():
        assert_same(found, gradients(run, head, x))


@pytest.mark.parametrize("side", [16, 32])
def test_gradient_of_a_large_patch_projection(side: int) -> None:
    torch.manual_seed(0)
    projection = nn.Conv2d(3, 6, side, stride=4, padding=(side - 4) // 2)
    image = torch.randn(2, 3, 40, 64)
    found = gradients(lambda x: patch_projection(x, projection), projection, image)
    assert_same(found, gradients(projection, projection, image))


def test_a_small_map_under_many_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    head = PixelHead(20, 30, 4, kernel_size=3)
    x = torch.randn(3, 20, 8, 8)
    monkeypatch.setattr(convolutions, "FEW_PLACES", 192)
    found = gradients(head, head, x)
    with fast.plain_path():
        assert_same(found, gradients(head, head, x))


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("outputs", [1, 4, 20])
def test_rows_of_a_head(kernel: int, outputs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    head = PixelHead(5, 12, outputs, kernel_size=kernel)
    x = torch.randn(2, 5, 19, 33)
    expected = nn.Sequential(*head)(x)
    monkeypatch.setattr(pixel, "CHUNK_BYTES", 4 * 12 * 33 * 4)
    with torch.no_grad():
        torch.testing.assert_close(head(x), expected.detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("outputs", [4, 20])
@pytest.mark.parametrize("chunk", [1024, 1 << 20])
def test_a_head_on_a_map_that_is_enlarged_image_by_image(
    kernel: int, outputs: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    head = PixelHead(5, 12, outputs, kernel_size=kernel)
    x = torch.randn(3, 5, 9, 14)
    large = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
    expected = nn.Sequential(*head)(large).detach()
    monkeypatch.setattr(pixel, "CHUNK_BYTES", chunk)
    with torch.no_grad():
        torch.testing.assert_close(head.on_linear(x), expected, atol=1e-5, rtol=1e-5)
    found = gradients(head.on_linear, head, x)
    with fast.plain_path():
        assert_same(found, gradients(head.on_linear, head, x))


def test_published_head_on_an_enlarged_map(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    head = PixelHead(6, 10, 3, size=(16, 24))
    norm = head[1]
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = torch.randn(2, 6, 8, 12)
    expected = nn.Sequential(*head)(F.interpolate(x, scale_factor=2.0, mode="nearest")).detach()
    monkeypatch.setattr(pixel, "CHUNK_BYTES", 16 * 24 * 4 * 3)
    with torch.no_grad():
        torch.testing.assert_close(head.on_nearest(x), expected, atol=1e-5, rtol=1e-5)


def test_the_kept_position_bias_follows_the_parameters() -> None:
    model = create_model("mst-tiny").eval()
    with torch.no_grad():
        before = model(*pair()).heatmap
        for name, parameter in model.named_parameters():
            if ".pos." in name:
                parameter.add_(torch.randn_like(parameter))
        after = model(*pair()).heatmap
        with fast.plain_path():
            expected = model(*pair()).heatmap
    assert (after - before).abs().max() > 1e-3
    torch.testing.assert_close(after, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("variant", ["published", "corrected"])
@pytest.mark.parametrize("guidance", ["predicted", "none", "truth"])
def test_upsampled_features_by_rows_equal_the_plain_path(variant: str, guidance: str) -> None:
    torch.manual_seed(0)
    model = create_model("featup-tiny", variant=variant, guidance=guidance).eval()
    for name, parameter in model.named_parameters():
        if name.startswith(("fusion", "landcover_head")):
            nn.init.normal_(parameter, std=0.3)
    landcover = torch.randint(1, 9, (2, 64, 64), dtype=torch.uint8)
    given = landcover if guidance == "truth" else None
    with torch.no_grad():
        found = model(*pair(), given)
        with fast.plain_path():
            expected = model(*pair(), given)
            cover = None if expected.landcover is None else model.segment(pair()[0])
    torch.testing.assert_close(found.heatmap, expected.heatmap, atol=1e-4, rtol=1e-4)
    assert (found.landcover is None) == (expected.landcover is None)
    if cover is not None:
        torch.testing.assert_close(found.landcover, expected.landcover, atol=1e-4, rtol=1e-4)
        with torch.no_grad():
            torch.testing.assert_close(model.segment(pair()[0]), cover, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["mst-tiny", "featup-tiny"])
@pytest.mark.parametrize("variant", ["published", "corrected"])
def test_many_street_views_against_one_tile(name: str, variant: str) -> None:
    torch.manual_seed(0)
    model = create_model(name, variant=variant).eval()
    overhead, street = pair(3)
    with torch.no_grad():
        tile = model.encode_tile(overhead[:1])
        found = model.match_tile(tile, street)
        expected = model(overhead[:1].expand(3, -1, -1, -1), street)
        again = model.match_tile(tile, street[2:])
    for name in ("heatmap", "landcover"):
        value = getattr(expected, name)
        torch.testing.assert_close(getattr(found, name), value, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(getattr(again, name), value[2:], atol=1e-5, rtol=1e-4)
