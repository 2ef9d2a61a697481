"""Classes and methods compiled by a decorator."""

from __future__ import annotations

import copy
import pickle

import numpy as np

import tracegraph as tg
from tracegraph import nn


@tg.compile
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x):
        return self.layer(x).relu()


@tg.compile(fullgraph=True)
class Scale:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return x * self.factor


class Plain:
    factor = 3

    @tg.compile
    def scaled(self, x):
        return x * self.factor


X = tg.ones(2, 3)


def captures(compiled):
    return sum(len(unit.specialisations) for unit in compiled.family.units.values())


def test_a_class_of_modules():
    net = Net()
    expected = net.layer(X).relu()
    for module in (net, copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert isinstance(module, Net)
        np.testing.assert_allclose(module(X).detach().numpy(), expected.detach().numpy(), rtol=1e-6)
    assert captures(Net.__call__) == 1
    assert list(net.state_dict()) == ["layer.weight", "layer.bias"]


def test_it_is_captured_as_part_of_another_module():
    outer = nn.Sequential(Net(), nn.ReLU())
    found = tg.compiler.explain(outer)(X)
    assert found.ops_per_graph == (("linear", "relu", "relu"),)
    assert tg.compiler.explain(Net(), backend="eager")(X).compile_times.keys() == {"capture", "backend"}


def test_a_class_of_callable_objects():
    scale = Scale(3)
    assert scale(X).sum().item() == 18
    scale.factor = 4
    assert scale(X).sum().item() == 24
    assert tg.compile(Scale)(2)(X).sum().item() == 12
    assert Scale.__call__._tracegraph_original.__qualname__ == "Scale.__call__"


def test_a_compiled_method_inside_captured_code():
    plain = Plain()
    assert plain.scaled(X).sum().item() == 18
    found = tg.compiler.explain(lambda x: plain.scaled(x) + 1)(X)
    assert found.ops_per_graph == (("mul", "add"),)
