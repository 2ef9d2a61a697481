"""Graph networks as a library writes them: message passing that inspects its methods, data objects, batches."""

import inspect
import math
from collections import defaultdict

import torch
import torch.nn as nn
import torch.nn.functional as F

from graph_programs import made


class Inspector:
    def __init__(self, base):
        self.params = {}
        for name in ("message", "aggregate", "update"):
            function = getattr(base, name)
            self.params[name] = [p for p in inspect.signature(function).parameters if p not in ("inputs", "out")]

    def distribute(self, name, kwargs):
        out = {}
        for key in self.params[name]:
            if key not in kwargs:
                raise TypeError(f"Required parameter {key} is empty.")
            out[key] = kwargs[key]
        return out


class MessagePassing(nn.Module):
    special = {"edge_index", "size", "index", "dim_size"}

    def __init__(self, aggr="add", flow="source_to_target", node_dim=-2):
        super().__init__()
        assert flow in ["source_to_target", "target_to_source"]
        self.aggr, self.flow, self.node_dim = aggr, flow, node_dim
        self.inspector = Inspector(self)

    def __collect__(self, edge_index, size, kwargs):
        i, j = (1, 0) if self.flow == "source_to_target" else (0, 1)
        out = {}
        for arg in {p for params in self.inspector.params.values() for p in params} - self.special:
            if arg[-2:] not in ["_i", "_j"]:
                out[arg] = kwargs.get(arg)
                continue
            data = kwargs.get(arg[:-2])
            if isinstance(data, (tuple, list)):
                data = data[1 if arg[-2:] == "_i" else 0]
            dim = i if arg[-2:] == "_i" else j
            out[arg] = data.index_select(self.node_dim, edge_index[dim]) if data is not None else None
        out.update(index=edge_index[i], dim_size=size, edge_index=edge_index, size=size)
        return out

    def propagate(self, edge_index, size=None, **kwargs):
        coll = self.__collect__(edge_index, size, kwargs)
        out = self.message(**self.inspector.distribute("message", coll))
        out = self.aggregate(out, **self.inspector.distribute("aggregate", coll))
        return self.update(out, **self.inspector.distribute("update", coll))

    def message(self, x_j):
        return x_j

    def aggregate(self, inputs, index, dim_size):
        shape = list(inputs.shape)
        shape[self.node_dim] = dim_size
        expanded = index.view(-1, *[1] * (inputs.dim() - 1)).expand_as(inputs)
        if self.aggr == "max":
            return inputs.new_zeros(shape).scatter_reduce(0, expanded, inputs, "amax", include_self=False)
        out = inputs.new_zeros(shape).scatter_add_(0, expanded, inputs)
        if self.aggr == "mean":
            count = torch.zeros(dim_size).index_add_(0, index, torch.ones(index.numel()))
            out = out / count.clamp(min=1).view(-1, 1)
        return out

    def update(self, out):
        return out


class GATv2(MessagePassing):
    def __init__(self, cin, cout, heads=2):
        super().__init__(aggr="add", node_dim=0)
        self.heads, self.cout = heads, cout
        self.left, self.right = nn.Linear(cin, heads * cout), nn.Linear(cin, heads * cout)
        self.att = nn.Parameter(torch.zeros(1, heads, cout))
        self._alpha = None

    def forward(self, x, edge_index, return_attention=None):
        xl, xr = (f(x).view(-1, self.heads, self.cout) for f in (self.left, self.right))
        out = self.propagate(edge_index, x=(xl, xr), size=x.size(0)).flatten(1)
        alpha, self._alpha = self._alpha, None
        if isinstance(return_attention, bool):
            assert alpha is not None
            return out, (edge_index, alpha)
        return out

    def message(self, x_j, x_i, index, dim_size):
        alpha = (F.leaky_relu(x_i + x_j, 0.2) * self.att).sum(-1)
        spread = index.unsqueeze(-1).expand_as(alpha)
        top = torch.full((dim_size, self.heads), -math.inf).scatter_reduce_(0, spread, alpha.detach(), "amax")
        alpha = (alpha - top[index]).exp()
        total = torch.zeros(dim_size, self.heads).index_add(0, index, alpha)
        self._alpha = alpha = alpha / (total[index] + 1e-16)
        return x_j * alpha.unsqueeze(-1)


class SAGE(MessagePassing):
    def __init__(self, cin, cout, **kwargs):
        super().__init__(**{"aggr": "mean", **kwargs})
        self.lin = nn.Linear(2 * cin, cout)

    def forward(self, x, edge_index):
        return self.lin(torch.cat([x, self.propagate(edge_index, x=x, size=x.size(0))], -1))


class Data:
    def __init__(self, x=None, edge_index=None, **kwargs):
        self.__dict__["_store"] = {"x": x, "edge_index": edge_index, **kwargs}

    def __getattr__(self, key):
        store = self.__dict__["_store"]
        if key not in store:
            raise AttributeError(f"'{type(self).__name__}' has no attribute '{key}'")
        return store[key]

    def __setattr__(self, key, value):
        self._store[key] = value

    def __contains__(self, key):
        return self._store.get(key) is not None

    def __call__(self, *keys):
        yield from ((k, self._store[k]) for k in keys or sorted(self._store) if k in self)

    @property
    def num_nodes(self):
        return self.x.size(0)

    @classmethod
    def collate(cls, items):
        out, offset, batch = defaultdict(list), 0, []
        for i, item in enumerate(items):
            for key, value in item():
                out[key].append(value + offset if "index" in key else value)
            batch.append(torch.full((item.num_nodes,), i))
            offset += item.num_nodes
        joined = {k: torch.cat(v, dim=-1 if "index" in k else 0) for k, v in out.items()}
        return cls(**joined, batch=torch.cat(batch))


@made("5x4 2x9<5", "5x4 2x9<5", "6x4 2x12<6")
def message_passing():
    layers = nn.ModuleList([SAGE(4, 6), GATv2(6, 3), SAGE(6, 4, aggr="max", flow="target_to_source")])

    def run(x, edge_index):
        x = F.elu(layers[0](x, edge_index))
        x, (_, alpha) = layers[1](x, edge_index, return_attention=True)
        return layers[2](x, edge_index), alpha

    return run


@made("5x4 2x9<5 3x4 2x4<3", "5x4 2x9<5 3x4 2x4<3")
def batched_graphs():
    layer = SAGE(4, 4)

    def run(x1, e1, x2, e2):
        data = Data.collate([Data(x1, e1, y=None), Data(x=x2, edge_index=e2)])
        data.h = layer(data.x, data.edge_index).relu()
        pooled = torch.zeros(2, 4).index_add_(0, data.batch, data.h)
        return pooled, "h" in data, "y" in data, hasattr(data, "pos"), [k for k, _ in data()]

    return run
