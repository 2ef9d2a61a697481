"""Losses written by hand, and models that are mostly their loss."""

import torch
import torch.nn as nn
import torch.nn.functional as F

from graph_programs import program


@program("4x8 4<8")
def focal_loss(logits, target, gamma=2.0, alpha=0.25):
    p = logits.softmax(-1)
    ce = F.cross_entropy(logits, target, reduction="none")
    pt = p.gather(1, target[:, None]).squeeze(1)
    return (alpha * (1 - pt) ** gamma * ce).mean()


@program("4x8 4x8?")
def dice_loss(pred, mask, smooth=1.0):
    pred, mask = pred.sigmoid().flatten(1), mask.float().flatten(1)
    inter = (pred * mask).sum(1)
    return 1 - ((2.0 * inter + smooth) / (pred.sum(1) + mask.sum(1) + smooth)).mean()


@program("4x8 4<8")
class LabelSmoothing(nn.Module):
    def __init__(self, classes=8, smoothing=0.1):
        super().__init__()
        self.confidence, self.smoothing, self.classes = 1 - smoothing, smoothing, classes

    def forward(self, pred, target):
        pred = pred.log_softmax(dim=-1)
        with torch.no_grad():
            dist = torch.zeros_like(pred)
            dist.fill_(self.smoothing / (self.classes - 1))
            dist.scatter_(1, target.data.unsqueeze(1), self.confidence)
        return torch.mean(torch.sum(-dist * pred, dim=-1))


@program("8x4 8<3")
class SupervisedContrastive(nn.Module):
    def forward(self, features, labels, temperature=0.1):
        features = F.normalize(features, dim=1)
        mask = torch.eq(labels.view(-1, 1), labels.view(1, -1)).float()
        logits = features @ features.T / temperature
        logits = logits - logits.max(dim=1, keepdim=True)[0].detach()
        self_mask = torch.scatter(torch.ones_like(mask), 1, torch.arange(len(labels)).view(-1, 1), 0)
        mask = mask * self_mask
        exp = torch.exp(logits) * self_mask
        log_prob = logits - torch.log(exp.sum(1, keepdim=True))
        return -((mask * log_prob).sum(1) / mask.sum(1).clamp(min=1)).mean()


@program("4x8 4x8 4x8")
def triplet(a, p, n, margin=0.2):
    return F.relu((a - p).pow(2).sum(1) - (a - n).pow(2).sum(1) + margin).mean(), F.triplet_margin_loss(a, p, n)


@program("6x8 6<3")
def hard_triplet_mining(x, y):
    d = torch.cdist(x, x)
    same = y[:, None] == y[None]
    pos = (d * same).max(1).values
    neg = d.masked_fill(same, float("inf")).min(1).values
    return F.relu(pos - neg + 0.3)


@program("8x4 8x4")
def barlow_twins(a, b):
    n, d = a.shape
    a, b = (a - a.mean(0)) / a.std(0), (b - b.mean(0)) / b.std(0)
    c = a.T @ b / n

    def off_diagonal(x):
        n, m = x.shape
        assert n == m
        return x.flatten()[:-1].view(n - 1, n + 1)[:, 1:].flatten()

    return torch.diagonal(c).add_(-1).pow_(2).sum() + 0.005 * off_diagonal(c).pow_(2).sum()


@program("8x4 8x4")
def mmd(x, y):
    xx, yy, zz = x @ x.t(), y @ y.t(), x @ y.t()
    rx, ry = xx.diag().unsqueeze(0).expand_as(xx), yy.diag().unsqueeze(0).expand_as(yy)
    total = 0.0
    for s in (0.5, 1.0, 2.0):
        total += torch.exp(-s * (rx.t() + rx - 2 * xx)).mean() + torch.exp(-s * (ry.t() + ry - 2 * yy)).mean()
        total -= 2 * torch.exp(-s * (rx.t() + ry - 2 * zz)).mean()
    return total


@program("4x8 4x8")
def gaussian_kl(mu, logvar):
    kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp(), dim=1)
    return kl.mean(), torch.nn.GaussianNLLLoss()(mu, torch.zeros_like(mu), logvar.exp())


@program("4x8", is_random=True)
class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc, self.dec = nn.Linear(8, 4), nn.Linear(2, 8)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        eps = torch.randn_like(std)
        return eps.mul(std).add_(mu)

    def forward(self, x):
        mu, logvar = self.enc(x).chunk(2, -1)
        return self.dec(self.reparameterize(mu, logvar)), mu, logvar


@program("4x8")
class VectorQuantizer(nn.Module):
    def __init__(self):
        super().__init__()
        self.book = nn.Embedding(5, 8)

    def forward(self, z):
        d = z.pow(2).sum(1, keepdim=True) + self.book.weight.pow(2).sum(1) - 2 * z @ self.book.weight.t()
        idx = torch.argmin(d, 1)
        q = self.book(idx)
        loss = F.mse_loss(q.detach(), z) + 0.25 * F.mse_loss(q, z.detach())
        q = z + (q - z).detach()
        hot = F.one_hot(idx, 5).float().mean(0)
        return q, loss, torch.exp(-(hot * (hot + 1e-10).log()).sum())
