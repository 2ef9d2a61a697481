"""Training code that users write around a model: own optimizers and schedulers, trainers, adapters, averaging."""

import collections
import contextlib
import copy
import math
from collections import defaultdict
from collections.abc import Iterable

import torch
import torch.nn as nn
import torch.nn.functional as F

from graph_programs import made, seeded


def mlp(inputs=4, outputs=3, norm=False):
    layers = [nn.Linear(inputs, 8), nn.BatchNorm1d(8) if norm else nn.Identity(), nn.ReLU(), nn.Linear(8, outputs)]
    return seeded(nn.Sequential(*layers))


class SignSteps(torch.optim.Optimizer):
    """Steps of one size, along the sign of a running mean of gradients (Chen et al., 2023: Lion)."""

    def __init__(self, params, **settings):
        settings = {"lr": 1e-2, "near": 0.9, "far": 0.99, "shrink": 0.0} | settings
        if settings["lr"] < 0:
            raise ValueError(f"a step of {settings['lr']} would go uphill")
        super().__init__(params, settings)

    @torch.no_grad()
    def step(self, closure=None):
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            self._move([p for p in group["params"] if p.grad is not None], group)
        return loss

    def _move(self, params, group):
        for p in params:
            known = self.state[p]
            if "course" not in known:
                known["course"] = torch.zeros_like(p)
            course = known["course"]
            p.data.mul_(1 - group["shrink"] * group["lr"])
            p.sub_(p.grad.lerp(course, group["near"]).sign_(), alpha=group["lr"])
            course.lerp_(p.grad, 1 - group["far"])


@made("4x4 4<3", "4x4 4<3", "4x4 4<3")
def lion():
    model = mlp()
    optimizer = SignSteps([{"params": model[0].parameters(), "shrink": 0.1}, {"params": model[3].parameters()}])

    def step(x, y):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), len(optimizer.state)

    return step


class FlatMinima(torch.optim.Optimizer):
    """Goes down by the gradient at the steepest point nearby (Foret et al., 2021)."""

    def __init__(self, params, kind, radius=0.05, **settings):
        if radius <= 0:
            raise ValueError(f"nothing is nearer than {radius}")
        super().__init__(params, {"radius": radius, **settings})
        self.below = kind(self.param_groups, **settings)
        self.param_groups = self.below.param_groups

    def pulled(self):
        for group in self.param_groups:
            yield from ((p, group["radius"]) for p in group["params"] if p.grad is not None)

    @torch.no_grad()
    def climb(self):
        steepness = torch.linalg.vector_norm(torch.stack([p.grad.norm() for p, _ in self.pulled()]))
        for p, radius in self.pulled():
            self.state[p]["home"] = p.detach().clone()
            p.addcmul_(p.grad, radius / steepness.clamp(min=1e-9))

    @torch.no_grad()
    def go_home(self):
        for p, _ in self.pulled():
            p.data = self.state[p].pop("home")

    def step(self, closure):
        self.climb()
        self.zero_grad()
        with torch.enable_grad():
            loss = closure()
        self.go_home()
        self.below.step()
        return loss


@made("4x4 4<3", "4x4 4<3")
def sharpness_aware():
    model = mlp()
    optimizer = FlatMinima(model.parameters(), torch.optim.SGD, lr=0.1, momentum=0.9)

    def step(x, y):
        def closure():
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            return loss

        before, nearby = closure(), optimizer.step(closure)
        optimizer.zero_grad()
        return before.detach(), nearby.detach(), model[0].weight.detach().clone()

    return step


class Anchored:
    """An optimizer whose parameters are drawn back towards slow ones now and then (Zhang et al., 2019)."""

    def __init__(self, optimizer, every=2, share=0.5):
        self.wrapped, self.every, self.share, self.taken = optimizer, every, share, 0
        self.slow = [(p, p.detach().clone()) for group in optimizer.param_groups for p in group["params"]]

    def __getattr__(self, name):
        return getattr(self.wrapped, name)

    def step(self):
        self.wrapped.step()
        self.taken += 1
        if self.taken % self.every == 0:
            for fast, slow in self.slow:
                fast.data.copy_(slow.lerp_(fast.data, self.share))


@made("4x4 4<3", "4x4 4<3", "4x4 4<3", "4x4 4<3")
def lookahead():
    model = mlp()
    optimizer = Anchored(torch.optim.Adam(model.parameters(), lr=0.01))

    def step(x, y):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), optimizer.param_groups[0]["lr"]

    return step


class Follower:
    """A copy of a model that comes after it, the more slowly the longer it has."""

    def __init__(self, leader, inertia=0.9):
        self.model = copy.deepcopy(leader).requires_grad_(False).eval()
        self.steps, self.share = 0, lambda steps: 1 + inertia * math.expm1(-steps / 4)

    def come_after(self, leader):
        self.steps += 1
        share, goals = self.share(self.steps), leader.state_dict()
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                if value.is_floating_point():
                    value -= (value - goals[name]) * share

    @contextlib.contextmanager
    def in_place_of(self, leader):
        own = {name: value.clone() for name, value in leader.state_dict().items()}
        try:
            leader.load_state_dict(self.model.state_dict())
            yield leader
        finally:
            leader.load_state_dict(own)


