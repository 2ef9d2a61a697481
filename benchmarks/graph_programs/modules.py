"""Modules as users compose them: containers, shared parts, parts chosen by name, walks of parameters."""

import functools
from collections import OrderedDict
from dataclasses import dataclass, field

import torch
import torch.nn as nn
import torch.nn.functional as F

from graph_programs import made, program


@program("4x8")
class SlicedSequential(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh())

    def forward(self, x):
        x = self.layers[:2](x)
        return self.layers[-2:](x) + self.layers[0](x)


@program("4x8")
class IndexedList(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(4))
        self.norms = nn.ModuleList([nn.LayerNorm(8) for _ in range(4)])

    def forward(self, x):
        skips = []
        for i, (layer, norm) in enumerate(zip(self.layers, self.norms)):
            x = F.gelu(norm(layer(x)))
            if i % 2 == 0:
                skips.append(x)
            elif i < len(self.layers) - 1:
                x = x + skips[-1]
        for layer in reversed(self.layers):
            x = layer(x)
        return x, skips


@program("4x8 ='linear'", "4x8 ='conv'", "4x8 ='linear'")
class ChosenByName(nn.Module):
    def __init__(self):
        super().__init__()
        self.choices = nn.ModuleDict({"linear": nn.Linear(8, 8), "conv": nn.Conv1d(1, 1, 3, padding=1)})
        self.activations = nn.ModuleDict([["relu", nn.ReLU()], ["lrelu", nn.LeakyReLU()]])

    def forward(self, x, choice):
        if choice == "conv":
            x = self.choices[choice](x.unsqueeze(1)).squeeze(1)
        else:
            x = self.choices[choice](x)
        for name, act in self.activations.items():
            if name in ("relu",):
                x = act(x)
        return x


@program("4x8")
class ParametersInLists(nn.Module):
    def __init__(self):
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(torch.randn(8, 8)) for _ in range(3)])
        self.named = nn.ParameterDict({"scale": nn.Parameter(torch.ones(8)), "shift": nn.Parameter(torch.zeros(8))})

    def forward(self, x):
        for i, w in enumerate(self.weights):
            x = x @ w + self.weights[i].sum()
        x = x * self.named["scale"] + self.named["shift"]
        for k in self.named:
            x = x + self.named[k].mean()
        return x


@program("4<10")
class TiedEmbedding(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(10, 8)
        self.head = nn.Linear(8, 10, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids):
        return self.head(torch.tanh(self.embed(ids)))


@program("4x8")
class SharedBlock(nn.Module):
    def __init__(self):
        super().__init__()
        block = nn.Linear(8, 8)
        self.first, self.second = block, block
        self.pair = nn.Sequential(block, nn.Sigmoid(), block)

    def forward(self, x):
        return self.first(x) + self.second(self.pair(x))


@dataclass
class Config:
    width: int = 8
    depth: int = 2
    activation: str = "gelu"
    dropout: float = 0.0
    sizes: list = field(default_factory=lambda: [8, 16, 8])

    @property
    def head_size(self):
        return self.width // 2


class Activated(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.act = getattr(F, config.activation)
        self.fc = nn.Linear(config.width, config.width)

    def forward(self, x):
        x = self.act(self.fc(x))
        return F.dropout(x, p=self.config.dropout, training=self.training)


@program("4x8")
class FromConfig(nn.Module):
    def __init__(self, config=Config()):
        super().__init__()
        self.config = config
        self.blocks = nn.ModuleList([Activated(config) for _ in range(config.depth)])

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x.view(x.shape[0], -1, self.config.head_size)


@program("4x8")
class ParameterWalk(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))

    def forward(self, x):
        y = self.net(x)
        penalty = sum(p.pow(2).sum() for p in self.parameters() if p.requires_grad)
        names = [n for n, p in self.named_parameters() if n.endswith("weight")]
        total = sum(p.numel() for p in self.parameters())
        return y, penalty, names, total


@program("4x8")
class StateDictInForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 8)
        self.register_buffer("b", torch.ones(8))

    def forward(self, x):
        state = self.state_dict()
        return self.net(x) + state["net.weight"].sum() + state["b"], list(state)


@made("4x8")
def nested_sequential_of_dict():
    return nn.Sequential(
        OrderedDict(
            [
                ("stem", nn.Linear(8, 8)),
                ("body", nn.Sequential(nn.ReLU(), nn.Sequential(nn.Linear(8, 8), nn.Identity()))),
            ]
        )
    )


