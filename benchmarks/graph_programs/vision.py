"""Blocks of vision models, images."""

import torch
import torch.nn as nn
import torch.nn.functional as F

from graph_programs import program


@program("2x3x8x8")
class SqueezeExcite(nn.Module):
    def __init__(self, c=3):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(nn.Linear(c, 4), nn.ReLU(inplace=True), nn.Linear(4, c), nn.Sigmoid())

    def forward(self, x):
        b, c, _, _ = x.size()
        y = self.fc(self.pool(x).view(b, c)).view(b, c, 1, 1)
        return x * y.expand_as(x)


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


def drop_path(x, drop_prob: float = 0.0, training: bool = False):
    if drop_prob == 0.0 or not training:
        return x
    keep = 1 - drop_prob
    shape = (x.shape[0],) + (1,) * (x.ndim - 1)
    random_tensor = keep + torch.rand(shape, dtype=x.dtype, device=x.device)
    random_tensor.floor_()
    return x.div(keep) * random_tensor


@program("4x3x8x8", is_random=True)
class ConvNextBlock(nn.Module):
    def __init__(self, dim=3):
        super().__init__()
        self.dw = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.pw1, self.pw2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
        self.gamma = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        y = self.dw(x).permute(0, 2, 3, 1)
        y = self.pw2(F.gelu(self.pw1(self.norm(y)))) * self.gamma
        return x + drop_path(y.permute(0, 3, 1, 2), 0.1, self.training)


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
