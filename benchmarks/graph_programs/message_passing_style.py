"""Graph networks as a library writes them: layers that read the parameters of their methods, records, batches."""

import inspect
import itertools
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

from graph_programs import made

# ---------------------------------------------------------------------------------------- messages at their nodes


def summed(messages, target, nodes):
    rows = target.reshape(-1, *[1] * (messages.dim() - 1)).expand_as(messages)
    return messages.new_zeros(nodes, *messages.shape[1:]).scatter_add_(0, rows, messages)


def averaged(messages, target, nodes):
    arrived = torch.zeros(nodes).index_add_(0, target, torch.ones(len(target)))
    return summed(messages, target, nodes) / arrived.clamp(min=1)[:, None]


def largest(messages, target, nodes):
    rows = target[:, None].expand_as(messages)
    start = messages.new_zeros(nodes, messages.shape[1])
    return start.scatter_reduce(0, rows, messages, "amax", include_self=False)


REDUCERS = {"sum": summed, "mean": averaged, "max": largest}


def softmax_at(scores, target, nodes):
    """The softmax among the edges that end in the same node."""
    rows = target[:, None].expand(scores.shape)
    peak = scores.new_full((nodes, scores.shape[1]), -math.inf).scatter_reduce_(0, rows, scores.detach(), "amax")
    powers = torch.exp(scores - peak[target])
    return powers / powers.new_zeros(peak.shape).index_add(0, target, powers)[target]


# ---------------------------------------------------------------------------------------- layers


class EdgeLayer(nn.Module):
    """Three stages: messages of edges, gathered at nodes, finished.

    What a stage asks for is read from its parameters. `sender_x` stands for x at the node where each edge begins,
    `receiver_x` where it ends; other names for what `along` is given, or knows of the edges.
    """

    stages = ("message", "gather", "finish")

    def __init__(self, reduce="sum", backwards=False):
        super().__init__()
        if reduce not in REDUCERS:
            raise ValueError(f"messages are reduced by one of {', '.join(REDUCERS)}; there is no {reduce!r}")
        self.reduce, self.backwards = REDUCERS[reduce], backwards
        self.asked = {stage: tuple(inspect.signature(getattr(self, stage)).parameters) for stage in self.stages}

    def along(self, edges, nodes, **given):
        ends = dict(zip(("receiver", "sender") if self.backwards else ("sender", "receiver"), edges))
        known = {**given, "target": ends["receiver"], "nodes": nodes, "edges": edges}

        def found(name):
            end, _, of = name.partition("_")
            if end in ends and of in given:
                value = given[of][end] if isinstance(given[of], dict) else given[of]
                return None if value is None else torch.index_select(value, 0, ends[end])
            if name not in known:
                raise TypeError(f"{type(self).__name__} needs {name!r}, which nobody gave")
            return known[name]

        passed = []
        for stage, names in self.asked.items():
            passed = [getattr(self, stage)(*passed, **{name: found(name) for name in names[len(passed) :]})]
        return passed[0]

    def message(self, sender_x):
        return sender_x

    def gather(self, messages, target, nodes):
        return self.reduce(messages, target, nodes)

    def finish(self, gathered):
        return gathered


class AttentionOnEdges(EdgeLayer):
    """Weights of edges from both their ends (Brody et al., 2022)."""

    def __init__(self, width, head_width, heads=2):
        super().__init__()
        ends = ("sender", "receiver")
        self.project = nn.ModuleDict({end: nn.Linear(width, heads * head_width) for end in ends})
        self.query = nn.Parameter(torch.zeros(heads, head_width))
        self.noted = {}

    def forward(self, x, edges, with_weights=False):
        by_end = {end: layer(x).unflatten(-1, self.query.shape) for end, layer in self.project.items()}
        y = self.along(edges, len(x), x=by_end).flatten(1)
        weights = self.noted.pop("weights")
        return (y, weights) if with_weights else y

    def message(self, sender_x, receiver_x, target, nodes):
        scores = torch.einsum("ehc,hc->eh", F.leaky_relu(sender_x + receiver_x, 0.1), self.query)
        self.noted["weights"] = softmax_at(scores, target, nodes)
        return self.noted["weights"][..., None] * sender_x


class NeighbourLayer(EdgeLayer):
    """A node beside what its neighbours send (Hamilton et al., 2017)."""

    def __init__(self, width, out, **options):
        super().__init__(**{"reduce": "mean"} | options)
        self.mix = nn.Linear(width + width, out)

    def forward(self, x, edges):
        return self.along(edges, len(x), x=x)

    def finish(self, gathered, x):
        return self.mix(torch.hstack([x, gathered]))


@made("5x4 2x9<5", "5x4 2x9<5", "6x4 2x12<6")
def message_passing():
    options = {"reduce": "max", "backwards": True}
    first, second, third = layers = NeighbourLayer(4, 6), AttentionOnEdges(6, 3), NeighbourLayer(6, 4, **options)
    held = nn.ModuleList(layers)

    def run(x, edges):
        h, weights = second(F.elu(first(x, edges)), edges, with_weights=True)
        return third(h, edges), weights, len(held)

    return run


# ---------------------------------------------------------------------------------------- records of graphs


class Graph:
    """Whatever is known of a graph, by name; what is None counts as absent."""

    numbering = ("edges",)

    def __init__(self, **known):
        self.__dict__["known"] = known

    def __getattr__(self, name):
        try:
            return self.__dict__["known"][name]
        except KeyError:
            raise AttributeError(f"nothing is known of the {name} of this graph") from None

    def __setattr__(self, name, value):
        self.known[name] = value

    def __contains__(self, name):
        return self.known.get(name) is not None

    def __iter__(self):
        for name in sorted(self.known):
            if name in self:
                yield name, self.known[name]

    def __len__(self):
        return self.x.shape[0]

    @classmethod
    def side_by_side(cls, *graphs):
        """One graph of several that no edges join; `member` tells which node is whose."""
        starts = list(itertools.accumulate(map(len, graphs), initial=0))
        parts: dict = {}
        for start, graph in zip(starts, graphs):
            for name, value in graph:
                parts.setdefault(name, []).append(start + value if name in cls.numbering else value)
        joined = {name: torch.cat(p, dim=1 if name in cls.numbering else 0) for name, p in parts.items()}
        member = [torch.full((len(graph),), i) for i, graph in enumerate(graphs)]
        return cls(member=torch.cat(member), **joined)


@made("5x4 2x9<5 3x4 2x4<3", "5x4 2x9<5 3x4 2x4<3")
def batched_graphs():
    layer = NeighbourLayer(4, 4)

    def run(x1, e1, x2, e2):
        both = Graph.side_by_side(Graph(x=x1, edges=e1, label=None), Graph(edges=e2, x=x2))
        both.h = layer(both.x, both.edges).relu()
        pooled = torch.zeros(2, 4).index_add_(0, both.member, both.h)
        return pooled, "h" in both, "label" in both, hasattr(both, "place"), [name for name, _ in both]

    return run
