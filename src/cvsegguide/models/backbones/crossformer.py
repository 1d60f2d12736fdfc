"""CrossFormer: a hierarchical transformer with short- and long-distance group attention.

Wang et al., "CrossFormer: A versatile vision transformer hinging on cross-scale attention", ICLR
2022, arXiv 2108.00154 (reference code under MIT, github.com/cheerss/CrossFormer). Parameter names
follow that code, so that checkpoints of it load. Unlike it, the input may have any size whose
sides are multiples of ``4 * 2 ** (stages - 1)``: groups that do not fill the map are padded, and
the padding is masked.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DynamicPositionBias(nn.Module):
    """Attention bias ``(heads, G * G, G * G)`` of a group, a small network of relative offsets."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.pos_proj = nn.Linear(2, dim)
        self.pos1 = nn.Sequential(nn.LayerNorm(dim), nn.ReLU(), nn.Linear(dim, dim))
        self.pos2 = nn.Sequential(nn.LayerNorm(dim), nn.ReLU(), nn.Linear(dim, dim))
        self.pos3 = nn.Sequential(nn.LayerNorm(dim), nn.ReLU(), nn.Linear(dim, heads))

    def forward(self, group: int) -> Tensor:
        """The bias of groups of ``group`` x ``group`` tokens."""
        weight = self.pos_proj.weight
        steps = torch.arange(1 - group, group, device=weight.device, dtype=weight.dtype)
        offsets = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1).reshape(-1, 2)
        table: Tensor = self.pos3(self.pos2(self.pos1(self.pos_proj(offsets))))
        place = torch.arange(group, device=weight.device)
        difference = place[:, None] - place[None, :] + group - 1
        rows = difference[:, None, :, None] * (2 * group - 1)
        index = (rows + difference[None, :, None, :]).reshape(group**2, group**2)
        return table[index].permute(2, 0, 1)


class GroupAttention(nn.Module):
    """Multi-head self-attention inside groups of tokens."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"{dim} channels cannot be shared by {heads} attention heads")
        self.heads = heads
        self.pos = DynamicPositionBias(max(dim // 4 // 4, 1), heads)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, group: int, absent: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            x: ``(N, G * G, C)`` tokens of N groups.
            group: G.
            absent: ``(N, G * G)`` bool, True where a token is padding.
        """
        count, length, dim = x.shape
        qkv = self.qkv(x).reshape(count, length, 3, self.heads, dim // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        bias = self.pos(group)[None]
        if absent is not None:
            bias = bias.masked_fill(absent[:, None, None, :], -1e4)
        x = F.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype))
        attended: Tensor = self.proj(x.transpose(1, 2).reshape(count, length, dim))
        return attended


class Mlp(nn.Module):
    """Two linear layers with GELU between them."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return result


def to_groups(x: Tensor, group: int, distant: bool) -> Tensor:
    """``(B, H, W, C)`` to ``(N, G * G, C)``: neighbours, or tokens a fixed interval apart."""
    batch, height, width, dim = x.shape
    if distant:
        x = x.reshape(batch, group, height // group, group, width // group, dim)
        x = x.permute(0, 2, 4, 1, 3, 5)
    else:
        x = x.reshape(batch, height // group, group, width // group, group, dim)
        x = x.permute(0, 1, 3, 2, 4, 5)
    return x.reshape(-1, group * group, dim)


def from_groups(x: Tensor, shape: Sequence[int], group: int, distant: bool) -> Tensor:
    """Inverse of :func:`to_groups`; ``shape`` is ``(B, H, W, C)``."""
    batch, height, width, dim = shape
    x = x.reshape(batch, height // group, width // group, group, group, dim)
    x = x.permute(0, 3, 1, 4, 2, 5) if distant else x.permute(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, height, width, dim)


class Block(nn.Module):
    """Group attention and MLP, each behind a layer norm, with residuals."""

    def __init__(self, dim: int, heads: int, group: int, distant: bool, mlp_ratio: float) -> None:
        super().__init__()
        self.group, self.distant = group, distant
        self.norm1 = nn.LayerNorm(dim)
        self.attn = GroupAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))

    def forward(self, x: Tensor) -> Tensor:
        """``(B, H, W, C)`` to the same."""
        _, height, width, _ = x.shape
        group = min(self.group, height, width)
        distant = self.distant and min(height, width) > self.group
        y = self.norm1(x)
        bottom, right = -height % group, -width % group
        absent = None
        if bottom or right:
            y = F.pad(y, (0, 0, 0, right, 0, bottom))
            padding = torch.ones(y.shape[:3], dtype=torch.bool, device=y.device)
            padding[:, :height, :width] = False
            absent = to_groups(padding[..., None], group, distant)[..., 0]
        shape = y.shape
        y = self.attn(to_groups(y, group, distant), group, absent)
        y = from_groups(y, shape, group, distant)[:, :height, :width]
        x = x + y
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


class PatchEmbedding(nn.Module):
    """Tokens every 4 pixels from patches of several sizes."""

    def __init__(self, dim: int, patch_sizes: Sequence[int]) -> None:
        super().__init__()
        last = len(patch_sizes) - 1
        self.projs = nn.ModuleList(
            nn.Conv2d(3, dim // 2 ** min(i + 1, last), size, stride=4, padding=(size - 4) // 2)
            for i, size in enumerate(patch_sizes)
        )
        self.norm = nn.LayerNorm(dim)

    def forward(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)`` to ``(B, H / 4, W / 4, C)``."""
        x = torch.cat([projection(image) for projection in self.projs], dim=1)
        tokens: Tensor = self.norm(x.permute(0, 2, 3, 1))
        return tokens


