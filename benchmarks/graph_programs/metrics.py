"""Metrics as functions and as modules with state."""

import torch
import torch.nn as nn

from graph_programs import made, program


@program("8x4 8<4")
def topk_accuracy(scores, labels, ks=(1, 2)):
    hits = scores.topk(max(ks), dim=-1, largest=True, sorted=True).indices == labels.unsqueeze(-1)
    return [hits[:, :k].any(dim=-1).float().mean(dim=0, keepdim=True).mul_(100) for k in ks]


@program("8x4 8<4")
def confusion(output, target, n=4):
    cm = torch.bincount(target * n + output.argmax(1), minlength=n * n).reshape(n, n).float()
    precision = cm.diag() / cm.sum(0).clamp(min=1)
    recall = cm.diag() / cm.sum(1).clamp(min=1)
    return cm, 2 * precision * recall / (precision + recall + 1e-8)


@program("8 8?")
def auc(scores, labels):
    order = torch.argsort(scores, descending=True)
    y = labels[order].float()
    tpr, fpr = torch.cumsum(y, 0) / y.sum(), torch.cumsum(1 - y, 0) / (1 - y).sum()
    return torch.trapezoid(tpr, fpr)


@made("8x4 8<4", "8x4 8<4", "8x4 8<4")
def accuracy_metric():
    class Accuracy(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("correct", torch.tensor(0))
            self.register_buffer("total", torch.tensor(0))

        def update(self, p, y):
            self.correct += (p.argmax(-1) == y).sum()
            self.total += y.numel()

        def compute(self):
            return self.correct.float() / self.total

    metric = Accuracy()

    def step(p, y):
        metric.update(p, y)
        return metric.compute()

    return step
