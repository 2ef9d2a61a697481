"""Images out of noise as a library of parts: remembered arguments, exchangeable ways to attend, blocks by name."""

import functools
import inspect
from collections import OrderedDict
from dataclasses import dataclass
from itertools import pairwise
from typing import Optional, Union

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from graph_programs import made
from graph_programs.records import Record

# ---------------------------------------------------------------------------------------- remembered arguments


class Sealed(OrderedDict):
    """Entries that are attributes too, only for reading once they are in."""

    __closed = False

    def __init__(self, *given, **named):
        super().__init__(*given, **named)
        self.__closed = True

    def __setitem__(self, name, value):
        self.__only_while_open(name)
        super().__setitem__(name, value)
        super().__setattr__(name, value)

    def __setattr__(self, name, value):
        self.__only_while_open(name)
        super().__setattr__(name, value)

    def __delitem__(self, name):
        self.__only_while_open(name)
        super().__delitem__(name)

    def __only_while_open(self, name):
        if self.__closed:
            raise TypeError(f"{name} is sealed: a {type(self).__name__} stays as it was made")


class Remembers:
    """What it was made with, together in `given`, and each as an attribute if no other has the name."""

    @property
    def given(self):
        return self._given

    def remember(self, arguments):
        self._given = Sealed({**getattr(self, "_given", {}), **arguments})

    def __getattr__(self, name):
        given = self.__dict__.get("_given", ())
        if name in given:
            return given[name]
        if not hasattr(super(), "__getattr__"):
            raise AttributeError(f"{type(self).__name__} was given no {name}")
        return super().__getattr__(name)


def remembering(make):
    """Decorate a constructor: its arguments and defaults are remembered."""
    signature = inspect.signature(make)

    @functools.wraps(make)
    def make_and_remember(self, *positional, **named):
        make(self, *positional, **named)
        bound = signature.bind(self, *positional, **named)
        bound.apply_defaults()
        _, *arguments = bound.arguments.items()
        self.remember(dict(arguments))

    return make_and_remember


# ---------------------------------------------------------------------------------------- attention


def as_tokens(x):
    """The places of an image one after the other, and what puts them back; tokens stay as they are."""
    if x.ndim != 4:
        return x, lambda tokens: tokens
    rows, columns = x.shape[2], x.shape[3]
    return x.flatten(2).mT, lambda tokens: tokens.mT.unflatten(2, (rows, columns))


class Fused:
    """A way to attend: called with the layer, whose projections it uses."""

    def __init__(self):
        self.kernel = getattr(F, "scaled_dot_product_attention", None)
        if self.kernel is None:
            raise ImportError("this version has no fused attention")

    def __call__(self, layer, x, context=None, mask=None, **unread):
        tokens, put_back = as_tokens(x)
        source = tokens if context is None else context
        asked, offered, carried = map(layer.in_heads, (layer.ask(tokens), layer.offer(source), layer.carry(source)))
        found = self.kernel(asked, offered, carried, attn_mask=mask, dropout_p=0.0)
        found = found.transpose(1, 2).flatten(start_dim=2).to(x.dtype)
        for part in layer.leave:
            found = part(found)
        found = put_back(found)
        return (found + x if layer.adds_input else found) / layer.divisor


class Weakened(Fused):
    def __call__(self, layer, *inputs, strength=1.0, **named):
        return strength * super().__call__(layer, *inputs, **named)


class Attends(nn.Module):
    def __init__(self, width, context_width=None, heads=2, way=None, adds_input=False):
        super().__init__()
        self.heads, self.adds_input, self.divisor = heads, adds_input, 1.0
        source_width = width if context_width is None else context_width
        self.ask = nn.Linear(width, width, bias=False)
        self.offer, self.carry = (nn.Linear(source_width, width, bias=False) for _ in range(2))
        self.leave = nn.ModuleList((nn.Linear(width, width), nn.Dropout(0.0)))
        self.attend_by(Fused() if way is None else way)

    def in_heads(self, x):
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def attend_by(self, way):
        if "way" in self._modules and not isinstance(way, nn.Module):
            del self._modules["way"]  # an attribute that is no module would not replace it
        self.way = way

    def forward(self, x, context=None, mask=None, **options):
        known = inspect.signature(self.way.__call__).parameters
        understood = {name: option for name, option in options.items() if name in known}
        return self.way(self, x, context=context, mask=mask, **understood)


