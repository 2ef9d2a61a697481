"""Vision models as libraries build them: builders, feature pyramids, anchors, presets, class activation, detection."""

import itertools
import math
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from typing import Any, Optional

import torch
import torch.nn as nn
import torch.nn.functional as F

from graph_programs import made, program

# ---------------------------------------------------------------------------------------- blocks and builders


def sizes_of(axes):
    def spread(size):
        match size:
            case [*each]:
                return tuple(each)
            case _:
                return (size,) * axes

    return spread


pair = sizes_of(2)


def whole_groups(width, step):
    """The multiple of `step` nearest to a width, or the next one if a tenth of the width were lost."""
    groups = max(1, round(width / step))
    return step * (groups + (groups * step < 0.9 * width))


class ConvUnit(nn.Sequential):
    """A convolution padded to keep the size, then what `norm` and `act` make."""

    def __init__(self, before, after, kernel=3, *, stride=1, spacing=1, groups=1, norm=nn.BatchNorm2d, act=nn.ReLU):
        kernel, spacing = pair(kernel), pair(spacing)
        border = tuple(gap * (k // 2) for gap, k in zip(spacing, kernel, strict=True))
        parts = OrderedDict(conv=nn.Conv2d(before, after, kernel, stride, border, spacing, groups, bias=not norm))
        for name, make in {"norm": norm and partial(norm, after), "act": act and partial(act, inplace=True)}.items():
            if make:
                parts[name] = make()
        super().__init__(parts)
        self.width = after


class ChannelGate(nn.Module):
    def __init__(self, channels, narrow, act=nn.ReLU, gate=nn.Sigmoid):
        super().__init__()
        squeeze, excite = nn.Conv2d(channels, narrow, 1), nn.Conv2d(narrow, channels, 1)
        self.importance = nn.Sequential(nn.AdaptiveAvgPool2d(1), squeeze, act(), excite, gate())

    def forward(self, x):
        return x.mul(self.importance(x))


class DropPath(nn.Module):
    """Leaves a branch out at random: of every image by itself, or of all together."""

    shared_axes = {"image": 1, "batch": 0}  # noqa: RUF012 - not annotated, as in model code

    def __init__(self, rate, of="image"):
        super().__init__()
        self.rate, self.of = rate, of

    def forward(self, branch):
        if not 0 <= self.rate < 1:
            raise ValueError(f"a branch cannot be dropped {self.rate:.0%} of the time")
        own = self.shared_axes.get(self.of)
        if own is None:
            raise ValueError(f"a branch is dropped of one of {sorted(self.shared_axes)}, not of {self.of!r}")
        if self.training and self.rate:
            shape = [n if axis < own else 1 for axis, n in enumerate(branch.shape)]
            branch = branch * branch.new_empty(shape).bernoulli_(1 - self.rate).div_(1 - self.rate)
        return branch


@dataclass
class Stage:
    widening: float
    kernel: int
    stride: int
    before: int
    after: int
    blocks: int = 1

    @property
    def inside(self):
        return whole_groups(self.before * self.widening, 4)

    def __iter__(self):
        """The stages of one block that make up this one."""
        yield replace(self, blocks=1)
        for _ in range(1, self.blocks):
            yield replace(self, blocks=1, before=self.after, stride=1)


class InvertedBottleneck(nn.Module):
    def __init__(self, stage, rate, norm, gate=ChannelGate):
        super().__init__()
        if stage.stride not in (1, 2):
            raise ValueError(f"a block steps by one pixel or two, not by {stage.stride}")
        unit, inside = partial(ConvUnit, norm=norm), stage.inside
        self.widen = unit(stage.before, inside, 1, act=nn.SiLU) if inside != stage.before else nn.Identity()
        self.mix = unit(inside, inside, stage.kernel, stride=stage.stride, groups=inside)
        self.gate = gate(inside, max(1, stage.before // 4), act=partial(nn.SiLU, inplace=True))
        self.narrow = unit(inside, stage.after, 1, act=None)
        self.drop = DropPath(rate) if (stage.stride, stage.before) == (1, stage.after) else None

    def forward(self, x):
        y = x
        for part in (self.widen, self.mix, self.gate, self.narrow):
            y = part(y)
        return y if self.drop is None else x + self.drop(y)


class SmallEfficientNet(nn.Module):
    def __init__(self, stages, norm=None, classes=5):
        super().__init__()
        norm = norm or partial(nn.BatchNorm2d, eps=0.002, momentum=0.02)
        parts = [part for stage in stages for part in stage]
        self.stem = ConvUnit(3, parts[0].before, stride=2, norm=norm)
        self.body = nn.Sequential(*(InvertedBottleneck(p, 0.0 * i / len(parts), norm) for i, p in enumerate(parts)))
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.0, inplace=True))
        self.head.append(nn.Linear(parts[-1].after, classes))
        self.apply(self.start)

    @staticmethod
    def start(part):
        match part:
            case nn.Conv2d():
                nn.init.kaiming_normal_(part.weight, mode="fan_out")
            case nn.BatchNorm2d() | nn.GroupNorm():
                nn.init.constant_(part.weight, 1.0)

    def scores(self, maps):
        return self.head(maps)

    def forward(self, x):
        return self.scores(self.body(self.stem(x)))


STAGES = [Stage(1, 3, 1, 4, 4), Stage(3, 5, 2, 4, 8, blocks=2)]


@made("2x3x16x16", "2x3x16x16")
def efficientnet_train():
    return SmallEfficientNet(STAGES).train()


@made("2x3x16x16", "1x3x20x20", "3x3x24x24")
def efficientnet_eval():
    return SmallEfficientNet(STAGES, norm=partial(nn.GroupNorm, 2)).eval()


# ---------------------------------------------------------------------------------------- pyramids and detection


class Tapped(nn.ModuleDict):
    """The children of a network as far as the last tapped one; gives the maps of the tapped ones by their labels."""

    def __init__(self, network, taps):
        children = OrderedDict(network.named_children())
        if absent := sorted(taps.keys() - children.keys()):
            raise ValueError(f"nothing to tap at {', '.join(absent)}")
        end = 1 + max(i for i, name in enumerate(children) if name in taps)
        super().__init__(OrderedDict(itertools.islice(children.items(), end)))
        self.labels = {name: str(label) for name, label in taps.items()}

    def forward(self, x):
        taken = OrderedDict()
        for name, layer in self.items():
            x = layer(x)
            if (label := self.labels.get(name)) is not None:
                taken[label] = x
        return taken


class EverySecond(nn.Module):
    """One more level, of every second pixel of the coarsest."""

    def forward(self, levels, labels):
        levels += [F.max_pool2d(levels[-1], 1, stride=2)]
        labels.append(f"half of {labels[-1]}")


class Pyramid(nn.Module):
    def __init__(self, widths, width, *coarser):
        super().__init__()
        plain = partial(ConvUnit, norm=None, act=None)
        self.across, self.smooth = (
            nn.ModuleList(plain(w if k == 1 else width, width, k) for w in widths) for k in (1, 3)
        )
        self.coarser = nn.ModuleList(coarser)

    @staticmethod
    def at(level, blocks, x):
        (block,) = (b for i, b in enumerate(blocks) if i == level % len(blocks))
        return block(x)

    def forward(self, maps: dict):
        labels, maps, levels, above = [*maps], [*maps.values()], [], None
        for level in range(-1, -len(maps) - 1, -1):
            here = self.at(level, self.across, maps[level])
            above = here if above is None else F.interpolate(above, here.shape[2:], mode="nearest").add(here)
            levels[:0] = [self.at(level, self.smooth, above)]
        for extend in self.coarser:
            extend(levels, labels)
        return OrderedDict(zip(labels, levels, strict=True))


@made("1x3x16x16", "1x3x16x16", "1x3x24x32")
def pyramid_of_a_backbone():
    net = nn.Sequential(OrderedDict(fine=nn.Conv2d(3, 4, 3, 2, 1), coarse=nn.Conv2d(4, 6, 3, 2, 1), rest=nn.Tanh()))
    body, pyramid = Tapped(net, {"fine": 0, "coarse": "1"}), Pyramid([4, 6], 8, EverySecond())
    return lambda x: pyramid(body(x))


class AnchorGrid(nn.Module):
    """Boxes of several sides and aspects around every cell of maps of several strides."""

    templates: list

    def __init__(self, sides=((4, 8), (16,)), aspects=(0.5, 1.0)):
        super().__init__()
        self.templates = [self.template(s, aspects) for s in sides]

    @staticmethod
    def template(sides, aspects):
        stretch = torch.as_tensor(aspects, dtype=torch.float32).sqrt()
        extents = torch.stack([stretch.reciprocal(), stretch], 1)[:, None] * torch.as_tensor(sides)[:, None]
        reach = extents.flatten(0, 1) * 0.5
        return torch.hstack([-reach, reach]).round()

    @property
    def per_cell(self):
        return [len(template) for template in self.templates]

    def forward(self, image, maps):
        kind = {"dtype": maps[0].dtype, "device": maps[0].device}
        self.templates = [template.to(**kind) for template in self.templates]
        return [self.around(image, m.shape[2:], t) for m, t in zip(maps, self.templates, strict=True)]

    def around(self, image, cells, template):
        ticks = []
        for pixels, count in zip(image, cells):
            stride = torch.empty((), dtype=torch.int64).fill_(pixels // count)
            ticks.append(torch.arange(count, dtype=torch.int32) * stride)
        down, right = torch.meshgrid(*ticks, indexing="ij")
        corners = torch.stack([right, down] * 2, -1).flatten(0, 1)
        return torch.flatten(corners[:, None] + template, 0, 1)


class BoxCodec:
    """Boxes as moves and growths of other boxes (Girshick et al., 2014)."""

    def __init__(self, *scales, most=4.0):
        self.scales, self.most = scales, most

    def decode(self, codes, boxes):
        near, far = boxes.chunk(2, dim=1)
        middle, extent = (near + far) / 2, far - near
        moves_and_growths = [codes[:, k::4] / scale for k, scale in enumerate(self.scales)]
        edges = []
        for axis in range(2):
            move, growth = moves_and_growths[axis::2]
            length = extent[:, axis, None]
            centre = torch.addcmul(middle[:, axis, None], move, length)
            reach = growth.clamp(max=self.most).exp() * length * torch.tensor(0.5, dtype=codes.dtype)
            edges.append((centre - reach, centre + reach))
        return torch.stack([edge for sides in zip(*edges) for edge in sides], dim=-1).flatten(1)


@made("1x4x8x8 1x4x4x4", "1x4x8x8 1x4x4x4")
def region_proposals():
    head, anchors, codec = nn.Conv2d(4, 4 * 5, 1), AnchorGrid(), BoxCodec(1.0, 1.0, 2.0, 2.0)

    def by_anchor(x, values):
        batch, channels, *cells = x.shape
        x = x.view(batch, channels // values, values, math.prod(cells))
        return x.permute(0, 3, 1, 2).reshape(-1, values)

    def run(*maps):
        boxes, scores, codes = anchors((32, 32), maps), [], []
        for m, anchors_here in zip(maps, anchors.per_cell):
            score, code = head(m)[:, : anchors_here * 5].split([anchors_here, anchors_here * 4], dim=1)
            scores.append(by_anchor(score, 1).squeeze(1))
            codes.append(by_anchor(code, 4))
        moved = codec.decode(torch.cat(codes).detach(), torch.cat(boxes))
        level = torch.cat([torch.full((b.shape[0],), i, dtype=torch.int64) for i, b in enumerate(boxes)])
        starts = itertools.accumulate((len(b) for b in boxes), initial=0)
        best = torch.cat([s.topk(min(5, len(s))).indices + start for s, start in zip(scores, starts)])
        inside = moved[best].clamp(0, 32)
        is_large = (inside[:, 2:] - inside[:, :2]).ge(1e-3).all(dim=1, keepdim=True)
        return inside * is_large, level.take(best), torch.cat(scores)[best].sigmoid()

    return run


# ---------------------------------------------------------------------------------------- batches of images


class PaddedImages:
    """Images of several sizes in one tensor, with the pixels that belong to none of them."""

    def __init__(self, pixels, unused: Optional[Any] = None):
        self.pixels, self.unused = pixels, unused

    def __iter__(self):
        return iter((self.pixels, self.unused))

    @classmethod
    def of(cls, *images):
        if odd := [tuple(image.shape) for image in images if image.dim() != 3]:
            raise ValueError(f"these are no images: {odd}")
        channels, height, width = map(max, zip(*(image.shape for image in images)))
        batch = cls(torch.zeros(len(images), channels, height, width), torch.ones(len(images), height, width) > 0)
        for image, (canvas, unused) in zip(images, zip(*batch)):
            rows, columns = (slice(n) for n in image.shape[1:])
            canvas[: image.shape[0], rows, columns].copy_(image)
            unused[rows, columns] = False
        return batch


class SinePositions(nn.Module):
    def __init__(self, width=4, base=100):
        super().__init__()
        self.width, self.base = width, base

    def forward(self, images):
        _, unused = images
        assert unused is not None, "positions are counted on used pixels"
        feature = torch.arange(self.width, dtype=torch.float32)
        wavelength = self.base ** (feature.div(2, rounding_mode="floor") * 2 / self.width)
        quarter = feature.remainder(2) * (math.pi / 2)
        codes = []
        for axis in (1, 2):
            count = torch.cumsum(~unused, axis, dtype=torch.float32)
            turns = count / (count.amax(axis, keepdim=True) + 1e-6)
            codes.append(torch.sin(2 * math.pi * turns.unsqueeze(-1) / wavelength + quarter))
        return torch.cat(codes, -1).movedim(-1, 1)


@made("3x6x8 3x8x5", "3x6x8 3x8x5", "3x4x4 3x5x9")
def padded_images_with_positions():
    positions = SinePositions()

    def run(*images):
        batch = PaddedImages.of(*images)
        return batch.pixels, positions(batch), batch.unused.float().mean()

    return run


# ---------------------------------------------------------------------------------------- weights and presets


class Filter(Enum):
    NEAREST = "nearest"
    BILINEAR = "bilinear"


@dataclass(frozen=True)
class Trained:
    prepare: Callable
    notes: dict = field(default_factory=dict)


class TrainedEnum(Enum):
    """Trained weights: asked for by member, by name or by class and name."""

    @classmethod
    def look_up(cls, asked):
        match asked:
            case None | cls():
                return asked
            case str():
                return cls[asked.rpartition(".")[2]]
        raise TypeError(f"{asked!r} of type {type(asked).__name__} names nothing in {cls.__name__}")

    @property
    def notes(self):
        return self.value.notes


class Normalised(nn.Module):
    def __init__(self, *, size, mean=(0.3, 0.5, 0.7), spread=(0.3, 0.2, 0.1), by=Filter.BILINEAR):
        super().__init__()
        self.size, self.by, self.statistics = pair(size), by, {"mean": list(mean), "spread": list(spread)}

    def forward(self, image):
        image = F.interpolate(image, self.size, mode=self.by.value, align_corners=False, antialias=False)
        image = image if image.is_floating_point() else image / 255.0
        mean, spread = (
            torch.as_tensor(values, dtype=image.dtype, device=image.device).view(3, 1, 1)
            for values in self.statistics.values()
        )
        if not spread.all():
            raise ValueError("a channel does not vary")
        return (image - mean).div_(spread)


class TinyTrained(TrainedEnum):
    FIRST = Trained(partial(Normalised, size=8), {"labels": ["a", "b"], "count": 3})
    BEST = FIRST


Scores = namedtuple("Scores", "main side")
Scores.__annotations__ = {"main": Any, "side": Optional[Any]}


class Branched(nn.Module):
    """Convolutions of several sizes side by side; a second head helps in training."""

    def __init__(self):
        super().__init__()
        self.branches = nn.ModuleDict(
            {f"k{k}": nn.Conv2d(3, w, k, padding="same") for k, w in {1: 2, 3: 2, 5: 1}.items()}
        )
        self.main, self.side = nn.Linear(5, 2), nn.Linear(5, 2)

    def forward(self, x):
        maps = torch.cat([branch(x) for branch in self.branches.values()], 1)
        main = self.main(maps.amax((2, 3)))
        return Scores(main, side=self.side(maps.mean((2, 3)))) if self.training else main


@made("2x3x12x10", "2x3x12x10")
def weights_and_presets():
    model = Branched()

    def run(x):
        trained = TinyTrained.look_up("TinyTrained.BEST")
        try:
            TinyTrained.look_up(3)
        except TypeError as e:
            text = str(e)
        out = model.train()(trained.value.prepare()(x))
        return out, out.side, model.eval()(x), trained.notes["count"], trained is TinyTrained.FIRST, text

    return run


@program("2x4x6x6 2<4", "2x4x6x6 2<4")
def class_activation(x, target):
    x = x.detach().requires_grad_()
    maps = F.relu(x * 2)
    maps.retain_grad()
    F.one_hot(target, 4).mul(maps.mean((2, 3))).sum().backward()
    importance = maps.grad.mean((2, 3))
    heat = torch.einsum("bc,bchw->bhw", importance, maps.detach()).relu()
    low, high = heat.flatten(1).min(1).values[:, None, None], heat.flatten(1).max(1)[0][:, None, None]
    return (heat - low) / (high - low + 1e-6)
