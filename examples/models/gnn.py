"""A graph network: convolution (Kipf & Welling 2016, arXiv:1609.02907) and attention over neighbours (Velickovic et al.
2017, arXiv:1710.10903), both as message passing by gather and scatter.

    python examples/models/gnn.py

trains a small one to label handwritten digits in a graph that joins each image to the most similar ones, where only a
tenth of the labels is known, and compares a compiled step with an eager one.
"""

from __future__ import annotations

import sys

import numpy as np
from support.data import digits
from support.training import train

import tracegraph as tg
import tracegraph.nn.functional as F
from tracegraph import nn


def scatter(src: tg.Tensor, index: tg.Tensor, dim_size: int, reduce: str = "sum") -> tg.Tensor:
    """Rows of `src` [E, ...] brought together at the rows `index` [E] of a tensor [dim_size, ...]."""
    if reduce in ("sum", "add"):
        return src.new_zeros(dim_size, *src.shape[1:]).index_add_(0, index, src)
    if reduce == "mean":
        count = src.new_zeros(dim_size).scatter_add_(0, index, src.new_ones(src.size(0)))
        total = scatter(src, index, dim_size, "sum")
        return total / count.clamp_(min=1).view(-1, *[1] * (src.dim() - 1))
    if reduce in ("max", "min"):
        expanded = index.view(-1, *[1] * (src.dim() - 1)).expand_as(src)
        out = src.new_zeros(dim_size, *src.shape[1:])
        return out.scatter_reduce_(0, expanded, src, reduce=f"a{reduce}", include_self=False)
    raise ValueError(f"unknown reduction {reduce!r}")


def softmax(src: tg.Tensor, index: tg.Tensor, num_nodes: int) -> tg.Tensor:
    """Softmax over the rows of `src` that share an index."""
    src_max = scatter(src.detach(), index, num_nodes, reduce="max")
    out = (src - src_max.index_select(0, index)).exp()
    out_sum = scatter(out, index, num_nodes, reduce="sum") + 1e-16
    return out / out_sum.index_select(0, index)


def add_self_loops(edge_index: tg.Tensor, num_nodes: int) -> tg.Tensor:
    loop_index = tg.arange(0, num_nodes, dtype=tg.long, device=edge_index.device)
    return tg.cat([edge_index, loop_index.unsqueeze(0).repeat(2, 1)], dim=1)


class MessagePassing(nn.Module):
    """Base of layers that send messages along edges and bring them together at the nodes.

    A derived class defines `message`; arguments of `propagate` whose names end in `_j` there are taken at the source
    of each edge, `_i` at its target.
    """

    def __init__(self, aggr: str = "add") -> None:
        super().__init__()
        self.aggr = aggr

    def propagate(self, edge_index: tg.Tensor, num_nodes: int, **kwargs: tg.Tensor | None) -> tg.Tensor:
        row, col = edge_index
        collected = {}
        for name, value in kwargs.items():
            collected[name] = value
            if value is not None and value.size(0) == num_nodes:
                collected[f"{name}_j"] = value.index_select(0, row)
                collected[f"{name}_i"] = value.index_select(0, col)
        out = self.message(collected, col, num_nodes)
        return self.update(scatter(out, col, num_nodes, reduce=self.aggr))

    def message(self, args: dict[str, tg.Tensor], index: tg.Tensor, num_nodes: int) -> tg.Tensor:
        return args["x_j"]

    def update(self, aggr_out: tg.Tensor) -> tg.Tensor:
        return aggr_out


class GCNConv(MessagePassing):
    """Neighbours' features, weighted by 1 / sqrt(degree * degree)."""

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True) -> None:
        super().__init__(aggr="add")
        self.lin = nn.Linear(in_channels, out_channels, bias=False)
        if bias:
            self.bias = nn.Parameter(tg.empty(out_channels))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.xavier_uniform_(self.lin.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: tg.Tensor, edge_index: tg.Tensor) -> tg.Tensor:
        num_nodes = x.size(0)
        edge_index = add_self_loops(edge_index, num_nodes)
        row, col = edge_index[0], edge_index[1]
        deg = scatter(x.new_ones(edge_index.size(1)), col, num_nodes)
        deg_inv_sqrt = deg.pow(-0.5)
        deg_inv_sqrt = deg_inv_sqrt.masked_fill(deg_inv_sqrt == float("inf"), 0)
        norm = deg_inv_sqrt[row] * deg_inv_sqrt[col]
        out = self.propagate(edge_index, num_nodes, x=self.lin(x), norm=norm)
        if self.bias is not None:
            out += self.bias
        return out

    def message(self, args: dict[str, tg.Tensor], index: tg.Tensor, num_nodes: int) -> tg.Tensor:
        return args["norm"].view(-1, 1) * args["x_j"]


