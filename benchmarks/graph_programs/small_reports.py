"""Small programs in kind of what users report as breaking or wrong when compiled: state on tensors, aliases, modes."""

import copy
import functools
import itertools
import math
from collections import OrderedDict, defaultdict
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F

from graph_programs import made, program


@made("2x4", "2x4")
def attributes_of_parameters():
    layer = nn.Linear(4, 4)
    layer.weight.lr_scale, layer.bias.no_decay = 0.5, True

    def run(x):
        groups = defaultdict(list)
        for p in layer.parameters():
            groups[getattr(p, "no_decay", False)].append(getattr(p, "lr_scale", 1.0))
        return layer(x) * groups[False][0], dict(groups), hasattr(layer.weight, "no_decay")

    return run


@program("3x4", "3x4")
def overlapping_row_updates(x):
    y = x.clone()
    row = y[0]
    y[1:] += row
    row.zero_()
    y[:, ::2].mul_(2)
    y.view(-1)[-1] = 7
    a, b = y.unbind(0)[:2]
    a.copy_(b.flip(0))
    y.diagonal().fill_(3)
    return y, row, a.data_ptr() == y.data_ptr()


@program("2x3", "2x3")
def arguments_swapped_in_place(x):
    a, b = x[0].clone(), x[1].clone()
    a[:], b[:] = b.clone(), a.clone()
    a[[0, 2]], b[0] = b[[2, 0]], a[1]
    a[a > 0] = 0.5
    a += b
    a -= (c := a.mean())
    a **= 2
    a //= 0.25
    return a, b, c


class Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, levels, scale=None):
        ctx.levels, ctx.has_scale = levels, scale is not None
        ctx.mark_non_differentiable(index := torch.round(x * levels))
        ctx.save_for_backward(x, scale)
        return index / levels if scale is None else index / levels * scale, index

    @staticmethod
    def backward(ctx, grad, grad_index):
        x, scale = ctx.saved_tensors
        inside = (x.abs() <= 1).to(grad.dtype)
        grad_scale = (grad * x).sum().view(1) if ctx.has_scale and ctx.needs_input_grad[2] else None
        return grad * inside, None, grad_scale


@program("4~ 1~", "4~ 1~")
def rounding_function(x, scale):
    y, index = Rounded.apply(x, 4, scale)
    z, _ = Rounded.apply(x * 2, 8)
    grads = torch.autograd.grad((y * z).sum(), [x, scale])
    return grads, index, index.requires_grad


class Opposed(torch.autograd.Function):
    """The same going forward; going back, a share of the gradient with its sign turned (Ganin et al., 2016)."""

    @staticmethod
    def forward(ctx, features, share):
        ctx.factor = -share
        return features.view(features.shape)

    @staticmethod
    def backward(ctx, gradient):
        return ctx.factor * gradient, None


@made("4x4 4<2", "4x4 4<2")
def domain_adversarial():
    parts = nn.ModuleDict({name: nn.Linear(4, n) for name, n in {"body": 4, "label": 3, "domain": 2}.items()})
    rounds = itertools.count(1)

    def step(x, origin):
        share = math.tanh(next(rounds) / 8)
        h = parts["body"](x).relu()
        told = F.cross_entropy(parts["domain"](Opposed.apply(h, share)), origin)
        loss = told + parts["label"](h).logsumexp(1).mean()
        parts.zero_grad()
        loss.backward()
        return loss.detach(), parts["body"].weight.grad.clone()

    return step


