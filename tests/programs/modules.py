"""Modules: registered parameters, buffers and submodules, containers, hooks, state written by forward."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from captured import ramp

from programs import program
from tracegraph import nn
from tracegraph.autograd.grad_mode import no_grad
from tracegraph.nn import functional as F
from tracegraph.ops.random.generator import manual_seed
from tracegraph.tensor import Tensor, tensor


class Perceptron(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.second = nn.Linear(4, 2)
        self.activation = nn.ReLU()
        self.register_buffer("scale", tensor([2.0]))
        self.factor = 3

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.activation(self.first(x))) * self.scale * self.factor


class Containers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2))
        self.layers = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])
        self.heads = nn.ModuleDict({"tanh": nn.Tanh()})

    def forward(self, x: Tensor) -> Tensor:
        x = self.net(x)
        for i, layer in enumerate(self.layers):
            x = layer(x) + i
        return self.heads["tanh"](x)


class Counter(nn.Module):
    """Writes a number, a buffer and a new attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.register_buffer("mean", tensor([0.0]))
        self.last: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.mean = self.mean * 0.5 + x.sum()
        self.last = x * 2
        return x + self.mean


class Written(nn.Module):
    """Writes buffers and parameters in place."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(tensor([1.0, 2.0, 3.0]))
        self.register_buffer("count", tensor([0.0]))

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        with no_grad():
            self.weight.mul_(1.0)
        return x * self.weight + self.count


class Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = Perceptron()
        self.second = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        print("between")
        return self.second(y)


class Deep(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.noisy = Noisy()
        self.out = nn.Linear(2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.noisy(x))


class Normalised(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)


def case(module: nn.Module, train: bool = True) -> Callable[[], tuple[Any, ...]]:
    """Arguments: an equal module each time, and a tensor."""

    def make() -> tuple[Any, ...]:
        manual_seed(0)
        return copy.deepcopy(module).train(train), ramp()

    return make


def hooked() -> tuple[Any, ...]:
    module, x = case(_PERCEPTRON)()
    module.first.register_forward_hook(lambda m, args, output: output * 2)
    module.register_forward_pre_hook(lambda m, args: (args[0] + 1,))
    return module, x


_PERCEPTRON = Perceptron()
_CONTAINERS = Containers()


@program(case(_PERCEPTRON), hooked)
def perceptron(module, x):
    return module(x)


@program(case(_CONTAINERS))
def containers(module, x):
    return module(x)


@program(case(Counter()))
def counter(module, x):
    return module(x), module.calls


@program(case(Written()))
def written(module, x):
    return module(x)


@program(case(nn.Dropout(0.5)), case(nn.Dropout(0.5), train=False))
def dropout(module, x):
    return module(x)


@program(case(Normalised()), case(Normalised(), train=False))
def batch_norm(module, x):
    return module(x)


@program(case(Noisy()), breaks=("side-effect",))
def noisy(module, x):
    return module(x)


@program(case(Deep()), breaks=("side-effect",))
def deep(module, x):
    return module(x)


@program(case(_PERCEPTRON))
def loss(module, x):
    return (module(x) ** 2).mean()


@program(case(_CONTAINERS))
def traversal(module, x):
    shapes = [p.shape for p in module.parameters()]
    names = [n for n, _ in module.named_parameters()]
    return shapes, names, len(list(module.modules())), module.training, [n for n, _ in module.named_children()]


@program()
def functional(x):
    return F.relu(x), F.softmax(x, dim=-1), F.layer_norm(x, (3,)), F.linear(x, x)


@program(case(_PERCEPTRON))
def mode_switch(module, x):
    module.eval()
    y = module(x)
    module.train()
    return y, module.training


@program(case(_PERCEPTRON))
def parameters_read(module, x):
    weight = module.first.weight
    return weight.shape, weight * 2, module.second.bias is None, x @ weight.T


@program(case(_CONTAINERS))
def list_index(module, x):
    return module.layers[0](module.net(x)), len(module.layers), module.layers[-1] is module.layers[2]


@program(case(_PERCEPTRON))
def introspection(module, x):
    is_parameter = isinstance(module.first.weight, nn.Parameter)
    return isinstance(module, nn.Module), type(module).__name__, is_parameter, hasattr(module, "zzz"), module.factor


@program(case(_PERCEPTRON))
def attribute_writes(module, x):
    module.factor = module.factor + 1
    module.added = x * 2
    return module(x)