class PatchMerging(nn.Module):
    """Half the resolution, twice the channels, from patches of 2 and 4 tokens."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.reductions = nn.ModuleList(
            nn.Conv2d(dim, dim, size, stride=2, padding=(size - 2) // 2) for size in (2, 4)
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, H, W, C)`` to ``(B, H / 2, W / 2, 2 C)``."""
        x = self.norm(x).permute(0, 3, 1, 2)
        x = torch.cat([reduction(x) for reduction in self.reductions], dim=1)
        return x.permute(0, 2, 3, 1)


class Stage(nn.Module):
    """Blocks of one resolution, short and long distance in turn, and the merging behind them."""

    def __init__(
        self, dim: int, depth: int, heads: int, group: int, mlp_ratio: float, merge: bool
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(dim, heads, group, distant=i % 2 == 1, mlp_ratio=mlp_ratio) for i in range(depth)
        )
        self.downsample = PatchMerging(dim) if merge else None

    def forward(self, x: Tensor) -> Tensor:
        """``(B, H, W, C)`` to the input of the next stage."""
        for block in self.blocks:
            x = block(x)
        if self.downsample is not None:
            x = self.downsample(x)
        return x


class CrossFormer(nn.Module):
    """Feature pyramid of an image.

    Args:
        embed_dim: Channels of the first stage; every later one doubles them.
        depths: Blocks per stage.
        heads: Attention heads per stage.
        group_size: Side of an attention group in tokens.
        patch_sizes: Sides in pixels of the patches that are embedded.
        mlp_ratio: Hidden over input channels of the MLPs.
        final_stage: Whether the stage behind the last merging is there, with its norm.
    """

    def __init__(
        self,
        embed_dim: int = 96,
        depths: Sequence[int] = (2, 2, 6, 2),
        heads: Sequence[int] = (3, 6, 12, 24),
        group_size: int = 8,
        patch_sizes: Sequence[int] = (4, 8, 16, 32),
        mlp_ratio: float = 4.0,
        final_stage: bool = True,
    ) -> None:
        super().__init__()
        if len(depths) != len(heads) or len(depths) < 2:
            raise ValueError("depths and heads need one entry for each of at least two stages")
        for option, numbers in (
            ("embed_dim", [embed_dim]),
            ("depths", depths),
            ("heads", heads),
            ("group_size", [group_size]),
        ):
            if any(not isinstance(number, int) or number < 1 for number in numbers):
                raise ValueError(f"{option} must be positive whole numbers")
        self.patch_embed = PatchEmbedding(embed_dim, patch_sizes)
        last = len(depths) - 1
        self.layers = nn.ModuleList(
            Stage(embed_dim * 2**i, depth, count, group_size, mlp_ratio, merge=i < last)
            for i, (depth, count) in enumerate(zip(depths, heads, strict=True))
            if i < last or final_stage
        )
        self.widths = tuple(embed_dim * 2 ** (i + 1) for i in range(last))
        self.norm = nn.LayerNorm(self.widths[-1]) if final_stage else None
        self.apply(_initialise)

    def forward(self, image: Tensor) -> list[Tensor]:
        """``(B, 3, H, W)`` to maps ``(B, C, H / 8, W / 8)``, ``(B, 2 C, H / 16, ...)`` and so on.

        The maps are those behind the merging of each stage; the last one went through the final
        stage and its norm, where there is one.
        """
        x = self.patch_embed(image)
        maps: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index < len(self.widths):
                maps.append(x)
        if self.norm is not None:
            maps[-1] = self.norm(x)
        return [x.permute(0, 3, 1, 2) for x in maps]


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
