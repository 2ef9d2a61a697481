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


class EdgeNetwork(nn.Module):
    """Nodes take in what is said along their edges; `said` names what it wants to know of an edge."""

    def __init__(self, how="sum"):
        super().__init__()
        self.how = how

    def known(self, x, edges):
        senders, receivers = edges
        known = {"sender": x[senders], "receiver": x[receivers]}
        return known | {"step": known["sender"] - known["receiver"]}

    def forward(self, x, edges):
        code = self.said.__code__
        known = self.known(x, edges)
        messages = self.said(**{name: known[name] for name in code.co_varnames[1 : code.co_argcount]})
        return self.taken_in(messages, edges[1], len(x))

    def taken_in(self, messages, receivers, nodes):
        where = receivers.unsqueeze(-1).expand_as(messages)
        sums = messages.new_zeros(nodes, messages.shape[-1])
        return sums.scatter_reduce_(0, where, messages, reduce=self.how, include_self=False)

    def said(self, sender):
        return sender


@program("5x8 2x6<5")
class EdgeConv(EdgeNetwork):
    def __init__(self, channels=8):
        super().__init__(how="amax")
        self.net = nn.Sequential(nn.Linear(2 * channels, channels), nn.ReLU())

    def said(self, receiver, step):
        return self.net(torch.cat((receiver, step), dim=-1))


@program("5x8 5<2")
def global_pooling(x, batch):
    n = 2
    total = torch.zeros(n, 8).index_add(0, batch, x)
    count = torch.bincount(batch, minlength=n).clamp(min=1)
    return total / count[:, None], torch.zeros(n, 8).scatter_reduce(
        0, batch[:, None].expand_as(x), x, "mean", include_self=False
    )