# ---------------------------------------------------------------------------------------- blocks


def waves(steps, width, cosines_first=False, longest=10_000.0):
    """Sines and cosines of the steps, [n] -> [n, width]; their wave lengths grow geometrically."""
    if steps.dim() != 1:
        raise ValueError(f"a list of steps is wanted, these have {steps.dim()} dimensions")
    count = width // 2
    rates = longest ** -torch.linspace(0.0, 1.0, count, device=steps.device)
    angles = torch.outer(steps.float(), rates)
    parts = [angles.sin(), angles.cos()]
    if cosines_first:
        parts.reverse()
    if width > 2 * count:
        parts.append(torch.zeros_like(angles[:, :1]))
    return torch.cat(parts, dim=1)


class Residual(nn.Module):
    """Two convolutions around a signal of the time, which is added, or scales and shifts."""

    def __init__(self, *, enters, leaves=None, time_width=16, groups=2, modulates=False):
        super().__init__()
        leaves = leaves or enters
        self.modulates = modulates
        self.before, self.between = nn.GroupNorm(groups, enters, eps=1e-6), nn.GroupNorm(groups, leaves, eps=1e-6)
        self.first = nn.Conv2d(enters, leaves, kernel_size=3, padding=1)
        self.second = nn.Conv2d(leaves, leaves, kernel_size=3, padding=1)
        self.of_time = nn.Linear(time_width, leaves * (1 + modulates))
        self.curve = nn.SiLU()
        self.beside = None if enters == leaves else nn.Conv2d(enters, leaves, kernel_size=1)

    def forward(self, x, time, *unread, **also_unread):
        signal = self.of_time(self.curve(time)).unflatten(-1, (-1, 1, 1))
        y = self.first(self.curve(self.before(x)))
        if not self.modulates:
            y = self.between(y + signal)
        else:
            factor, offset = signal.chunk(2, dim=1)
            y = torch.addcmul(offset, self.between(y), factor + 1)
        y = self.second(self.curve(y))
        return y + (x if self.beside is None else self.beside(x.contiguous()))


class Grow(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.smooth = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x, size=None):
        how = {"scale_factor": 2.0} if size is None else {"size": size}
        kind, wide = x.dtype, torch.float32 if x.dtype is torch.bfloat16 else x.dtype
        return self.smooth(F.interpolate(x.to(wide), mode="nearest", **how).to(kind))


class Down(nn.Module):
    reads_context = False

    def __init__(self, enters, leaves, shrinks, **options):
        super().__init__()
        self.steps = nn.ModuleList([Residual(enters=enters, leaves=leaves, **options)])
        self.shrink = None
        if shrinks:
            self.shrink = nn.ModuleList([nn.Conv2d(leaves, leaves, kernel_size=3, padding=1, stride=2)])

    def through(self, index, x, time, context):
        return self.steps[index](x, time)

    def forward(self, x, time=None, context=None):
        passed = ()
        for index, _ in enumerate(self.steps):
            x = self.through(index, x, time, context)
            passed += (x,)
        if self.shrink is not None:
            for layer in self.shrink:
                x = layer(x)
            passed = (*passed, x)
        return x, passed


class AttendingDown(Down):
    reads_context = True

    def __init__(self, enters, leaves, shrinks, context_width=6, **options):
        super().__init__(enters, leaves, shrinks, **options)
        self.attends = nn.ModuleList(Attends(leaves, context_width, adds_input=True) for _ in self.steps)

    def through(self, index, x, time, context):
        return self.attends[index](super().through(index, x, time, context), context=context, strength=0.5)


class Up(nn.Module):
    def __init__(self, enters, skips, leaves, grows, **options):
        super().__init__()
        self.steps = nn.ModuleList()
        for skip in skips:
            self.steps.append(Residual(enters=enters + skip, leaves=leaves, **options))
            enters = leaves
        self.grow = nn.ModuleList([Grow(leaves)] * grows) if grows else None

    def forward(self, x, skips, time=None, size=None):
        for step in self.steps:
            *skips, skip = skips
            if x.shape[-2:] != skip.shape[-2:]:
                x = F.interpolate(x, size=skip.shape[-2:])
            x = step(torch.cat((x, skip), dim=1), time)
        for layer in self.grow or []:
            x = layer(x, size)
        return x


BLOCKS = {"plain": Down, "attending": AttendingDown}


