"""Noise schedules, samplers, embeddings of time."""

import torch
import torch.nn as nn
import torch.nn.functional as F

from graph_programs import made, program


def at_times(schedule, times, like):
    """The entries of a schedule at each sample's time, to be multiplied with `like`."""
    return schedule[times][(..., *[None] * (like.ndim - 1))]


@made("2x3x4x4 2<10", is_random=True)
def ddpm_loss():
    kept = (1 - torch.linspace(1e-4, 0.02, 10)).cumprod(dim=0)
    net = nn.Conv2d(3, 3, 3, padding=1)

    def loss(clean, times, noise=None):
        if noise is None:
            noise = torch.randn_like(clean)
        signal, spread = (at_times(share.sqrt(), times, like=clean) for share in (kept, 1 - kept))
        return F.mse_loss(net(signal * clean + spread * noise), noise)

    return loss


@made("2x3x4x4")
def ddim_loop():
    bars = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 10), 0)
    net = nn.Conv2d(3, 3, 3, padding=1)

    @torch.no_grad()
    def sample(x, steps=4):
        times = torch.linspace(9, 0, steps).long().tolist()
        for t, s in zip(times[:-1], times[1:]):
            eps = net(x)
            x0 = (x - (1 - bars[t]).sqrt() * eps) / bars[t].sqrt()
            x = bars[s].sqrt() * x0.clamp(-1, 1) + (1 - bars[s]).sqrt() * eps
        return x

    return sample


class EulerSolver:
    """Explicit Euler steps down the noise levels; the first time says where they begin."""

    def __init__(self, count=10):
        self.levels = torch.linspace(1, 0, count + 1)
        self.place = None

    def step(self, x, slope, time, as_dict=True):
        if self.place is None:
            self.place = int(time)
        now, then = self.levels[self.place : self.place + 2]
        self.place += 1
        moved = torch.addcmul(x, slope, then - now)
        if as_dict:
            return {"sample": moved, "time": torch.tensor(time) if isinstance(time, int | float) else time}
        return (moved,)


@made("2x3x4x4 =0", "2x3x4x4 =1", "2x3x4x4 =2")
def euler_steps():
    solver, net = EulerSolver(), nn.Conv2d(3, 3, 1)
    return lambda x, time: solver.step(x, net(x), time)["sample"]


@program("4<10")
class TimeEmbedding(nn.Module):
    def __init__(self, channels=8, slowest=10_000):
        super().__init__()
        self.channels, self.slowest = channels, slowest
        self.mlp = nn.Sequential(nn.Linear(channels, channels), nn.SiLU(), nn.Linear(channels, channels))

    def forward(self, times):
        pairs, odd = divmod(self.channels, 2)
        rates = self.slowest ** -(torch.arange(pairs, device=times.device) / pairs)
        angles = torch.outer(times.float(), rates)
        return self.mlp(F.pad(torch.cat((angles.cos(), angles.sin()), dim=-1), (0, odd)))
