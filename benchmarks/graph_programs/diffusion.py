"""Noise schedules, samplers, embeddings of time."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F

from graph_programs import made, program


def extract(a, t, shape):
    return a.gather(-1, t).reshape(t.shape[0], *((1,) * (len(shape) - 1)))


@made("2x3x4x4 2<10", is_random=True)
def ddpm_loss():
    betas = torch.linspace(1e-4, 0.02, 10)
    bars = torch.cumprod(1 - betas, 0)
    net = nn.Conv2d(3, 3, 3, padding=1)

    def loss(x0, t, noise=None):
        noise = torch.randn_like(x0) if noise is None else noise
        xt = extract(bars.sqrt(), t, x0.shape) * x0 + extract((1 - bars).sqrt(), t, x0.shape) * noise
        return F.mse_loss(net(xt), noise)

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


class EulerScheduler:
    def __init__(self, n=10):
        self.sigmas = torch.linspace(1.0, 0.0, n + 1)
        self.timesteps = torch.arange(n)
        self._step_index = None

    def step(self, eps, t, x, return_dict=True):
        if isinstance(t, (int, float)):
            t = torch.tensor(t)
        if self._step_index is None:
            self._step_index = 0
        i = self._step_index
        prev = x + eps * (self.sigmas[i + 1] - self.sigmas[i])
        self._step_index += 1
        if not return_dict:
            return (prev,)
        return {"prev_sample": prev}


@made("2x3x4x4 =0", "2x3x4x4 =1", "2x3x4x4 =2")
def euler_steps():
    scheduler, net = EulerScheduler(), nn.Conv2d(3, 3, 1)
    return lambda x, t: scheduler.step(net(x), t, x, return_dict=False)[0]


@program("4<10")
class TimeEmbedding(nn.Module):
    def __init__(self, dim=8):
        super().__init__()
        self.dim = dim
        self.mlp = nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(self, t):
        half = self.dim // 2
        freqs = torch.exp(-math.log(10000) * torch.arange(start=0, end=half, dtype=torch.float32) / half).to(
            device=t.device
        )
        args = t[:, None].float() * freqs[None]
        emb = torch.cat([torch.cos(args), torch.sin(args)], dim=-1)
        if self.dim % 2:
            emb = torch.cat([emb, torch.zeros_like(emb[:, :1])], dim=-1)
        return self.mlp(emb)