def block_named(name, *sizes, **options):
    """The block of a name, which may have the prefix of older files."""
    kind = BLOCKS.get(name.removeprefix("old:"))
    if kind is None:
        raise ValueError(f"no block is named {name}; there are {sorted(BLOCKS)}")
    return kind(*sizes, **options)


# ---------------------------------------------------------------------------------------- the network


@dataclass
class Denoised(Record):
    image: Optional[torch.Tensor] = None


class Network(nn.Module):
    @property
    def dtype(self):
        return next(iter(self.parameters())).dtype

    @property
    def ways(self):
        """The way in which each layer attends, by its path."""

        def walk(path, module):
            for name, child in module.named_children():
                inner = (*path, name)
                if hasattr(child, "attend_by"):
                    found[".".join(inner) + ":way"] = child.way
                walk(inner, child)

        found = {}
        walk((), self)
        return found

    def attend_by(self, way):
        paths = self.ways
        if isinstance(way, dict) and way.keys() != paths.keys():
            raise ValueError(f"{len(paths)} layers attend, {len(way)} ways are given")
        for layer in self.modules():
            if isinstance(layer, Attends):
                layer.attend_by(way)


class Denoiser(Network, Remembers):
    @remembering
    def __init__(
        self, size: Optional[int] = None, colours=2, widths=(4, 8), blocks=("attending", "old:plain"),
        modulates=False, centres=False, heads: Union[int, tuple] = 2,
    ):  # fmt: skip
        super().__init__()
        narrow, wide = widths[0], widths[-1]
        self.enter = nn.Conv2d(colours, narrow, kernel_size=3, padding=(1, 1))
        self.time = nn.Sequential(nn.Linear(narrow, 16), nn.SiLU(), nn.Linear(16, 16))
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        skips = [narrow]
        for name, (enters, leaves) in zip(blocks, pairwise((narrow, *widths))):
            shrinks = len(self.down) < len(widths) - 1
            self.down.append(block_named(name, enters, leaves, shrinks, modulates=modulates))
            skips.extend([leaves] * (1 + shrinks))
        self.middle = nn.ModuleList([Residual(enters=wide, modulates=modulates), Attends(wide, 6)])
        enters = wide
        for leaves in reversed(widths):
            grows = leaves != narrow
            self.up.append(Up(enters, (skips.pop(), skips.pop()), leaves, grows, modulates=modulates))
            enters = leaves
        self.last_norm, self.leave = nn.GroupNorm(2, narrow), nn.Conv2d(narrow, colours, 3, padding=1)

    def time_signal(self, step, x):
        if not torch.is_tensor(step):
            step = torch.tensor(step, dtype=torch.float64 if type(step) is float else torch.int64)
        steps = step.to(x.device).expand(x.shape[0])
        return self.time(waves(steps, self.given.widths[0]).to(self.dtype))

    def forward(self, x, step, context=None, as_record=True):
        multiple = 2 ** len(self.down[1:])
        is_odd = any(size % multiple for size in x.shape[-2:])
        time = self.time_signal(step, x)
        x = self.enter(x * 2 - 1.0 if self.given.centres else x)
        skips = [x]
        for block in self.down:
            more = {"context": context} if getattr(block, "reads_context", False) else {}
            x, passed = block(x, time, **more)
            skips += passed
        residual, attends = self.middle
        x = residual(x, time)
        x = attends(x.flatten(2).mT, context).mT.reshape(x.shape)
        for block in self.up:
            taken = skips[-len(block.steps) :]
            del skips[-len(block.steps) :]
            x = block(x, skips=taken, time=time, size=skips[-1].shape[2:] if skips and is_odd else None)
        image = self.leave(F.silu(self.last_norm(x)))
        return Denoised(image=image) if as_record else (image,)


# ---------------------------------------------------------------------------------------- levels of noise


@dataclass
class Cleaner(Record):
    before: torch.Tensor
    clean: Optional[torch.Tensor] = None


