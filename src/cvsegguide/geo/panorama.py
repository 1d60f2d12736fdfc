"""Street views on the canvas that a model sees: resampled, turned to north, masked where unseen."""

import torch
from torch import Tensor
from torch.nn import functional

from cvsegguide.geo.canvas import FULL_CIRCLE, TOLERANCE, CanvasPlan, padding


def street_canvas(
    street: Tensor,
    heading: Tensor,
    fov: Tensor,
    size: tuple[int, int],
    extent: tuple[float, float],
) -> tuple[Tensor, Tensor]:
    """Put street views on a canvas of fixed size and extent whose centre column looks north.

    Training and inference both pass here, so that a model meets the same pixels in both. Rows and
    columns are independent of each other (both images are equirectangular and centred on the
    horizon): a view is first shrunk with an area-correct (antialiased triangle) filter where the
    canvas is coarser than the view, then turned and placed by linear interpolation. A full
    panorama wraps around at 360 degrees in both steps.

    Args:
        street: ``(B, 3, h, w)`` equirectangular views with square pixels, centred on the horizon:
            view i spans ``fov[i]`` by ``fov[i] * h / w`` degrees. Floating point, or uint8 0..255,
            which is shrunk as such (four times less memory; rounded to 8 bits) and then scaled to
            [0, 1].
        heading: ``(B,)`` azimuth of each view's centre column, degrees clockwise from north.
        fov: ``(B,)`` horizontal extent of each view in degrees, in (0, 360].
        size: ``(H, W)`` of the canvas in pixels.
        extent: Degrees ``(vertical, horizontal)`` that the canvas spans, centred on horizon and
            north.

    Returns:
        The canvas ``(B, 3, H, W)``, floating point, zero where a view shows nothing, and the mask
        ``(B, 1, H, W)`` of the same type: 1 where the centre of the pixel was seen, else 0.

    Raises:
        ValueError: ``fov`` lies outside (0, 360], or shapes do not agree.
    """
    batch = street.shape[0]
    if heading.shape != (batch,) or fov.shape != (batch,):
        raise ValueError(f"heading and fov must have shape ({batch},)")
    fovs = [float(value) for value in fov.tolist()]
    if not all(0.0 < value <= FULL_CIRCLE + TOLERANCE for value in fovs):
        raise ValueError(f"fov must lie in (0, 360] degrees, got {fovs}")
    distinct = sorted(set(fovs))
    if len(distinct) == 1:
        return _canvas_of_one_fov(street, heading, distinct[0], size, extent)
    kind = street.dtype if street.is_floating_point() else torch.float32
    canvas = street.new_zeros((batch, street.shape[1], *size), dtype=kind)
    mask = street.new_zeros((batch, 1, *size), dtype=kind)
    for value in distinct:
        members = torch.tensor([i for i, other in enumerate(fovs) if other == value])
        members = members.to(street.device)
        part, seen = _canvas_of_one_fov(street[members], heading[members], value, size, extent)
        canvas[members] = part
        mask[members] = seen
    return canvas, mask


def _canvas_of_one_fov(
    street: Tensor, heading: Tensor, fov: float, size: tuple[int, int], extent: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    canvas_height, canvas_width = size
    vertical, horizontal = extent
    plan = CanvasPlan.of(street.shape[2:], fov, size, extent)
    fov, full, upper = plan.fov, plan.full, plan.upper
    if plan.cut:
        street = street[:, :, plan.cut : street.shape[2] - plan.cut]
    street = _as_float(_shrink(street, *plan.shrunk, periodic=full))
    height, width = street.shape[2:]
    if plan.aligned and not bool(heading.remainder(FULL_CIRCLE).any()):
        return street, torch.ones_like(street[:, :1])

    # Where each canvas pixel's centre looks, and where that lies in the view, in its pixels.
    kind = {"dtype": torch.float64 if street.device.type != "mps" else torch.float32}
    kind["device"] = street.device  # type: ignore[assignment]
    column = torch.arange(canvas_width, **kind)  # type: ignore[call-overload]
    row = torch.arange(canvas_height, **kind)  # type: ignore[call-overload]
    azimuth = (column + 0.5 - canvas_width / 2) * (horizontal / canvas_width)
    elevation = (canvas_height / 2 - row - 0.5) * (vertical / canvas_height)
    turn = azimuth[None] - heading.to(azimuth.dtype)[:, None]
    turn = (turn + FULL_CIRCLE / 2).remainder(FULL_CIRCLE) - FULL_CIRCLE / 2
    x = turn * (width / fov) + width / 2
    y = (upper - elevation) * (height / (2 * upper))

    inside_x = torch.ones_like(x, dtype=torch.bool) if full else turn.abs() <= fov / 2 + 1e-6
    inside_y = elevation.abs() <= upper + 1e-6
    mask = (inside_x[:, None, None, :] & inside_y[None, None, :, None]).to(street.dtype)

    if full:
        street = torch.cat((street[..., -1:], street, street[..., :1]), dim=-1)
        x, width = x + 1, width + 2
    grid = torch.stack(
        (
            (2 * x / width - 1)[:, None, :].expand(-1, canvas_height, -1),
            (2 * y / height - 1)[None, :, None].expand(len(heading), -1, canvas_width),
        ),
        dim=-1,
    ).to(street.dtype)
    canvas = functional.grid_sample(
        street, grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return canvas * mask, mask


def _shrink(street: Tensor, rows: int, columns: int, periodic: bool) -> Tensor:
    """Antialiased resize to a smaller or equal size, wrapping in the columns when periodic."""
    height, width = street.shape[2:]
    if (rows, columns) == (height, width):
        return street
    if street.device.type != "cpu":
        street = _as_float(street)  # 8-bit resizing is the CPU's alone
    if periodic and columns < width:
        pad = padding(width, columns)
        source = pad * width // columns
        street = torch.cat((street[..., -source:], street, street[..., :source]), dim=-1)
        return _resize(street, rows, columns + 2 * pad)[..., pad:-pad].contiguous()
    return _resize(street, rows, columns)


def _as_float(street: Tensor) -> Tensor:
    return street if street.is_floating_point() else street.to(torch.float32) / 255.0


def _resize(street: Tensor, rows: int, columns: int) -> Tensor:
    return functional.interpolate(
        street, size=(rows, columns), mode="bilinear", align_corners=False, antialias=True
    )
