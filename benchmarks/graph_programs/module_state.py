"""Modules that their calls change: buffers, counters, attributes, layers made or swapped later."""

import copy

import torch
import torch.nn as nn

from graph_programs import made, program


@program("4x3x8x8")
class RunningStatistics(nn.Module):
    def __init__(self):
        super().__init__()
        self.bn = nn.BatchNorm2d(3)
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("steps", torch.tensor(0), persistent=False)

    def forward(self, x):
        x = self.bn(x)
        if self.training:
            with torch.no_grad():
                self.mean.mul_(0.9).add_(x.mean((0, 2, 3)), alpha=0.1)
                self.steps += 1
        return x - self.mean[None, :, None, None], self.steps


@program("4x8", "4x8", "4x8")
class CountsCalls(nn.Module):
    def __init__(self):
        super().__init__()
        self.calls = 0
        self.linear = nn.Linear(8, 8)

    def forward(self, x):
        self.calls += 1
        return self.linear(x) * self.calls


@program("4x8", "4x8", "4x8", "4x8", "4x8")
class CountsOnly(nn.Module):
    def __init__(self):
        super().__init__()
        self.counter = 0
        self.linear = nn.Linear(8, 8)

    def forward(self, x):
        self.counter += 1
        return self.linear(x)


@program("4x8", "4x8")
class BuildsLayerAtFirstCall(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = None
        self.cache = {}

    def forward(self, x):
        if self.scale is None:
            self.scale = torch.ones(x.shape[-1]) * 2
        key = x.shape
        if key not in self.cache:
            self.cache[key] = torch.arange(x.shape[-1], dtype=x.dtype)
        return x * self.scale + self.cache[key]


@made("4x8", is_random=True)
def lazy_linear():
    return nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.Linear(8, 2))


@made("4x8")
def switched_modes():
    model = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5), nn.BatchNorm1d(8))

    def run(x):
        was = model.training
        model.eval()
        with torch.no_grad():
            y = model(x)
        model.train(was)
        return y, model.training, model[1].training

    return run


@program("4x8")
class OutputsKeptOnSelf(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.last_output = None
        self.history = []

    def forward(self, x):
        self.last_output = self.fc(x)
        self.history.append(self.last_output.detach())
        return self.last_output.relu() + len(self.history)


@made("4x8")
def deepcopied_in_call():
    m = nn.Linear(8, 8)

    def run(x):
        teacher = copy.deepcopy(m)
        return teacher(x) + m(x)

    return run


@program("4x8")
class RegistersInForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("cached", None)

    def forward(self, x):
        if self.cached is None or self.cached.shape[0] < x.shape[0]:
            self.register_buffer("cached", torch.arange(x.shape[0]).float())
        return x + self.cached[: x.shape[0], None]


@made("4x8")
def setattr_by_name():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            for i in range(2):
                setattr(self, f"fc_{i}", nn.Linear(8, 8))
                self.register_parameter(f"gate_{i}", nn.Parameter(torch.zeros(8)))

        def forward(self, x):
            for i in range(2):
                x = getattr(self, f"fc_{i}")(x) * torch.sigmoid(getattr(self, "gate_" + str(i)))
            return x

    return M()


@made("4x8")
def list_edits():
    def run(x):
        layers = nn.ModuleList([nn.ReLU(), nn.Tanh()])
        layers.append(nn.Sigmoid())
        layers.extend([nn.Identity()])
        layers.insert(0, nn.Softplus())
        for layer in layers[1:]:
            x = layer(x)
        return x, len(layers)

    return run


@made("4x8")
def sequential_built_in_call():
    def run(x):
        net = nn.Sequential(nn.ReLU(), nn.Flatten(0), nn.Unflatten(0, (4, 8)))
        return net(x)

    return run


@made("4x8")
def swapped_attribute():
    m = nn.Linear(8, 8)

    def run(x):
        old = m.bias
        m.bias = nn.Parameter(torch.ones(8))
        y = m(x)
        m.bias = old
        return y, m(x)

    return run


@made("4x8")
def class_attribute_counter():
    class M(nn.Module):
        count = 0

        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(8, 8)

        def forward(self, x):
            type(self).count = type(self).count + 1
            return self.fc(x)

    return M()