class Levels(Remembers):
    """Levels of noise, and steps down them (Song, Meng and Ermon 2020, arXiv:2010.02502)."""

    @remembering
    def __init__(self, count=100, least=0.001, most=0.02, predicts="noise", clamps=True):
        added = torch.linspace(least**0.5, most**0.5, count).square()
        self.kept, self.all_kept = torch.cumprod(1.0 - added, 0), torch.ones(())
        self.stride = None
        self.visited = torch.from_numpy(np.arange(count)[::-1].copy())

    def visit(self, how_many, device=None):
        """Choose the levels that are stepped on."""
        if how_many > self.given.count:
            raise ValueError(f"{how_many} steps do not fit on {self.given.count} levels")
        self.stride = self.given.count // how_many
        levels = self.stride * np.arange(how_many)
        self.visited = torch.from_numpy(levels[::-1].copy().astype(np.int64)).to(device)

    def parts(self, predicted, noisy, kept):
        """The clean image that is predicted of a noisy one."""
        signal, noise = kept.sqrt(), (1 - kept).sqrt()
        if self.given.predicts == "noise":
            return (noisy - noise * predicted) / signal
        return signal * noisy - noise * predicted

    def step(self, predicted, level, noisy, as_record=True):
        if self.stride is None:
            raise ValueError("no levels are chosen yet: call `visit` first")
        clean = self.parts(predicted, noisy, self.kept[level])
        if self.given.clamps:
            clean = clean.clamp(min=-1.0, max=1.0)
        target = level - self.stride
        kept = self.all_kept if target < 0 else self.kept[target]
        before = torch.sqrt(kept) * clean + torch.sqrt(1 - kept) * predicted
        return Cleaner(before=before, clean=clean) if as_record else (before,)

    def noised(self, clean, noise, levels):
        self.kept = self.kept.to(device=clean.device)
        kept = self.kept.to(clean.dtype)[levels.to(clean.device)]
        while kept.dim() < clean.dim():
            kept = kept[..., None]
        return sum(part * share.sqrt() for part, share in ((clean, kept), (noise, 1 - kept)))


# ---------------------------------------------------------------------------------------- programs


@made("2x2x8x8 2<100 2x3x6", "2x2x8x8 2<100 2x3x6")
def unet_forward():
    network = Denoiser(size=8)
    return lambda x, levels, context: network(x, levels, context=context).image


@made("1x2x7x9 =3 1x3x6", "1x2x7x9 =7 1x3x6", "1x2x7x9 =9 1x3x6")
def unet_of_odd_sizes():
    network = Denoiser(centres=True, modulates=True)
    network.attend_by(Weakened())

    def run(x, level, context):
        (image,) = network(x, level, context, as_record=False)
        return image

    return run


@made("2x2x4x4 2x3x6", "2x2x4x4 2x3x6")
def unet_processors_walked():
    network = Denoiser()

    def run(x, context):
        paths = [*network.ways]
        network.attend_by(Weakened() if "middle.1:way" in paths else Fused())
        found = network(x, torch.tensor(4), context)
        return found["image"].mean(), found[0], len(found), paths, network.given.size

    return run


@made("2x2x4x4 2x2x4x4 2<100 2x3x6", "2x2x4x4 2x2x4x4 2<100 2x3x6")
def noise_prediction_training():
    levels, network = Levels(), Denoiser()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)

    def train(clean, noise, chosen, context):
        (predicted,) = network(levels.noised(clean, noise, chosen), chosen, context, as_record=False)
        error = F.mse_loss(predicted, noise)
        error.backward()
        optimizer.step()
        optimizer.zero_grad()
        return error.detach()

    return train


@made("1x2x4x4 1x3x6", "1x2x4x4 1x3x6")
def guided_sampling_loop():
    levels = Levels(predicts="velocity")
    network = Denoiser().eval()

    @torch.no_grad()
    def sample(x, words, weight=3.0, watch=None):
        levels.visit(3)
        both = torch.cat((words.new_zeros(words.shape), words))
        for turn, level in enumerate(levels.visited.tolist()):
            without, guided = network(x.repeat(2, 1, 1, 1), level, context=both).image.chunk(2)
            x = levels.step(without.lerp(guided, weight), level, x).before
            if watch is not None and turn % 2 == 0:
                watch(turn, level, x)
        return x

    return sample


@made("1x2x4x4 1x2x4x4 =7", "1x2x4x4 1x2x4x4 =-9")
def scheduler_errors():
    levels = Levels()

    def run(predicted, noisy, level):
        refusals = []
        for refused in (lambda: levels.given.__delitem__("clamps"), lambda: levels.step(predicted, level, noisy)):
            try:
                refused()
            except (TypeError, ValueError) as refusal:
                refusals.append((type(refusal).__name__, str(refusal)))
        return levels.count, hasattr(levels, "nothing"), refusals, noisy * 2

    return run
