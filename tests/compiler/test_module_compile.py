"""Modules compiled in place, wrapped, by method; their state, pickles and copies."""

from __future__ import annotations

import copy
import pickle

import pytest
from captured import assert_same, ramp

import tracegraph as tg
from tracegraph import nn
from tracegraph.capture.compiled_function import family_of
from tracegraph.errors import CaptureError, OptionError


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x, scale=1.0):
        return self.layer(x) * scale

    @tg.compile(backend="eager")
    def scores(self, x):
        return self.forward(x).softmax(-1)


def graphs_of(target):
    return [s.graph for u in family_of(target).units.values() for s in u.specialisations if s.graph is not None]


def test_compile_in_place():
    net = Net()
    expected = net(ramp(4, 3), scale=2.0)
    keys = list(net.state_dict())
    assert net.compile(backend="eager", fullgraph=True) is None
    assert type(net) is Net
    assert list(net.state_dict()) == keys
    for _ in range(2):
        assert_same(net(ramp(4, 3), scale=2.0), expected)
    assert len(graphs_of(net)) == 1
    assert [n for n, _ in net.named_parameters()] == ["layer.weight", "layer.bias"]


def test_hooks_of_a_module_compiled_in_place():
    net = Net()
    net.compile(backend="eager")
    plain = net(ramp(4, 3))
    handle = net.register_forward_hook(lambda module, args, output: output * 10)
    assert_same(net(ramp(4, 3)), plain * 10)
    handle.remove()
    assert_same(net(ramp(4, 3)), plain)
    assert len(graphs_of(net)) == 2


def test_training_in_place():
    net = Net()
    twin = copy.deepcopy(net)
    net.compile()
    for m in (net, twin):
        m(ramp(4, 3)).sum().backward()
    assert_same(net.layer.weight.grad, twin.layer.weight.grad)
    net.eval()
    assert not net.training


def test_pickles_and_copies_are_not_compiled():
    net = Net()
    net.compile(backend="eager")
    expected = net(ramp(4, 3))
    for duplicate in (copy.deepcopy(net), copy.copy(net), pickle.loads(pickle.dumps(net))):
        assert "_compiled_call" not in vars(duplicate)
        assert_same(duplicate(ramp(4, 3)), expected)
    assert len(graphs_of(net)) == 1


def test_a_module_compiled_in_place_inside_a_compiled_one():
    net = Net()
    net.compile(backend="eager")
    outer = tg.compile(nn.Sequential(net, nn.ReLU()), backend="eager", fullgraph=True)
    assert_same(outer(ramp(4, 3)), net(ramp(4, 3)).relu())
    assert len(graphs_of(outer)) == 1
    hooked = Net()
    hooked.compile(backend="eager")
    hooked.register_forward_hook(lambda module, args, output: output + 1)
    outer = tg.compile(lambda x: hooked(x) * 2, backend="eager", fullgraph=True)
    assert_same(outer(ramp(4, 3)), hooked(ramp(4, 3)) * 2)
    assert len(graphs_of(outer)) == 1


def test_options_and_stances_apply():
    net = Net()
    with pytest.raises(OptionError, match="did you mean 'eager'"):
        net.compile(backend="eagr")

    class Breaking(nn.Module):
        def forward(self, x):
            tg.compiler.graph_break()
            return x

    breaking = Breaking()
    breaking.compile(fullgraph=True)
    with pytest.raises(CaptureError, match="graph_break"):
        breaking(ramp(2))
    with tg.compiler.set_stance("force_eager"):
        breaking(ramp(2))


def test_compiled_methods():
    first, second = Net(), Net()
    assert_same(first.scores(ramp(4, 3)), first.forward(ramp(4, 3)).softmax(-1))
    assert_same(second.scores(ramp(4, 3)), second.forward(ramp(4, 3)).softmax(-1))
    assert len(graphs_of(Net.scores)) == 1
    pickled = pickle.loads(pickle.dumps(first))
    assert_same(pickled.scores(ramp(4, 3)), first.scores(ramp(4, 3)))
