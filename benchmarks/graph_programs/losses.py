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
    """Cross-entropy with targets that leave a share to the classes beside the label."""

    def __init__(self, classes=8, share=0.1):
        super().__init__()
        self.on_label, self.elsewhere = 1 - share, share / (classes - 1)

    def forward(self, scores, labels):
        with torch.no_grad():
            wanted = torch.full_like(scores, self.elsewhere)
            wanted.scatter_(-1, labels.data[:, None], self.on_label)
        return -torch.einsum("nc,nc->n", wanted, scores.log_softmax(-1)).mean()


@program("8x4 8<3")
class SupervisedContrastive(nn.Module):
    """How little of each sample's likeness to the others goes to those of its own label."""

    def forward(self, features, labels, temperature=0.1):
        directions = F.normalize(features, dim=-1)
        itself = torch.eye(len(features), dtype=torch.bool, device=features.device)
        likeness = (directions @ directions.mT).div(temperature).masked_fill(itself, -torch.inf)
        mates = (labels[:, None] == labels) & ~itself
        shares = torch.where(mates, likeness.log_softmax(dim=-1), 0.0)
        return (shares.sum(-1) / mates.sum(-1).clamp(min=1)).mean().neg()


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
def barlow_twins(a, b, redundancy=0.005):
    def standardised(x):
        return (x - x.mean(dim=0)) / x.std(dim=0)

    errors = torch.einsum("ni,nj->ij", standardised(a), standardised(b)) / len(a)
    errors.diagonal().sub_(1)
    errors.square_()
    invariance = errors.diagonal().sum()
    return invariance + redundancy * errors.fill_diagonal_(0).sum()


@program("8x4 8x4")
def mmd(x, y, widths=(0.5, 1.0, 2.0)):
    def kernel(a, b):
        distances = (a.unsqueeze(1) - b).square().sum(dim=-1)
        return sum(distances.mul(-width).exp().mean() for width in widths)

    return kernel(x, x) - 2 * kernel(x, y) + kernel(y, y)


@program("4x8 4x8")
def gaussian_kl(mu, logvar):
    kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp(), dim=1)
    return kl.mean(), torch.nn.GaussianNLLLoss()(mu, torch.zeros_like(mu), logvar.exp())


@program("4x8", is_random=True)
class VAE(nn.Module):
    def __init__(self, channels=8, latents=2):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(channels, 2 * latents), nn.Linear(latents, channels)

    @staticmethod
    def drawn(mean, log_variance):
        return torch.addcmul(mean, torch.randn_like(mean), (log_variance / 2).exp())

    def forward(self, x):
        moments = self.encoder(x).chunk(2, dim=-1)
        return self.decoder(self.drawn(*moments)), *moments


@program("4x8")
class VectorQuantizer(nn.Module):
    """The nearest code in the place of each vector, the loss of both, and how many codes are in use (perplexity)."""

    def __init__(self, codes=5, channels=8):
        super().__init__()
        self.codes = nn.Embedding(codes, channels)

    def forward(self, x, commitment=0.25):
        nearest = torch.cdist(x, self.codes.weight).argmin(dim=-1)
        chosen = self.codes(nearest)
        loss = F.mse_loss(chosen, x.detach()) + commitment * F.mse_loss(x, chosen.detach())
        used = F.one_hot(nearest, self.codes.num_embeddings).float().mean(dim=0)
        return x + (chosen - x).detach(), loss, torch.xlogy(used, used).sum().neg().exp()
