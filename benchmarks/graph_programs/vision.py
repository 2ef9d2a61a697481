"""Blocks of vision models, images."""

import torch
import torch.nn as nn
import torch.nn.functional as F

from graph_programs import program


@program("2x3x8x8")
class SqueezeExcite(nn.Module):
    def __init__(self, channels=3, squeezed=4):
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(channels, squeezed),
            nn.ReLU(inplace=True),
            nn.Linear(squeezed, channels),
            nn.Sigmoid(),
            nn.Unflatten(1, (-1, 1, 1)),
        )

    def forward(self, x):
        return self.gate(x).expand_as(x) * x


@program("2x3x8x8", "2x3x10x10")
class UNetLike(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.ModuleList([nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1)])
        self.up = nn.ModuleList([nn.ConvTranspose2d(8, 4, 2, stride=2), nn.Conv2d(8, 3, 1)])

    def forward(self, x):
        skips = []
        for conv in self.down:
            x = F.relu(conv(x), inplace=True)
            skips.append(x)
            x = F.max_pool2d(x, 2)
        x = self.up[0](x)
        skip = skips.pop()
        x = F.pad(x, [0, skip.size(3) - 4 - x.size(3), 0, 0]) if skip.size(3) - 4 > x.size(3) else x
        x = F.interpolate(x, size=skips[-1].shape[-2:])
        return self.up[1](torch.cat([x, skips.pop()], dim=1))


def whole_samples_dropped(x, rate, is_training):
    """Each sample is zero with this probability, and the others make up for it."""
    if not (is_training and rate):
        return x
    kept = torch.rand(len(x), *[1] * (x.ndim - 1), dtype=x.dtype, device=x.device) >= rate
    return torch.where(kept, x / (1 - rate), 0.0)


@program("4x3x8x8", is_random=True)
class ConvNextBlock(nn.Module):
    def __init__(self, channels=3, rate=0.1):
        super().__init__()
        self.rate = rate
        self.across = nn.Conv2d(channels, channels, 7, padding="same", groups=channels)
        self.within = nn.Sequential(
            nn.LayerNorm(channels, eps=1e-6),
            nn.Linear(channels, 4 * channels),
            nn.GELU(),
            nn.Linear(4 * channels, channels),
        )
        self.scale = nn.Parameter(torch.full((channels,), 1e-2))

    def forward(self, x):
        branch = self.scale * self.within(self.across(x).movedim(1, -1))
        return x + whole_samples_dropped(branch.movedim(-1, 1), self.rate, self.training)


@program("2x3x8x8")
class DenseBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleDict({f"c{i}": nn.Conv2d(3 + 2 * i, 2, 3, padding=1) for i in range(3)})

    def forward(self, x):
        features = [x]
        for name, layer in self.convs.items():
            features.append(layer(torch.cat(features, 1)))
        return torch.cat(features, 1)


@program("2x3x9x9")
class PyramidPool(nn.Module):
    def __init__(self):
        super().__init__()
        self.sizes = (1, 2, 3)

    def forward(self, x):
        h, w = x.shape[2:]
        pooled = [
            F.interpolate(F.adaptive_avg_pool2d(x, s), (h, w), mode="bilinear", align_corners=True) for s in self.sizes
        ]
        return torch.cat([x, *pooled], 1)


@program("2x4x6x6")
def pixel_and_channel_shuffle(x):
    n, c, h, w = x.shape
    return (
        F.pixel_shuffle(x, 2),
        x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w),
        nn.PixelUnshuffle(2)(x),
        F.unfold(x, 2),
    )


@program("2x3x8x8")
def depthwise_by_hand(x):
    k = torch.ones(3, 1, 3, 3) / 9
    blurred = F.conv2d(x, k, padding=1, groups=x.shape[1])
    sobel = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]]).expand(3, 1, 3, 3)
    return blurred, F.conv2d(x, sobel, groups=3), x - blurred


@program("2x3x8x8")
def augment(x):
    flipped = torch.flip(x, [-1]) if x.shape[0] % 2 == 0 else x
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    return (flipped - mean) / std, x[..., 2:6, 2:6], torch.rot90(x, 1, (2, 3))


@program("2x3x8x8 2x2x3")
def spatial_transformer(x, theta):
    grid = F.affine_grid(theta, x.size(), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)


@program("4x8 4x8", is_random=True)
def mixup(x, y, alpha=0.4):
    lam = torch.rand(()) * alpha
    perm = torch.randperm(x.size(0))
    return lam * x + (1 - lam) * x[perm], lam * y + (1 - lam) * y[perm]