@made("4x4 4<3", "4x4 4<3", "4x4 4<3")
def averaged_by_state_dict():
    model = mlp(norm=True)
    follower = Follower(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(x, y):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        follower.come_after(model)
        return loss.detach(), follower.model(x)

    return step


@made("4x4", "4x4")
def evaluated_with_swapped_weights():
    model = mlp()
    follower = Follower(model)
    with torch.no_grad():
        for p in follower.model.parameters():
            p.mul_(0.5)

    def evaluate(x):
        with torch.no_grad(), follower.in_place_of(model) as swapped:
            inside = swapped(x)
        return inside, model(x)

    return evaluate


class Listener:
    """What may be done at the moments of training; each is called if a listener has a method of its name."""


class RecentLosses(Listener):
    def __init__(self):
        self.recent = collections.deque(maxlen=3)

    def after_backward(self, training, loss):
        self.recent.append(loss.detach())

    @property
    def mean(self):
        return sum(self.recent) / len(self.recent)


class SlowStart(Listener):
    def before_batch(self, training, batch):
        share = min(3, training.batches + 1) / 3
        for group in training.optimizer.param_groups:
            group["lr"] = type(training).lr * share


class Limits(Listener):
    def after_backward(self, training, loss):
        torch.nn.utils.clip_grad_value_(training.model.parameters(), 0.5)


class Training:
    lr = 0.1

    def __init__(self, model, *listeners):
        self.model, self.listeners, self.batches = model, listeners, 0
        self.optimizer = torch.optim.SGD(model.parameters(), lr=self.lr)
        self.notes = defaultdict(list)

    def tell(self, moment, *what):
        for listener in self.listeners:
            if (method := getattr(listener, moment, None)) is not None:
                method(self, *what)

    def note(self, **values):
        for name, value in values.items():
            self.notes[name].append(value.detach() if isinstance(value, torch.Tensor) else value)

    def loss_of(self, batch):
        loss = F.cross_entropy(self.model(batch["x"].to("cpu")), batch["y"].to("cpu"))
        self.note(loss=loss, size=len(batch))
        return loss

    def __call__(self, **batch):
        self.tell("before_batch", batch)
        loss = self.loss_of(batch)
        self.optimizer.zero_grad()
        loss.backward()
        self.tell("after_backward", loss)
        self.optimizer.step()
        self.batches += 1
        return loss.detach()


@made("4x4 4<3", "4x4 4<3", "4x4 4<3", "4x4 4<3")
def trainer_with_callbacks():
    losses = RecentLosses()
    training = Training(mlp(), SlowStart(), losses, Limits())

    def step(x, y):
        loss = training(x=x, y=y)
        return loss, losses.mean, training.batches, len(training.notes["loss"])

    return step


class WithAdapters(nn.Module):
    """A linear layer and named additions of low rank (Hu et al., 2021); all else is asked of the layer."""

    def __init__(self, linear, rank=2, gain=2.0):
        super().__init__()
        self.linear, self.gain, self.is_folded, self.in_use = linear, gain, False, ("main", "absent")
        self.narrow = nn.ParameterDict({"main": nn.Parameter(torch.zeros(linear.in_features, rank))})
        self.wide = nn.ParameterDict({"main": nn.Parameter(torch.zeros(rank, linear.out_features))})
        self.before = nn.ModuleDict({"main": nn.Dropout(0.0)})

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "linear":
                raise
            return getattr(self.linear, name)

    def additions(self):
        for name in self.in_use:
            if name in self.narrow:
                yield self.before[name], self.narrow[name], self.wide[name]

    def fold(self):
        for _, narrow, wide in self.additions():
            self.linear.weight.data += self.gain * (narrow @ wide).t()
        self.is_folded = True

    def forward(self, x, *more, **options):
        y = self.linear(x, *more, **options)
        if not self.is_folded:
            for before, narrow, wide in self.additions():
                y = torch.add(y, before(x).to(narrow.dtype) @ narrow @ wide, alpha=self.gain)
        return y.type_as(x)


def with_adapters(model, endings: Iterable[str]):
    linears = {path: m for path, m in model.named_modules() if isinstance(m, nn.Linear) and path.endswith(endings)}
    for p in model.parameters():
        p.requires_grad_(False)
    for path, linear in linears.items():
        *owners, name = path.split(".")
        setattr(model.get_submodule(".".join(owners)), name, WithAdapters(linear))
    return model


@made("4x4 4<3", "4x4 4<3")
def adapters_trained():
    model = with_adapters(nn.ModuleDict({"body": mlp(4, 4), "head": nn.Linear(4, 3)}), ("0", "head"))
    optimizer = torch.optim.Adam(filter(lambda p: p.requires_grad, model.parameters()), lr=1e-2)

    def step(x, y):
        loss = F.cross_entropy(model["head"](model["body"](x)), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        without = [path for path, p in model.named_parameters() if p.grad is None]
        return loss.detach(), without, model["head"].in_features

    return step


@made("2x4 =False", "2x4 =True", "2x4 =False")
def adapters_merged_in_call():
    layer = WithAdapters(nn.Linear(4, 3))

    @torch.no_grad()
    def run(x, fold):
        if fold and not layer.is_folded:
            layer.fold()
        return layer(x), layer.is_folded

    return run


class OnGrid(torch.autograd.Function):
    """Numbers moved to a grid of a few steps; gradients of those beyond its ends go to the size of the step."""

    @staticmethod
    def forward(ctx, x, step, lowest, highest):
        place = x.div(step).round()
        held = torch.clamp(place, lowest, highest)
        ctx.range = lowest, highest
        ctx.save_for_backward(held != place)
        return step * held

    @staticmethod
    def backward(ctx, gradient):
        (beyond,) = ctx.saved_tensors
        for_step = gradient.mul(beyond).sum() if ctx.needs_input_grad[1] else None
        return gradient.masked_fill(beyond, 0), for_step, *[None] * len(ctx.range)


class GridLinear(nn.Linear):
    def __init__(self, *sizes, bits=4):
        super().__init__(*sizes)
        self.highest = 2 ** (bits - 1) - 1
        self.is_exact = False
        self.register_buffer("largest", torch.zeros(()))

    def on_grid(self, t, largest):
        return OnGrid.apply(t, largest / self.highest, ~self.highest, self.highest)

    def forward(self, x):
        if self.is_exact:
            return super().forward(x)
        if self.training:
            with torch.no_grad():
                self.largest.copy_(torch.max(x.abs().amax(), 0.9 * self.largest))
        return F.linear(
            self.on_grid(x, self.largest), self.on_grid(self.weight, self.weight.data.abs().amax()), self.bias
        )


@made("4x4 4<3", "4x4 4<3", "4x4 4<3")
def quantisation_aware():
    model = nn.Sequential(GridLinear(4, 8), nn.Hardtanh(), GridLinear(8, 3, bits=8))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(x, y):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), model[0].largest.clone()

    return step


@contextlib.contextmanager
def set_for_now(target, **values):
    before = {name: getattr(target, name, None) for name in values}
    for name, value in values.items():
        setattr(target, name, value)
    try:
        yield target
    finally:
        for name, value in before.items():
            setattr(target, name, value)


class Gathering:
    """Steps after every few batches; until then the model is told that its gradients are not shared."""

    def __init__(self, model, batches):
        self.model, self.batches, self.seen = model, batches, 0

    @property
    def is_complete(self):
        return self.seen % self.batches == 0

    @contextlib.contextmanager
    def batch(self):
        self.seen += 1
        with contextlib.nullcontext() if self.is_complete else set_for_now(self.model, shares_gradients=False):
            yield self.batches


@made("4x4 4<3", "4x4 4<3", "4x4 4<3", "4x4 4<3")
def accumulation_contexts():
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda e: 0.5**e)
    gathering = Gathering(model, 2)

    def step(x, y):
        with gathering.batch() as batches:
            loss = F.cross_entropy(model(x), y).div(batches)
            loss.backward()
            if gathering.is_complete:
                for turn in (optimizer.step, scheduler.step, optimizer.zero_grad):
                    turn()
        return loss.detach(), gathering.is_complete, model[0].weight.grad is None, scheduler.get_last_lr()

    return step


def mlp_with(weights, x):
    """The model of `mlp` with other weights, given by name."""
    hidden = F.linear(x, weights["0.weight"], weights["0.bias"]).relu()
    return F.linear(hidden, weights["3.weight"], weights["3.bias"])


@made("2x4x4 2x4x3", "2x4x4 2x4x3")
def maml_over_tasks():
    model = mlp()
    outer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def adapted(x, y, rounds=2):
        weights = collections.OrderedDict(model.named_parameters())
        for _ in range(rounds):
            loss = F.mse_loss(mlp_with(weights, x), y)
            slopes = torch.autograd.grad(loss, [*weights.values()], create_graph=True)
            weights.update({name: weights[name] - 0.1 * slope for name, slope in zip(weights, slopes)})
        return weights

    def step(xs, ys):
        losses = torch.stack([F.mse_loss(mlp_with(adapted(x[:2], y[:2]), x[2:]), y[2:]) for x, y in zip(xs, ys)])
        outer.zero_grad()
        losses.mean().backward()
        outer.step()
        return losses.detach()

    return step
