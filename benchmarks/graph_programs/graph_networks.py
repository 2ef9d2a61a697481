"""Message passing by gather and scatter."""

import torch
import torch.nn as nn
import torch.nn.functional as F

from graph_programs import program


@program("5x8 2x6<5")
class GraphConv(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(8, 4, bias=False)

    def forward(self, x, edge_index):
        src, dst = edge_index
        deg = torch.zeros(x.size(0)).scatter_add_(0, dst, torch.ones(dst.numel()))
        norm = deg.clamp(min=1).pow(-0.5)
        msg = self.lin(x)[src] * (norm[src] * norm[dst]).unsqueeze(-1)
        return torch.zeros(x.size(0), 4).index_add(0, dst, msg)


@program("5x8 2x6<5")
class GraphAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin, self.a = nn.Linear(8, 4), nn.Parameter(torch.ones(8))

    def forward(self, x, edge_index):
        row, col = edge_index[0], edge_index[1]
        h = self.lin(x)
        e = F.leaky_relu((torch.cat([h[row], h[col]], -1) * self.a).sum(-1), 0.2)
        m = torch.full((x.size(0),), float("-inf")).scatter_reduce(0, col, e, "amax")
        e = (e - m[col]).exp()
        z = torch.zeros(x.size(0)).scatter_add(0, col, e)
        alpha = e / (z[col] + 1e-16)
        return torch.zeros_like(h).index_add_(0, col, alpha[:, None] * h[row])


class MessagePassing(nn.Module):
    def __init__(self, aggr="add"):
        super().__init__()
        self.aggr = aggr

    def propagate(self, edge_index, size=None, **kwargs):
        collected = {}
        for name, data in kwargs.items():
            collected[name] = data
            if isinstance(data, torch.Tensor):
                collected[name + "_j"] = data.index_select(0, edge_index[0])
                collected[name + "_i"] = data.index_select(0, edge_index[1])
        msg = self.message(**{k: v for k, v in collected.items() if k in self.message.__code__.co_varnames})
        return self.update(self.aggregate(msg, edge_index[1], kwargs["x"].size(0)))

    def aggregate(self, msg, index, n):
        return msg.new_zeros(n, msg.size(-1)).scatter_add_(0, index.view(-1, 1).expand_as(msg), msg)

    def message(self, x_j):
        return x_j

    def update(self, out):
        return out


@program("5x8 2x6<5")
class EdgeConv(MessagePassing):
    def __init__(self):
        super().__init__(aggr="max")
        self.mlp = nn.Sequential(nn.Linear(16, 8), nn.ReLU())

    def forward(self, x, edge_index):
        return self.propagate(edge_index, x=x)

    def message(self, x_i, x_j):
        return self.mlp(torch.cat([x_i, x_j - x_i], dim=1))


@program("5x8 5<2")
def global_pooling(x, batch):
    n = 2
    total = torch.zeros(n, 8).index_add(0, batch, x)
    count = torch.bincount(batch, minlength=n).clamp(min=1)
    return total / count[:, None], torch.zeros(n, 8).scatter_reduce(
        0, batch[:, None].expand_as(x), x, "mean", include_self=False
    )
