"""Adapters, quantisation, signals, geometry, small iterations."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F

from graph_programs import made, program


@made("4x8")
def low_rank_adapter():
    class LoRA(nn.Module):
        def __init__(self, base, r=2, alpha=4):
            super().__init__()
            self.base = base
            self.base.weight.requires_grad_(False)
            self.a = nn.Parameter(torch.zeros(r, base.in_features))
            self.b = nn.Parameter(torch.zeros(base.out_features, r))
            self.scaling = alpha / r
            self.merged = False

        def merge(self):
            if not self.merged:
                self.base.weight.data += self.b @ self.a * self.scaling
                self.merged = True

        def forward(self, x):
            if self.merged:
                return self.base(x)
            return self.base(x) + (x @ self.a.T @ self.b.T) * self.scaling

    model = nn.Sequential(LoRA(nn.Linear(8, 8)), nn.ReLU(), LoRA(nn.Linear(8, 4)))

    def run(x):
        y = model(x)
        for m in model.modules():
            if isinstance(m, LoRA):
                m.merge()
        return y, model(x)

    return run


@made("4x8")
def fake_quantised():
    def quantise(w, bits=8):
        scale = w.abs().max() / (2 ** (bits - 1) - 1)
        return (w / scale).round().clamp(-128, 127), scale

    fc = nn.Linear(8, 8)

    def run(x):
        q, s = quantise(fc.weight)
        return F.linear(x, q.to(torch.int8).float() * s, fc.bias)

    return run


@program("2x100")
def spectrogram_by_unfold(x, n=16, hop=8):
    frames = x.unfold(-1, n, hop)
    k = torch.arange(n)[:, None] * torch.arange(n // 2 + 1)[None] * (2 * math.pi / n)
    re, im = frames @ torch.cos(k), frames @ torch.sin(k)
    return (re**2 + im**2).clamp(min=1e-10).log10()


@program("2x16")
def fft_power(x):
    return torch.fft.rfft(x).abs()


@program("4x3 4x3")
def rotations(a, b):
    c = torch.cross(a, b, dim=-1)
    angle = torch.atan2(c.norm(dim=-1), (a * b).sum(-1))
    K = torch.zeros(4, 3, 3)
    K[:, 0, 1], K[:, 0, 2], K[:, 1, 2] = -c[:, 2], c[:, 1], -c[:, 0]
    K = K - K.transpose(1, 2)
    return torch.matrix_exp(K) if hasattr(torch, "matrix_exp") else K, angle


@program("16x3")
def ray_march(dirs, n=8):
    t = torch.linspace(0.0, 1.0, n)
    pts = dirs[:, None] * t[:, None]
    sigma = F.softplus(pts.sum(-1))
    delta = torch.cat([t[1:] - t[:-1], torch.tensor([1e10])]).expand(sigma.shape)
    alpha = 1.0 - torch.exp(-sigma * delta)
    trans = torch.cumprod(torch.cat([torch.ones(16, 1), 1.0 - alpha + 1e-10], -1), -1)[:, :-1]
    w = alpha * trans
    return (w[..., None] * torch.sigmoid(pts)).sum(-2), (w * t).sum(-1)


@program("4x3")
def fourier_features(x, bands=4):
    out = [x]
    for freq in 2.0 ** torch.linspace(0.0, bands - 1, bands):
        for fn in [torch.sin, torch.cos]:
            out.append(fn(x * freq))
    return torch.cat(out, -1)


@program("5x4")
def kmeans_steps(x, k=2):
    centers = x[:k].clone()
    for _ in range(3):
        labels = torch.cdist(x, centers).argmin(1)
        for j in range(k):
            m = (labels == j).float()[:, None]
            centers[j] = (x * m).sum(0) / m.sum().clamp(min=1)
    return centers, labels


@program("5x4")
def sinkhorn(scores, n=3):
    log_mu, log_nu = torch.zeros(5), torch.zeros(4)
    u, v = torch.zeros_like(log_mu), torch.zeros_like(log_nu)
    for _ in range(n):
        u = log_mu - torch.logsumexp(scores + v[None], 1)
        v = log_nu - torch.logsumexp(scores + u[:, None], 0)
    return (scores + u[:, None] + v[None]).exp()
