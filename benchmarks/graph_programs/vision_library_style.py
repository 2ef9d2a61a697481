"""Vision models as libraries build them: builders, feature pyramids, anchors, presets, class activation, detection."""

import math
import warnings
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from itertools import repeat
from typing import Any, Optional

import torch
import torch.nn as nn
import torch.nn.functional as F

from graph_programs import made, program


def _ntuple(n):
    def parse(x):
        if isinstance(x, Sequence) and not isinstance(x, str):
            return tuple(x)
        return tuple(repeat(x, n))

    return parse


to_2tuple = _ntuple(2)


def _make_divisible(v, divisor, min_value=None):
    min_value = divisor if min_value is None else min_value
    new_v = max(min_value, int(v + divisor / 2) // divisor * divisor)
    return new_v + divisor if new_v < 0.9 * v else new_v


class ConvNormActivation(nn.Sequential):
    def __init__(
        self, cin, cout, kernel_size=3, stride=1, padding=None, groups=1,
        norm_layer: Optional[Callable] = nn.BatchNorm2d, activation_layer=nn.ReLU, dilation=1, inplace=True,
    ):  # fmt: skip
        if padding is None:
            kernel_size, dilation = to_2tuple(kernel_size), to_2tuple(dilation)
            padding = tuple((kernel_size[i] - 1) // 2 * dilation[i] for i in range(2))
        conv = nn.Conv2d(cin, cout, kernel_size, stride, padding, dilation, groups, bias=norm_layer is None)
        layers: list[nn.Module] = [conv]
        if norm_layer is not None:
            layers.append(norm_layer(cout))
        if activation_layer is not None:
            layers.append(activation_layer(**({} if inplace is None else {"inplace": inplace})))
        super().__init__(*layers)
        self.out_channels = cout
        if self.__class__ == ConvNormActivation:
            warnings.warn("Don't use ConvNormActivation directly") if False else None


class SqueezeExcitation(nn.Module):
    def __init__(self, channels, squeeze, activation=nn.ReLU, scale_activation=nn.Sigmoid):
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1, self.fc2 = nn.Conv2d(channels, squeeze, 1), nn.Conv2d(squeeze, channels, 1)
        self.activation, self.scale_activation = activation(), scale_activation()

    def _scale(self, x):
        return self.scale_activation(self.fc2(self.activation(self.fc1(self.avgpool(x)))))

    def forward(self, x):
        return self._scale(x) * x


def stochastic_depth(x, p: float, mode: str, training: bool = True):
    if p < 0.0 or p > 1.0:
        raise ValueError(f"drop probability has to be between 0 and 1, but got {p}")
    if mode not in ["batch", "row"]:
        raise ValueError(f"mode has to be either 'batch' or 'row', but got {mode}")
    if not training or p == 0.0:
        return x
    survival = 1.0 - p
    size = [x.shape[0]] + [1] * (x.ndim - 1) if mode == "row" else [1] * x.ndim
    noise = torch.empty(size, dtype=x.dtype, device=x.device).bernoulli_(survival)
    if survival > 0.0:
        noise.div_(survival)
    return x * noise


@dataclass
class MBConfig:
    expand: float
    kernel: int
    stride: int
    cin: int
    cout: int
    repeat: int

    @staticmethod
    def adjust(channels, width):
        return _make_divisible(channels * width, 4)


class MBConv(nn.Module):
    def __init__(self, cnf, p, norm_layer, se_layer=SqueezeExcitation):
        super().__init__()
        if not (1 <= cnf.stride <= 2):
            raise ValueError("illegal stride value")
        self.use_res = cnf.stride == 1 and cnf.cin == cnf.cout
        mid = MBConfig.adjust(cnf.cin, cnf.expand)
        layers = []
        if mid != cnf.cin:
            layers.append(ConvNormActivation(cnf.cin, mid, 1, norm_layer=norm_layer, activation_layer=nn.SiLU))
        depthwise = ConvNormActivation(mid, mid, cnf.kernel, cnf.stride, groups=mid, norm_layer=norm_layer)
        layers += [depthwise, se_layer(mid, max(1, cnf.cin // 4), activation=partial(nn.SiLU, inplace=True))]
        layers.append(ConvNormActivation(mid, cnf.cout, 1, norm_layer=norm_layer, activation_layer=None))
        self.block, self.p = nn.Sequential(*layers), p

    def forward(self, x):
        result = self.block(x)
        return stochastic_depth(result, self.p, "row", self.training) + x if self.use_res else result


class EfficientNet(nn.Module):
    def __init__(self, settings, norm_layer=None, num_classes=5):
        super().__init__()
        norm_layer = norm_layer or partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
        layers = [ConvNormActivation(3, settings[0].cin, stride=2, norm_layer=norm_layer)]
        total, index = sum(c.repeat for c in settings), 0
        for cnf in settings:
            stage = []
            for i in range(cnf.repeat):
                block = MBConfig(cnf.expand, cnf.kernel, cnf.stride, cnf.cin, cnf.cout, 1)
                if i:
                    block.cin, block.stride = block.cout, 1
                stage.append(MBConv(block, 0.0 * index / total, norm_layer))
                index += 1
            layers.append(nn.Sequential(*stage))
        self.features, self.avgpool = nn.Sequential(*layers), nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(p=0.0, inplace=True), nn.Linear(settings[-1].cout, num_classes))
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out")
            elif isinstance(m, (nn.BatchNorm2d, nn.GroupNorm)):
                nn.init.ones_(m.weight)
                nn.init.zeros_(m.bias)

    def _forward_impl(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))

    def forward(self, x):
        return self._forward_impl(x)


SETTINGS = [MBConfig(1, 3, 1, 4, 4, 1), MBConfig(3, 5, 2, 4, 8, 2)]


@made("2x3x16x16", "2x3x16x16")
def efficientnet_train():
    return EfficientNet(SETTINGS).train()


@made("2x3x16x16", "1x3x20x20", "3x3x24x24")
def efficientnet_eval():
    return EfficientNet(SETTINGS, norm_layer=partial(nn.GroupNorm, 2)).eval()


class IntermediateLayerGetter(nn.ModuleDict):
    def __init__(self, model, return_layers):
        if not set(return_layers).issubset([name for name, _ in model.named_children()]):
            raise ValueError("return_layers are not present in model")
        remaining, layers = {str(k): str(v) for k, v in return_layers.items()}, OrderedDict()
        for name, module in model.named_children():
            layers[name] = module
            remaining.pop(name, None)
            if not remaining:
                break
        super().__init__(layers)
        self.return_layers = dict(return_layers)

    def forward(self, x):
        out = OrderedDict()
        for name, module in self.items():
            x = module(x)
            if name in self.return_layers:
                out[self.return_layers[name]] = x
        return out


class LastLevelMaxPool(nn.Module):
    def forward(self, x, y, names):
        names.append("pool")
        x.append(F.max_pool2d(x[-1], kernel_size=1, stride=2, padding=0))
        return x, names


class FeaturePyramid(nn.Module):
    def __init__(self, channels, out, extra=None):
        super().__init__()
        self.inner, self.layer = nn.ModuleList(), nn.ModuleList()
        for c in channels:
            self.inner.append(ConvNormActivation(c, out, 1, padding=0, norm_layer=None, activation_layer=None))
            self.layer.append(ConvNormActivation(out, out, 3, norm_layer=None, activation_layer=None))
        self.extra = extra

    def get_result(self, x, idx, blocks):
        idx += len(blocks) if idx < 0 else 0
        out = x
        for i, module in enumerate(blocks):
            if i == idx:
                out = module(x)
        return out

    def forward(self, x: dict):
        names, x = list(x.keys()), list(x.values())
        last = self.get_result(x[-1], -1, self.inner)
        results = [self.get_result(last, -1, self.layer)]
        for idx in range(len(x) - 2, -1, -1):
            lateral = self.get_result(x[idx], idx, self.inner)
            last = lateral + F.interpolate(last, size=lateral.shape[-2:], mode="nearest")
            results.insert(0, self.get_result(last, idx, self.layer))
        if self.extra is not None:
            results, names = self.extra(results, x, names)
        return OrderedDict([(k, v) for k, v in zip(names, results)])


@made("1x3x16x16", "1x3x16x16", "1x3x24x32")
def pyramid_of_a_backbone():
    net = nn.Sequential(OrderedDict(a=nn.Conv2d(3, 4, 3, 2, 1), b=nn.Conv2d(4, 6, 3, 2, 1), c=nn.Conv2d(6, 6, 1)))
    body, fpn = IntermediateLayerGetter(net, {"a": "0", "b": 1}), FeaturePyramid([4, 6], 8, LastLevelMaxPool())
    return lambda x: fpn(body(x))


class AnchorGenerator(nn.Module):
    __annotations__ = {"cell_anchors": list}

    def __init__(self, sizes=((4, 8), (16,)), ratios=((0.5, 1.0),) * 2):
        super().__init__()
        self.cell_anchors = [self.generate(s, r) for s, r in zip(sizes, ratios)]

    def generate(self, scales, ratios, dtype=torch.float32, device="cpu"):
        scales, ratios = torch.as_tensor(scales, dtype=dtype), torch.as_tensor(ratios, dtype=dtype, device=device)
        h_ratios = torch.sqrt(ratios)
        ws, hs = ((1 / h_ratios)[:, None] * scales[None, :]).view(-1), (h_ratios[:, None] * scales[None, :]).view(-1)
        return (torch.stack([-ws, -hs, ws, hs], dim=1) / 2).round()

    def set_cell_anchors(self, dtype, device):
        self.cell_anchors = [c.to(dtype=dtype, device=device) for c in self.cell_anchors]

    def num_anchors_per_location(self):
        return [len(c) for c in self.cell_anchors]

    def forward(self, image_size, feature_maps):
        grids = [f.shape[-2:] for f in feature_maps]
        strides = [[torch.empty((), dtype=torch.int64).fill_(image_size[i] // g[i]) for i in (0, 1)] for g in grids]
        self.set_cell_anchors(feature_maps[0].dtype, feature_maps[0].device)
        anchors = []
        for size, stride, base in zip(grids, strides, self.cell_anchors):
            shifts_x = torch.arange(0, size[1], dtype=torch.int32) * stride[1]
            shifts_y = torch.arange(0, size[0], dtype=torch.int32) * stride[0]
            shift_y, shift_x = torch.meshgrid(shifts_y, shifts_x, indexing="ij")
            shifts = torch.stack([t.reshape(-1) for t in (shift_x, shift_y, shift_x, shift_y)], dim=1)
            anchors.append((shifts.view(-1, 1, 4) + base.view(1, -1, 4)).reshape(-1, 4))
        return anchors


class BoxCoder:
    def __init__(self, weights, clip=math.log(1000.0 / 16)):
        self.weights, self.clip = weights, clip

    def decode(self, codes, boxes):
        size = boxes[:, 2:] - boxes[:, :2]
        center = boxes[:, :2] + 0.5 * size
        wx, wy, ww, wh = self.weights
        dx, dy, dw, dh = codes[:, 0::4] / wx, codes[:, 1::4] / wy, codes[:, 2::4] / ww, codes[:, 3::4] / wh
        dw, dh = torch.clamp(dw, max=self.clip), torch.clamp(dh, max=self.clip)
        w, h = torch.exp(dw) * size[:, :1], torch.exp(dh) * size[:, 1:]
        x, y = dx * size[:, :1] + center[:, :1], dy * size[:, 1:] + center[:, 1:]
        half = torch.tensor(0.5, dtype=x.dtype, device=x.device)
        return torch.stack((x - half * w, y - half * h, x + half * w, y + half * h), dim=2).flatten(1)


@made("1x4x8x8 1x4x4x4", "1x4x8x8 1x4x4x4")
def region_proposals():
    head, anchors, coder = nn.Conv2d(4, 4 * 5, 1), AnchorGenerator(), BoxCoder((1.0, 1.0, 2.0, 2.0))

    def concat(per_level, channels):
        flat = []
        for level in per_level:
            n, _, h, w = level.shape
            flat.append(level.view(n, -1, channels, h, w).permute(0, 3, 4, 1, 2).reshape(n, -1, channels))
        return torch.cat(flat, dim=1).flatten(0, -2)

    def run(*features):
        boxes = anchors((32, 32), features)
        counts = anchors.num_anchors_per_location()
        out = [head(f)[:, : c * 5] for f, c in zip(features, counts)]
        scores = concat([o[:, :c] for o, c in zip(out, counts)], 1)
        deltas = concat([o[:, c:] for o, c in zip(out, counts)], 4)
        proposals = coder.decode(deltas.detach(), torch.cat(boxes)).view(1, -1, 4)
        levels = torch.cat([torch.full((len(b),), i, dtype=torch.int64) for i, b in enumerate(boxes)])
        top = torch.cat(
            [
                s.topk(min(5, len(s)))[1] + o
                for s, o in zip(scores.flatten().split([len(b) for b in boxes]), (0, len(boxes[0])))
            ]
        )
        clipped = proposals[0, top].reshape(-1, 2, 2).clamp(min=0).clamp(max=32).reshape(-1, 4)
        size = clipped[:, 2:] - clipped[:, :2]
        keep = (size >= 1e-3).all(-1)
        return clipped * keep[:, None], levels[top], torch.sigmoid(scores.flatten()[top])

    return run


class NestedTensor:
    def __init__(self, tensors, mask: Optional[Any]):
        self.tensors, self.mask = tensors, mask

    def decompose(self):
        return self.tensors, self.mask

    @classmethod
    def from_list(cls, images):
        if images[0].ndim != 3:
            raise ValueError("not supported")
        shape = [max(s) for s in zip(*(i.shape for i in images))]
        batch = torch.zeros([len(images), *shape])
        mask = torch.ones((len(images), *shape[1:]), dtype=torch.bool)
        for img, pad_img, m in zip(images, batch, mask):
            pad_img[: img.shape[0], : img.shape[1], : img.shape[2]].copy_(img)
            m[: img.shape[1], : img.shape[2]] = False
        return cls(batch, mask)


class SinePosition(nn.Module):
    def __init__(self, feats=4, temperature=100, scale=2 * math.pi):
        super().__init__()
        self.feats, self.temperature, self.scale = feats, temperature, scale

    def forward(self, nested):
        x, mask = nested.decompose()
        assert mask is not None
        y_embed, x_embed = (~mask).cumsum(1, dtype=torch.float32), (~mask).cumsum(2, dtype=torch.float32)
        y_embed = y_embed / (y_embed[:, -1:, :] + 1e-6) * self.scale
        x_embed = x_embed / (x_embed[:, :, -1:] + 1e-6) * self.scale
        dim_t = torch.arange(self.feats, dtype=torch.float32, device=x.device)
        dim_t = self.temperature ** (2 * torch.div(dim_t, 2, rounding_mode="floor") / self.feats)
        pos = [e[:, :, :, None] / dim_t for e in (y_embed, x_embed)]
        pos = [torch.stack((p[..., 0::2].sin(), p[..., 1::2].cos()), dim=4).flatten(3) for p in pos]
        return torch.cat(pos, dim=3).permute(0, 3, 1, 2)


@made("3x6x8 3x8x5", "3x6x8 3x8x5", "3x4x4 3x5x9")
def padded_images_with_positions():
    position = SinePosition()

    def run(*images):
        nested = NestedTensor.from_list(images)
        return nested.tensors, position(nested), nested.mask.float().mean()

    return run


InceptionOutputs = namedtuple("InceptionOutputs", ["logits", "aux_logits"])
InceptionOutputs.__annotations__ = {"logits": Any, "aux_logits": Optional[Any]}


class Interpolation(Enum):
    NEAREST = "nearest"
    BILINEAR = "bilinear"


@dataclass(frozen=True)
class Weights:
    transforms: Callable
    meta: dict


class WeightsEnum(Enum):
    @classmethod
    def verify(cls, obj):
        if obj is not None and type(obj) is str:
            obj = cls[obj.replace(cls.__name__ + ".", "")]
        elif obj is not None and not isinstance(obj, cls):
            raise TypeError(
                f"Invalid Weight class provided; expected {cls.__name__} but received {type(obj).__name__}."
            )
        return obj

    @property
    def meta(self):
        return self.value.meta


class Preset(nn.Module):
    def __init__(self, *, size, mean=(0.4, 0.5, 0.6), std=(0.2, 0.2, 0.3), interpolation=Interpolation.BILINEAR):
        super().__init__()
        self.size, self.mean, self.std, self.interpolation = to_2tuple(size), list(mean), list(std), interpolation

    def forward(self, img):
        img = F.interpolate(img, self.size, mode=self.interpolation.value, align_corners=False, antialias=False)
        if not img.is_floating_point():
            img = img.float() / 255
        mean = torch.as_tensor(self.mean, dtype=img.dtype, device=img.device)
        std = torch.as_tensor(self.std, dtype=img.dtype, device=img.device)
        if (std == 0).any():
            raise ValueError("std evaluated to zero")
        return img.sub(mean.view(-1, 1, 1)).div_(std.view(-1, 1, 1))


class TinyWeights(WeightsEnum):
    V1 = Weights(partial(Preset, size=8), {"categories": ["a", "b"], "num": 3})
    DEFAULT = V1


class Inception(nn.Module):
    def __init__(self):
        super().__init__()
        self.branches = nn.ModuleList([nn.Conv2d(3, c, k, padding=k // 2) for c, k in ((2, 1), (2, 3), (1, 5))])
        self.aux, self.fc = nn.Linear(5, 2), nn.Linear(5, 2)

    def eager_outputs(self, x, aux):
        return InceptionOutputs(x, aux) if self.training else x

    def forward(self, x):
        x = torch.cat([b(x) for b in self.branches], 1)
        aux = self.aux(x.mean((2, 3))) if self.training else None
        return self.eager_outputs(self.fc(x.amax((2, 3))), aux)


@made("2x3x12x10", "2x3x12x10")
def weights_and_presets():
    model = Inception()

    def run(x):
        weights = TinyWeights.verify("TinyWeights.DEFAULT")
        try:
            TinyWeights.verify(3)
        except TypeError as e:
            text = str(e)
        out = model.train()(weights.value.transforms()(x))
        return out, out.aux_logits, model.eval()(x), weights.meta["num"], weights is TinyWeights.V1, text

    return run


@program("2x4x6x6 2<4", "2x4x6x6 2<4")
def class_activation(x, target):
    x = x.detach().requires_grad_()
    activations = F.relu(x * 2)
    activations.retain_grad()
    score = activations.mean((2, 3)).gather(1, target[:, None]).sum()
    score.backward()
    weights = activations.grad.mean((2, 3), keepdim=True)
    cam = F.relu((weights * activations).sum(1)).detach()
    low, high = cam.flatten(1).min(1)[0], cam.flatten(1).max(1).values
    return (cam - low[:, None, None]) / (high - low + 1e-6)[:, None, None]