@made("4x8")
def add_module_in_loop():
    class Stack(nn.Module):
        def __init__(self):
            super().__init__()
            for i in range(3):
                self.add_module(f"layer{i}", nn.Linear(8, 8))
            self.n = 3

        def forward(self, x):
            for i in range(self.n):
                x = getattr(self, f"layer{i}")(x)
            for module in self.children():
                x = module(x)
            return x

    return Stack()


@made("4x8")
def modules_by_type():
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Sequential(nn.Linear(8, 8)))

    def run(x):
        for m in model.modules():
            if isinstance(m, nn.Linear):
                x = m(x)
        return x, [n for n, m in model.named_modules() if isinstance(m, nn.Linear)]

    return run


@made("4x8")
def frozen_backbone():
    backbone, head = nn.Linear(8, 8), nn.Linear(8, 2)
    for p in backbone.parameters():
        p.requires_grad = False

    def run(x):
        with torch.no_grad():
            h = backbone(x)
        return head(h)

    return run


@made("4x8")
def wrapped_functional():
    class Lambda(nn.Module):
        def __init__(self, fn):
            super().__init__()
            self.fn = fn

        def forward(self, x):
            return self.fn(x)

    return nn.Sequential(Lambda(lambda x: x.flatten(1)), nn.Linear(8, 8), Lambda(functools.partial(torch.clamp, min=0)))


@made("2x3x8x8")
def residual():
    class Around(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x, **options):
            return self.inner(x, **options)

    class Normed(Around):
        def __init__(self, inner):
            super().__init__(inner)
            self.norm = nn.GroupNorm(1, inner.in_channels)

        def forward(self, x, **options):
            return super().forward(self.norm(x), **options)

    class Added(Around):
        def forward(self, x, **options):
            return x + super().forward(x, **options)

    convolutions = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(2))
    return nn.Sequential(*map(Added, map(Normed, convolutions)))


@made("4x8")
def module_called_by_forward():
    m = nn.Linear(8, 8)
    return lambda x: m.forward(x) + nn.Module.__call__(m, x) + type(m).forward(m, x)


@made("4x8")
def extra_repr_and_names():
    m = nn.Linear(8, 8)

    def run(x):
        return m(x), m._get_name(), m.__class__.__name__, repr(m), m.extra_repr()

    return run


@made("4x8")
def functional_call():
    from torch.func import functional_call as call

    m = nn.Linear(8, 8)

    def run(x):
        params = {k: v * 2 for k, v in m.named_parameters()}
        return call(m, params, (x,))

    return run


@made("4x8 =True", "4x8 =False")
def optional_submodule():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(8, 8)
            self.norm = None
            self.down = nn.Identity()
            self.drop_path = None

        def forward(self, x, skip: bool):
            y = self.fc(x)
            if self.norm is not None:
                y = self.norm(y)
            if hasattr(self, "missing"):
                y = self.missing(y)
            return y + self.down(x) if skip else y

    return M()


@made("4x8")
def get_submodule():
    model = nn.Sequential(OrderedDict(a=nn.Sequential(nn.Linear(8, 8)), b=nn.ReLU()))
    return lambda x: model.get_submodule("a.0")(x) + model.get_parameter("a.0.bias")


@made("4x8")
def apply_init():
    def init(m):
        if isinstance(m, nn.Linear):
            nn.init.ones_(m.weight)
            nn.init.zeros_(m.bias)

    def run(x):
        m = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
        m.apply(init)
        return m(x)

    return run


@made("2x5x8")
def recurrent_kinds():
    lstm, gru, cell = nn.LSTM(8, 4, batch_first=True, num_layers=2), nn.GRU(8, 4, bidirectional=True), nn.LSTMCell(8, 4)
    for m in (lstm, gru, cell):
        for p in m.parameters():
            nn.init.constant_(p, 0.1)

    def run(x):
        out, (h, c) = lstm(x)
        out2, h2 = gru(x.transpose(0, 1))
        hx = cx = x.new_zeros(x.size(0), 4)
        for t in range(x.size(1)):
            hx, cx = cell(x[:, t], (hx, cx))
        return out, h, c, out2, h2, hx

    return run


@made("2x5x8")
def transformer_encoder():
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


@made("2x5x8")
def multihead():
    m = nn.MultiheadAttention(8, 2, batch_first=True)

    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.attn = m

        def forward(self, x):
            mask = nn.Transformer.generate_square_subsequent_mask(x.size(1))
            y, w = self.attn(x, x, x, attn_mask=mask, need_weights=True, is_causal=True)
            return y, w

    return M()
