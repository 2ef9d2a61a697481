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


class SpecAugment:
    def __init__(self, width=3, masks=2):
        self.width, self.masks = width, masks

    def __call__(self, x):
        batch, time, _ = x.shape
        start = (torch.arange(batch * self.masks).view(batch, self.masks, 1) * 7) % max(1, time - self.width)
        positions = torch.arange(time)[None, None]
        hidden = ((positions >= start) & (positions < start + self.width)).any(1)
        return x.masked_fill(hidden[..., None], 0.0)


class RelPositional(nn.Module):
    def __init__(self, d=8, max_len=4):
        super().__init__()
        self.d, self.pe = d, None
        self.extend_pe(torch.tensor(0.0).expand(1, max_len))

    def extend_pe(self, x):
        if self.pe is not None and self.pe.size(1) >= x.size(1) * 2 - 1:
            if self.pe.dtype != x.dtype or self.pe.device != x.device:
                self.pe = self.pe.to(dtype=x.dtype, device=x.device)
            return
        pos, neg = torch.zeros(x.size(1), self.d), torch.zeros(x.size(1), self.d)
        position = torch.arange(0, x.size(1), dtype=torch.float32).unsqueeze(1)
        div = torch.exp(torch.arange(0, self.d, 2, dtype=torch.float32) * -(math.log(10000.0) / self.d))
        pos[:, 0::2], pos[:, 1::2] = torch.sin(position * div), torch.cos(position * div)
        neg[:, 0::2], neg[:, 1::2] = torch.sin(-1 * position * div), torch.cos(-1 * position * div)
        self.pe = torch.cat([torch.flip(pos, [0]).unsqueeze(0), neg[1:].unsqueeze(0)], dim=1)

    def forward(self, x):
        self.extend_pe(x)
        center = self.pe.size(1) // 2
        return self.pe[:, center - x.size(1) + 1 : center + x.size(1)]