class GATConv(MessagePassing):
    """Neighbours' features, weighted by attention."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        heads: int = 1,
        concat: bool = True,
        negative_slope: float = 0.2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(aggr="add")
        self.heads = heads
        self.out_channels = out_channels
        self.concat = concat
        self.negative_slope = negative_slope
        self.dropout = dropout
        self.lin = nn.Linear(in_channels, heads * out_channels, bias=False)
        self.att_src = nn.Parameter(tg.empty(1, heads, out_channels))
        self.att_dst = nn.Parameter(tg.empty(1, heads, out_channels))
        self.bias = nn.Parameter(tg.zeros(heads * out_channels if concat else out_channels))
        for weight in (self.lin.weight, self.att_src, self.att_dst):
            nn.init.xavier_uniform_(weight)

    def forward(self, x: tg.Tensor, edge_index: tg.Tensor) -> tg.Tensor:
        H, C = self.heads, self.out_channels
        num_nodes = x.size(0)
        edge_index = add_self_loops(edge_index, num_nodes)
        x = self.lin(x).view(-1, H, C)
        alpha_src = (x * self.att_src).sum(dim=-1)
        alpha_dst = (x * self.att_dst).sum(dim=-1)
        out = self.propagate(edge_index, num_nodes, x=x, alpha_src=alpha_src, alpha_dst=alpha_dst)
        out = out.view(-1, H * C) if self.concat else out.mean(dim=1)
        return out + self.bias

    def message(self, args: dict[str, tg.Tensor], index: tg.Tensor, num_nodes: int) -> tg.Tensor:
        alpha = F.leaky_relu(args["alpha_src_j"] + args["alpha_dst_i"], self.negative_slope)
        alpha = softmax(alpha, index, num_nodes)
        alpha = F.dropout(alpha, p=self.dropout, training=self.training)
        return args["x_j"] * alpha.unsqueeze(-1)


class GraphNet(nn.Module):
    """A convolution, then attention; log-odds of the classes of every node."""

    def __init__(self, num_features: int, hidden: int, num_classes: int, heads: int = 2, dropout: float = 0.3) -> None:
        super().__init__()
        self.conv1 = GCNConv(num_features, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.conv2 = GATConv(hidden, num_classes, heads=heads, concat=False, dropout=dropout)
        self.dropout = dropout

    def forward(self, x: tg.Tensor, edge_index: tg.Tensor) -> tg.Tensor:
        x = F.dropout(x, p=self.dropout, training=self.training)
        x = F.elu(self.norm(self.conv1(x, edge_index)))
        x = F.dropout(x, p=self.dropout, training=self.training)
        return self.conv2(x, edge_index)


def small() -> GraphNet:
    """16 hidden features for the 64 pixels of a digit."""
    return GraphNet(64, 16, 10)


def example_inputs(batch: int = 2) -> tuple[tg.Tensor, tg.Tensor]:
    """A graph of 10 * batch nodes and 24 * batch edges."""
    return tg.randn(10 * batch, 64), tg.randint(0, 10 * batch, (2, 24 * batch))


def example_batch(batch: int = 2) -> tuple[tg.Tensor, tg.Tensor, tg.Tensor, tg.Tensor]:
    labels, known = tg.randint(0, 10, (10 * batch,)), tg.rand(10 * batch) < 0.5
    return *example_inputs(batch), labels, known


def loss_of(model: nn.Module, x: tg.Tensor, edge_index: tg.Tensor, y: tg.Tensor, mask: tg.Tensor) -> tg.Tensor:
    """Cross entropy of the nodes whose label is known."""
    losses = F.cross_entropy(model(x, edge_index), y, reduction="none")
    return (losses * mask).sum() / mask.sum().clamp(min=1)


def digit_graph(count: int = 600, neighbours: int = 6) -> tuple[tg.Tensor, tg.Tensor, tg.Tensor, tg.Tensor]:
    """Images [N, 64], edges [2, E] from the most similar ones, labels, and which labels are known."""
    images, labels = digits()
    x, y = images[:count].reshape(count, 64), labels[:count]
    distance = ((x[:, None] - x[None]) ** 2).sum(-1)
    nearest = distance.argsort(axis=1)[:, 1 : neighbours + 1]
    edges = np.stack([nearest.ravel(), np.repeat(np.arange(count), neighbours)])
    return tg.from_numpy(x), tg.from_numpy(edges), tg.from_numpy(y), tg.from_numpy(np.arange(count) % 10 == 0)


def main() -> int:
    tg.manual_seed(0)
    x, edge_index, y, known = digit_graph()
    model = small()
    train(model, loss_of, [(x, edge_index, y, known)] * 60, lr=1e-2, falls_to=0.3)
    model.eval()
    with tg.no_grad():
        right = model(x, edge_index).argmax(dim=1) == y
    accuracy = right[~known].float().mean().item()
    print(f"accuracy on the unknown labels {accuracy:.1%}")
    return 0 if accuracy > 0.8 else 1


if __name__ == "__main__":
    sys.exit(main())
