"""Programs from several fields of work: speech, control, physics, flows, fields of radiance."""

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
import torch.nn as nn
import torch.nn.functional as F

from graph_programs import made, program, seeded

# ---------------------------------------------------------------------------------------- speech and series


class TimeMask:
    """Hides stretches of every series; where they begin is counted, not drawn."""

    def __init__(self, length=3, stretches=2):
        self.length, self.stretches = length, stretches

    def __call__(self, series):
        batch, steps = series.shape[:2]
        begin = torch.arange(batch * self.stretches).mul(7).remainder(max(1, steps - self.length))
        since = torch.arange(steps) - begin.view(batch, self.stretches, 1)
        hidden = ((since >= 0) & (since < self.length)).any(dim=1)
        return series.masked_fill(hidden[..., None], 0.0)


class DistanceCodes(nn.Module):
    """Sines and cosines of the distances n - 1 down to 1 - n; the longest table asked for is kept."""

    def __init__(self, width=8, reach=4):
        super().__init__()
        self.width, self.reach, self.table = width, 0, None
        self.cover(reach)

    def cover(self, length, dtype=torch.float32):
        if length > self.reach:
            distance = torch.arange(length - 1, -length, -1, dtype=torch.float32)
            slowness = torch.logspace(0, 4 - 8 / self.width, self.width // 2)
            turns = torch.outer(distance, slowness.reciprocal())
            self.reach, self.table = length, torch.empty(len(distance), self.width)
            self.table[:, ::2] = turns.sin()
            self.table[:, 1::2] = turns.cos()
        if self.table.dtype != dtype:
            self.table = self.table.to(dtype)

    def forward(self, series):
        steps = series.shape[1]
        self.cover(steps, series.dtype)
        return self.table[self.reach - steps : self.reach + steps - 1]


def by_key(scores):
    """Scores by query and distance as scores by query and key: one step less in each row of the memory turns it."""
    queries, distances = scores.shape[-2:]
    flat = F.pad(scores, (0, 1)).flatten(-2)[..., queries - 1 : -1]
    return flat.unflatten(-1, (queries, distances))[..., :queries]


@made("2x4x8", "2x6x8", "2x3x8")
def conformer_positions():
    codes, query, place = DistanceCodes(), nn.Linear(8, 8), nn.Linear(8, 8, bias=False)

    def in_heads(t):
        return t.unflatten(-1, (2, 4)).movedim(-2, -3)

    def run(series):
        series = TimeMask()(series)
        keys = in_heads(place(codes(series)))
        return by_key(in_heads(query(series)) @ keys.mT), codes.table.shape[0]

    return run


@program("2x6x5 2x3<4", "2x6x5 2x3<4")
def ctc_by_hand(logits, targets):
    log_probs, targets = logits.log_softmax(-1), targets + 1
    blank = torch.zeros_like(targets)
    labels = torch.stack([blank, targets], -1).flatten(1)
    labels = torch.cat([labels, blank[:, :1]], 1)
    skip = (labels[:, 2:] != labels[:, :-2]) & (labels[:, 2:] != 0)
    alpha = torch.full(labels.shape, -1e9)
    alpha[:, :2] = log_probs[:, 0].gather(1, labels[:, :2])
    for t in range(1, log_probs.shape[1]):
        one = F.pad(alpha, (1, 0), value=-1e9)[:, :-1]
        two = torch.where(F.pad(skip, (2, 0)), F.pad(alpha, (2, 0), value=-1e9)[:, :-2], torch.tensor(-1e9))
        alpha = torch.logsumexp(torch.stack([alpha, one, two]), 0) + log_probs[:, t].gather(1, labels)
    return -torch.logsumexp(alpha[:, -2:], 1)


class NBeatsBlock(nn.Module):
    def __init__(self, backcast=8, forecast=3, degree=2, kind="trend"):
        super().__init__()
        size = {"trend": degree + 1, "seasonal": 2 * (forecast // 2) + 2}[kind]
        self.body = nn.Sequential(*(m for i in (backcast, 6) for m in (nn.Linear(i, 6), nn.ReLU())))
        self.theta, self.kind, self.sizes = nn.Linear(6, size * 2), kind, (backcast, forecast)

    def basis(self, length, n):
        t = torch.linspace(0, 1, length)
        if self.kind == "trend":
            return torch.stack([t**i for i in range(n)])
        half = n // 2
        waves = [f(2 * math.pi * k * t) for f in (torch.cos, torch.sin) for k in range(half)]
        return torch.stack(waves)

    def forward(self, x):
        b, f = self.theta(self.body(x)).chunk(2, -1)
        return b @ self.basis(self.sizes[0], b.shape[1]), f @ self.basis(self.sizes[1], f.shape[1])


@made("4x8", "4x8")
def nbeats_stacks():
    stacks = nn.ModuleDict({k: nn.ModuleList([NBeatsBlock(kind=k) for _ in range(2)]) for k in ("trend", "seasonal")})

    def run(x):
        forecast, parts = x.new_zeros(x.shape[0], 3), defaultdict(float)
        for kind, blocks in stacks.items():
            for block in blocks:
                backcast, step = block(x)
                x, forecast = x - backcast, forecast + step
                parts[kind] = parts[kind] + step
        return forecast, dict(parts)

    return run


# ---------------------------------------------------------------------------------------- control


class Moment(NamedTuple):
    seen: Any
    force: Any
    reward: Any
    is_last: Any


class Moments:
    """Mean and variance of all rows so far, joined batch by batch (Chan et al., 1979)."""

    def __init__(self, width):
        self.mean, self.spread, self.rows = torch.zeros(width), torch.zeros(width), 0

    def join(self, rows):
        new, old = rows.shape[0], self.rows
        self.rows += new
        gap = rows.mean(0) - self.mean
        self.spread = self.spread + (rows - rows.mean(0)).pow(2).sum(0) + gap**2 * (old * new / self.rows)
        self.mean = self.mean + gap * (new / self.rows)

    def scaled(self, rows):
        return (rows - self.mean) * (self.spread / max(self.rows, 1) + 1e-6).rsqrt()


class Carts:
    """Points pushed about in the plane for three steps."""

    def __init__(self, count):
        self.count, self.clock = count, 0

    def start(self):
        self.clock, self.place, self.speed = 0, torch.zeros(self.count, 2), torch.ones(self.count, 2)
        return self.look()

    def look(self):
        return torch.hstack([self.place, self.speed])

    def push(self, force):
        self.clock += 1
        self.speed = torch.lerp(self.speed, force.clamp(-1, 1), 0.1)
        self.place = self.place + self.speed
        return self.look(), -self.place.norm(dim=-1), torch.full((self.count,), self.clock >= 3), {"at": self.clock}


@made("2x2", "2x2")
def rollout_in_python_environment():
    policy, moments = nn.Linear(4, 2), Moments(4)

    def collect(x):
        carts, course, report = Carts(2), [], {}
        seen = carts.start() + x.repeat(1, 2)
        while report.get("at", 0) < 3:
            moments.join(seen)
            force = policy(moments.scaled(seen)).tanh()
            after, reward, is_last, report = carts.push(force)
            course.append(Moment(seen, force, reward, is_last))
            seen = after
        course = Moment(*(torch.stack(column) for column in zip(*course)))
        value, values = torch.zeros(2), []
        for reward, is_last in reversed(list(zip(course.reward, course.is_last))):
            value = reward + torch.where(is_last, 0.0, 0.9 * value)
            values.insert(0, value)
        return torch.stack(values), course.force.mean(), report, moments.rows

    return collect


class SquashedGaussian(nn.Module):
    """Actions between -1 and 1, with the logarithm of their density."""

    def __init__(self):
        super().__init__()
        self.parameters_of = nn.Linear(3, 4)

    def forward(self, seen, noise):
        middle, log_width = torch.tensor_split(self.parameters_of(seen), 2, dim=-1)
        normal = torch.distributions.Normal(middle, log_width.clamp(-5, 2).exp())
        raw = normal.loc + normal.scale * noise
        log_slope = math.log(4) - 2 * (raw.abs() + torch.log1p(torch.exp(-2 * raw.abs())))
        return raw.tanh(), (normal.log_prob(raw) - log_slope).sum(-1), normal.entropy().mean()


@made("4x3 4x2 4", "4x3 4x2 4", "4x3 4x2 4")
def soft_actor_critic():
    actor = seeded(SquashedGaussian())
    critics, followers = (seeded(nn.ModuleList(nn.Linear(5, 1) for _ in range(2))) for _ in range(2))
    log_weight = torch.zeros(1, requires_grad=True)
    learned = {"values": [*critics.parameters()], "actions": [*actor.parameters()], "weight": [log_weight]}
    optimizers = {name: torch.optim.Adam(params, lr=1e-2) for name, params in learned.items()}

    def lowest(judges, seen, action):
        return torch.cat([judge(torch.hstack([seen, action])) for judge in judges], 1).amin(1)

    def learn(name, loss):
        optimizers[name].zero_grad()
        loss.backward()
        return loss.detach()

    def losses_of(seen, noise, reward):
        with torch.no_grad():
            action, log_density, _ = actor(seen, noise)
            weight = log_weight.exp()
            goal = reward + 0.99 * (lowest(followers, seen, action) - weight * log_density)
            pair = torch.hstack([seen, action])
        yield "values", sum(F.mse_loss(judge(pair)[:, 0], goal) for judge in critics)
        for p in learned["values"]:
            p.requires_grad = False
        action, log_density, _ = actor(seen, noise)
        yield "actions", (weight * log_density - lowest(critics, seen, action)).mean()
        for p in learned["values"]:
            p.requires_grad = True
        yield "weight", ((2 - log_density.detach()) * log_weight).mean()

    def step(seen, noise, reward):
        losses = {name: learn(name, loss) for name, loss in losses_of(seen, noise, reward)}
        for optimizer in optimizers.values():
            optimizer.step()
        with torch.no_grad():
            for follower, leader in zip(followers.parameters(), critics.parameters()):
                follower.lerp_(leader, 0.01)
            entropy = actor(seen, noise)[2]
        return losses, entropy

    return step


class Memory:
    """The last rows given, in a table that is written around."""

    def __init__(self, rows, width=3):
        self.table, self.at, self.is_full = torch.zeros(rows, width), 0, False

    def put(self, rows):
        for row in rows:
            self.table[self.at] = row
            self.at += 1
            if self.at == len(self.table):
                self.at, self.is_full = 0, True

    def __len__(self):
        return len(self.table) if self.is_full else self.at


@made("2x3", "2x3", "2x3", "2x3")
def replay_buffer():
    memory = Memory(5)

    def step(rows):
        memory.put(rows)
        return memory.table[: len(memory)].mean(0), len(memory), memory.is_full

    return step


# ---------------------------------------------------------------------------------------- physics and flows


def gradient_of(y, x):
    return torch.autograd.grad(y, x, torch.ones_like(y), create_graph=True)[0]


@made("6x1 6x1", "6x1 6x1", "6x1 6x1")
def burgers_residual():
    net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    viscosity = nn.Parameter(torch.tensor(0.1))
    optimizer = torch.optim.Adam([*net.parameters(), viscosity], lr=1e-2)

    def step(x, t):
        x, t = x.detach().requires_grad_(), t.clone().requires_grad_()
        u = net(torch.cat([x, t], 1))
        u_t, u_x = gradient_of(u, t), gradient_of(u, x)
        residual = u_t + u * u_x - viscosity * gradient_of(u_x, x)
        initial = net(torch.cat([x, 0 * t], 1)) + x.sin()
        losses = {"residual": residual.square().mean(), "initial": initial.square().mean()}
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        return {k: v.detach() for k, v in losses.items()}, viscosity.detach().clone()

    return step


class HamiltonianNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.h = nn.Sequential(nn.Linear(2, 8), nn.Softplus(), nn.Linear(8, 1))
        self.register_buffer("j", torch.tensor([[0.0, 1.0], [-1.0, 0.0]]))

    def field(self, z):
        with torch.enable_grad():
            z = z if z.requires_grad else z.detach().requires_grad_()
            return gradient_of(self.h(z).sum(), z) @ self.j.t()

    def forward(self, z, steps=2, dt=0.1):
        for _ in range(steps):
            k1 = self.field(z)
            k2 = self.field(z + dt / 2 * k1)
            z = z + dt * k2
        return z


@made("3x2", "3x2")
def hamiltonian_rollout():
    net = HamiltonianNet()

    def run(z):
        with torch.no_grad():
            rolled = net(z)
        return rolled, net(z.clone().requires_grad_()).sum().detach(), rolled.requires_grad

    return run


class Coupling(nn.Module):
    def __init__(self, flip):
        super().__init__()
        self.net, self.flip = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 4)), flip

    def forward(self, x, reverse=False):
        a, b = x.chunk(2, 1)
        a, b = (b, a) if self.flip else (a, b)
        s, t = self.net(a).chunk(2, 1)
        s = torch.tanh(s)
        b = (b - t) * torch.exp(-s) if reverse else b * s.exp() + t
        out = torch.cat([b, a] if self.flip else [a, b], 1)
        return out, (-s if reverse else s).sum(1)


class Flow(nn.ModuleList):
    def forward(self, x, reverse=False):
        total = x.new_zeros(x.shape[0])
        for layer in reversed(self) if reverse else self:
            x, logdet = layer(x, reverse=reverse)
            total += logdet
        return x, total


@made("4x4", "4x4")
def normalising_flow():
    flow = Flow(Coupling(i % 2 == 1) for i in range(3))

    def run(x):
        z, logdet = flow(x)
        prior = torch.distributions.Independent(torch.distributions.Normal(torch.zeros(4), torch.ones(4)), 1)
        back, inverse = flow(z, reverse=True)
        return (prior.log_prob(z) + logdet).mean(), (back - x).abs().max() < 1e-4, (logdet + inverse).abs().max() < 1e-4

    return run


@dataclass
class Rays:
    start: Any
    toward: Any
    notes: dict = field(default_factory=dict)

    def __len__(self):
        return len(self.start)

    def __getitem__(self, which):
        notes = {name: note[which] for name, note in self.notes.items()}
        return type(self)(self.start[which], self.toward[which], notes)


def wave(shape, turns):
    return lambda points: shape(turns * points)


@made("5x3 5x3", "5x3 5x3")
def radiance_field():
    waves = [wave(shape, 2.0**octave) for shape in (torch.sin, torch.cos) for octave in range(2)]
    net = nn.Sequential(nn.Linear(3 * (1 + len(waves)), 8), nn.ReLU(), nn.Linear(8, 4))

    def look_along(rays, pieces=4):
        """Light and cover of every ray, cut into pieces that let some of what lies behind through."""
        ends = torch.linspace(0.5, 2.0, pieces + 1)
        depth = torch.lerp(ends[:-1], ends[1:], 0.5)
        points = torch.addcmul(rays.start[:, None], rays.toward[:, None], depth[:, None])
        made_of = net(torch.cat([points] + [encode(points) for encode in waves], dim=-1))
        colour, density = made_of[..., :3].sigmoid(), F.softplus(made_of[..., 3])
        passing = torch.exp(-density * ends.diff()).cumprod(-1)
        shares = -torch.diff(passing, dim=-1, prepend=torch.ones(len(rays), 1))
        return {"colour": torch.einsum("rp,rpc->rc", shares, colour), "cover": shares.sum(-1)}

    def run(start, toward):
        rays = Rays(start, F.normalize(toward, dim=-1), {"height": start[:, 2]})
        seen = [look_along(rays[first : first + 2]) for first in range(0, len(rays), 2)]
        return {name: torch.cat([part[name] for part in seen]) for name in seen[0]}

    return run