def rel_shift(x):
    zero = torch.zeros((*x.size()[:3], 1), device=x.device, dtype=x.dtype)
    padded = torch.cat([zero, x], dim=-1).view(*x.size()[:2], x.size(3) + 1, x.size(2))
    return padded[:, :, 1:].view_as(x)[:, :, :, : x.size(-1) // 2 + 1]


@made("2x4x8", "2x6x8", "2x3x8")
def conformer_positions():
    position, q, p = RelPositional(), nn.Linear(8, 8), nn.Linear(8, 8, bias=False)

    def run(x):
        x = SpecAugment()(x)
        pe = p(position(x)).view(1, -1, 2, 4).transpose(1, 2)
        query = q(x).view(*x.shape[:2], 2, 4).transpose(1, 2)
        return rel_shift(query @ pe.transpose(-2, -1)), position.pe.shape[1]

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


class Transition(NamedTuple):
    state: Any
    action: Any
    reward: Any
    done: Any


class RunningMeanStd:
    def __init__(self, shape, epsilon=1e-4):
        self.mean, self.var, self.count = torch.zeros(shape), torch.ones(shape), epsilon

    def update(self, x):
        mean, var, n = x.mean(0), x.var(0, unbiased=False), x.shape[0]
        delta, total = mean - self.mean, self.count + n
        m2 = self.var * self.count + var * n + delta.square() * self.count * n / total
        self.mean, self.var, self.count = self.mean + delta * n / total, m2 / total, total


class PointMass:
    def __init__(self, n):
        self.n, self.t = n, 0

    def reset(self):
        self.t, self.pos, self.vel = 0, torch.zeros(self.n, 2), torch.ones(self.n, 2)
        return self._obs()

    def _obs(self):
        return torch.cat([self.pos, self.vel], -1)

    def step(self, action):
        self.t += 1
        self.vel = self.vel * 0.9 + action.clamp(-1, 1) * 0.1
        self.pos = self.pos + self.vel
        return self._obs(), -self.pos.norm(dim=-1), torch.full((self.n,), self.t >= 3), {"t": self.t}


@made("2x2", "2x2")
def rollout_in_python_environment():
    policy, norm = nn.Linear(4, 2), RunningMeanStd(4)

    def collect(start):
        env, memory, done = PointMass(2), [], None
        obs, info = env.reset() + torch.cat([start, start], -1), {}
        while info.get("t", 0) < 3:
            norm.update(obs)
            action = torch.tanh(policy((obs - norm.mean) / (norm.var + 1e-8).sqrt()))
            following, reward, done, info = env.step(action)
            memory.append(Transition(obs, action, reward, done))
            obs = following
        batch = Transition(*map(torch.stack, zip(*memory)))
        returns, running = [], torch.zeros(2)
        for r, d in zip(batch.reward.flip(0), batch.done.flip(0)):
            running = r + 0.9 * running * (~d)
            returns.insert(0, running)
        return torch.stack(returns), batch.action.mean(), info, norm.count

    return collect


class TanhGaussian(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(3, 4)

    def forward(self, x, noise):
        mu, log_std = self.net(x).chunk(2, -1)
        std = log_std.clamp(-5, 2).exp()
        dist = torch.distributions.Normal(mu, std)
        u = mu + std * noise
        log_prob = (dist.log_prob(u) - 2 * (math.log(2) - u - F.softplus(-2 * u))).sum(-1)
        return torch.tanh(u), log_prob, dist.entropy().mean()


@made("4x3 4x2 4", "4x3 4x2 4", "4x3 4x2 4")
def soft_actor_critic():
    actor, critics = seeded(TanhGaussian()), seeded(nn.ModuleList([nn.Linear(5, 1), nn.Linear(5, 1)]))
    targets = seeded(nn.ModuleList([nn.Linear(5, 1), nn.Linear(5, 1)]))
    log_alpha = torch.zeros(1, requires_grad=True)
    groups = {"critic": critics.parameters(), "actor": actor.parameters(), "alpha": [log_alpha]}
    optimizers = {name: torch.optim.Adam(parameters, lr=1e-2) for name, parameters in groups.items()}

    def step(state, noise, reward):
        with torch.no_grad():
            action, log_prob, _ = actor(state, noise)
            both = torch.cat([state, action], -1)
            q = torch.min(*(t(both).squeeze(-1) for t in targets)) - log_alpha.exp() * log_prob
            y = reward + 0.99 * q
        critic_loss = sum(F.mse_loss(c(both).squeeze(-1), y) for c in critics)
        action, log_prob, entropy = actor(state, noise)
        for p in critics.parameters():
            p.requires_grad = False
        actor_q = torch.min(*(c(torch.cat([state, action], -1)) for c in critics)).squeeze(-1)
        actor_loss = (log_alpha.exp().detach() * log_prob - actor_q).mean()
        for p in critics.parameters():
            p.requires_grad = True
        alpha_loss = -(log_alpha * (log_prob.detach() - 2)).mean()
        for name, loss in {"critic": critic_loss, "actor": actor_loss, "alpha": alpha_loss}.items():
            optimizers[name].zero_grad()
            loss.backward()
        for optimizer in optimizers.values():
            optimizer.step()
        with torch.no_grad():
            for p, t in zip(critics.parameters(), targets.parameters()):
                t.mul_(0.995).add_(p, alpha=0.005)
        return critic_loss.detach(), actor_loss.detach(), entropy.detach()

    return step


class ReplayBuffer:
    def __init__(self, size):
        self.data, self.size, self.ptr, self.full = torch.zeros(size, 3), size, 0, False

    def push(self, rows):
        for row in rows:
            self.data[self.ptr] = row
            self.ptr = (self.ptr + 1) % self.size
            self.full = self.full or self.ptr == 0

    def __len__(self):
        return self.size if self.full else self.ptr


@made("2x3", "2x3", "2x3", "2x3")
def replay_buffer():
    buffer = ReplayBuffer(5)

    def step(rows):
        buffer.push(rows)
        held = buffer.data[: len(buffer)]
        return held.mean(0), len(buffer), buffer.full

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
    origins: Any
    directions: Any
    extras: dict = field(default_factory=dict)

    def __len__(self):
        return self.origins.shape[0]

    def __getitem__(self, index):
        return Rays(self.origins[index], self.directions[index], {k: v[index] for k, v in self.extras.items()})


@made("5x3 5x3", "5x3 5x3")
def radiance_field():
    net = nn.Sequential(nn.Linear(3 + 3 * 2 * 2, 8), nn.ReLU(), nn.Linear(8, 4))
    encode = [lambda v, f=f, p=p: p(v * f) for f in (1.0, 2.0) for p in (torch.sin, torch.cos)]

    def render(rays, n=4):
        depth = torch.linspace(0.5, 2.0, n).expand(len(rays), n)
        mids = 0.5 * (depth[..., 1:] + depth[..., :-1])
        upper, lower = torch.cat([mids, depth[..., -1:]], -1), torch.cat([depth[..., :1], mids], -1)
        depth = lower + (upper - lower) * 0.5
        points = rays.origins[:, None] + rays.directions[:, None] * depth[..., None]
        raw = net(torch.cat([points, *(e(points) for e in encode)], -1))
        gap = torch.cat([depth[..., 1:] - depth[..., :-1], torch.full_like(depth[..., :1], 1e10)], -1)
        alpha = 1 - torch.exp(-F.relu(raw[..., 3]) * gap)
        clear = torch.cumprod(torch.cat([torch.ones_like(alpha[:, :1]), 1 - alpha + 1e-10], -1), -1)[:, :-1]
        weights = alpha * clear
        return {"rgb": (weights[..., None] * raw[..., :3].sigmoid()).sum(-2), "acc": weights.sum(-1)}

    def run(origins, directions):
        rays = Rays(origins, F.normalize(directions, dim=-1), {"near": origins[:, 0]})
        chunks = [render(rays[i : i + 2]) for i in range(0, len(rays), 2)]
        return {k: torch.cat([c[k] for c in chunks]) for k in chunks[0]}

    return run