@made("2x3", "2x3")
def modules_that_override_call():
    class Traced(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner, self.seen = inner, []

        def __call__(self, *args, **kwargs):
            self.seen.append(type(self.inner).__name__)
            return super().__call__(*args, **kwargs)

        def __len__(self):
            return len(self.seen)

        def __bool__(self):
            return True

        def forward(self, x):
            return self.inner(x)

    model = nn.Sequential(Traced(nn.Linear(3, 3)), Traced(nn.Tanh()))
    return lambda x: (model(x), len(model[0]), [len(m) for m in model])


@made("3x4", "3x4")
def modules_shared_and_tied():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4, bias=False)
            self.b.weight = self.a.weight
            self.alias = self.a
            self.stack = nn.ModuleList([self.a] * 2)

        def forward(self, x):
            for layer in self.stack:
                x = layer(x)
            names = [n for n, _ in self.named_parameters()]
            return self.alias(x) + self.b(x), names, len(list(self.modules())), self.a.weight is self.b.weight

    return Tied()


@program("2x3", "2x3")
def modes_as_functions(x):
    before = torch.is_grad_enabled()
    torch.set_grad_enabled(False)
    y = (x.clone().requires_grad_() * 2).requires_grad
    torch.set_grad_enabled(before)

    @torch.inference_mode()
    def infer(v):
        return v * 3, torch.is_inference_mode_enabled()

    @torch.enable_grad()
    def learn(v):
        return torch.is_grad_enabled()

    with torch.no_grad():
        inside = learn(x)
    z, mode = infer(x)
    return z + 1, y, inside, mode, torch.is_inference_mode_enabled()


@program("2x3", "2x3")
def autocast_nested(x):
    kinds = []
    with torch.autocast("cpu", dtype=torch.bfloat16):
        a = x @ x.t()
        kinds.append(str(a.dtype).split(".")[-1])
        with torch.autocast("cpu", enabled=False):
            b = a.float() @ a.float()
            kinds.append(str(b.dtype).split(".")[-1])
        c = F.layer_norm(a, (2,))
        kinds.append(str((c @ c).dtype).split(".")[-1])
    return b, kinds, torch.is_autocast_enabled("cpu")


@made("2x3", "2x3", "2x3")
def optional_outputs_by_flag():
    class Out(OrderedDict):
        def __getattr__(self, name):
            try:
                return self[name]
            except KeyError:
                raise AttributeError(name) from None

    flags = itertools.cycle([True, False])

    def run(x):
        flag = next(flags)
        out = Out(y=x * 2)
        if flag:
            out["aux"] = x.sum()
            out.move_to_end("y")
        return out, list(out), getattr(out, "aux", None) is None

    return run


@program("4x3", "4x3")
def padded_and_packed(x):
    lengths = [3, 1, 2]
    parts = [x[:n, i] for i, n in enumerate(lengths)]
    padded = nn.utils.rnn.pad_sequence(parts, batch_first=True, padding_value=-1.0)
    mask = torch.arange(padded.shape[1])[None] < torch.tensor(lengths)[:, None]
    total = (padded * mask).sum(1) / mask.sum(1)
    return padded, total, nn.utils.rnn.unpad_sequence(padded, torch.tensor(lengths), batch_first=True)[1]


@made("2x5<7 2x5<7", "2x5<7 2x5<7")
def factorisation_machine():
    tables = nn.ModuleDict({k: nn.Embedding(7, 3) for k in ("user", "item")})
    bias = nn.ParameterDict({"global": nn.Parameter(torch.zeros(1))})

    def run(user, item):
        fields = torch.stack([tables[k](v) for k, v in {"user": user, "item": item}.items()], -2)
        squared = fields.sum(-2).square() - fields.square().sum(-2)
        scores = 0.5 * squared.sum(-1) + bias["global"]
        ranked = scores.argsort(-1, descending=True)
        gains = 1 / torch.log2(torch.arange(5) + 2.0)
        return scores, (torch.gather(scores, 1, ranked) * gains).sum(1)

    return run


class Tally:
    """Counts that begin anew from what they began with."""

    def __init__(self, **beginnings):
        self._beginnings = beginnings
        self.begin()

    def begin(self):
        for name, value in self._beginnings.items():
            setattr(self, name, copy.deepcopy(value))

    def __add__(self, other):
        return Tallies({f"{type(t).__name__.lower()}{i}": t for i, t in enumerate((self, other))})


class F1(Tally):
    def __init__(self, classes):
        super().__init__(hits=torch.zeros(classes), named=torch.zeros(classes), present=torch.zeros(classes), exact=[])

    def take(self, named, present):
        named_hot, present_hot = (F.one_hot(t, len(self.hits)) for t in (named, present))
        self.hits += (named_hot * present_hot).sum(0)
        self.named += named_hot.sum(0)
        self.present += present_hot.sum(0)
        self.exact.append(named.eq(present).float().mean())

    @property
    def score(self):
        return torch.mean(2 * self.hits / torch.clamp(self.named + self.present, min=1))


class Tallies(dict):
    def take(self, *batch):
        for tally in self.values():
            tally.take(*batch)


@made("6<3 6<3", "6<3 6<3", "6<3 6<3")
def metrics_kept():
    tallies = F1(3) + F1(3)

    def step(named, present):
        tallies.take(named, present)
        first, second = tallies.values()
        if len(first.exact) == 2:
            tallies["f11"].begin()
        return first.score, torch.stack(first.exact), len(second.exact)

    return step


@made("2x2x4", "2x2x4")
def mixture_of_experts_with_capacity():
    gate, experts = nn.Linear(4, 3), nn.ModuleList([nn.Linear(4, 4) for _ in range(3)])

    def run(x):
        flat = x.reshape(-1, x.shape[-1])
        probs = gate(flat).softmax(-1)
        weight, index = probs.topk(2, dim=-1)
        weight = weight / weight.sum(-1, keepdim=True)
        hot = F.one_hot(index, len(experts)).permute(2, 1, 0)
        position = (hot.flatten(1).cumsum(-1) - 1).view_as(hot)
        kept = (hot.bool() & (position < 2)).float()
        out = torch.zeros_like(flat)
        for e, expert in enumerate(experts):
            out = out + ((kept[e].t() * weight).sum(-1, keepdim=True)) * expert(flat)
        load = hot.float().mean((1, 2)) @ probs.mean(0) * len(experts)
        return out.view_as(x), load

    return run


@program("2x3 2x3", "2x3 2x3")
def callbacks_through_kwargs(x, y):
    def apply(fn, *args, wrap=None, then=(), **kwargs):
        result = fn(*args, **kwargs)
        for f in (*((wrap,) if wrap else ()), *then):
            result = f(result)
        return result

    options = {"wrap": torch.tanh, "then": [lambda v: v + 1, functools.partial(torch.mul, y)]}
    first = apply(torch.add, x, y, **options, alpha=2)
    second = apply(lambda *a, k=1, **kw: sum(a) * k + len(kw), x, y, **{"k": 3, "extra": None})
    return first, second, apply(max, [1, 3], key=lambda v: -v)


@made("3", "3", "3", "3")
def schedule_in_python():
    @dataclass
    class Schedule:
        warmup: int = 2
        total: int = 5
        step: int = 0

        def __next__(self):
            self.step += 1
            if self.step < self.warmup:
                return self.step / self.warmup
            done = (self.step - self.warmup) / (self.total - self.warmup)
            return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

        def __iter__(self):
            return self

    schedule = Schedule()
    return lambda x: (x * next(schedule), schedule.step)


@program("2x4", "2x4")
def bytes_and_bits_of_tensors(x):
    q = (x * 10).round().clamp(-8, 7).to(torch.int8)
    packed = (q[:, ::2] & 0xF) | (q[:, 1::2] << 4)
    low, high = (packed << 4) >> 4, packed >> 4
    restored = torch.stack([low, high], -1).flatten(1)
    return restored, (restored == q).all(), q.element_size(), q.nbytes


@made("2x3 =1", "2x3 =2", "2x3 =3", "2x3 =2")
def layers_chosen_by_number():
    layers = nn.ModuleList([nn.Linear(3, 3) for _ in range(4)])
    return lambda x, n: (functools.reduce(lambda h, f: f(h).relu(), layers[:n], x), len(layers[n:]), layers[-n].bias)
