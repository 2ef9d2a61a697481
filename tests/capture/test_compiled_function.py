"""Compiled functions, methods and Modules pass for their originals."""

from __future__ import annotations

import copy
import functools
import inspect
import pickle

import pytest
from captured import assert_same, capture_of, graphs_of, ramp

from tracegraph import nn
from tracegraph.tensor import Tensor


class Net(nn.Module):
    """A documented net."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.calls = 0

    def forward(self, x: Tensor, scale: float = 2.0) -> Tensor:
        self.calls += 1
        return self.layer(x) * scale

    def double(self, x: Tensor) -> Tensor:
        return self.forward(x) * 2


def documented(x: Tensor, k: int = 2) -> Tensor:
    """Multiplies."""
    return x * k


def test_function_keeps_its_metadata() -> None:
    function = capture_of(documented)
    assert function.__name__ == "documented"
    assert function.__doc__ == "Multiplies."
    assert inspect.signature(function) == inspect.signature(documented)
    assert function._tracegraph_original is documented


def test_wrong_arguments_raise_as_in_eager() -> None:
    for args, kwargs in (((), {}), ((1, 2, 3), {}), ((1,), {"z": 2}), ((1,), {"x": 1})):
        with pytest.raises(TypeError) as expected:
            documented(*args, **kwargs)
        with pytest.raises(TypeError) as actual:
            capture_of(documented)(*args, **kwargs)
        assert str(actual.value) == str(expected.value)


def test_decorated_method() -> None:
    class Model:
        def __init__(self, k: int) -> None:
            self.k = k

        @capture_of
        def run(self, x: Tensor, *, extra: int = 1) -> Tensor:
            return x * self.k + extra

    assert_same(Model(3).run(ramp(2)), ramp(2) * 3 + 1)
    assert_same(Model(4).run(ramp(2), extra=5), ramp(2) * 4 + 5)
    assert_same(Model.run(Model(5), ramp(2)), ramp(2) * 5 + 1)


def test_bound_method() -> None:
    net = Net()
    method = capture_of(net.double)
    assert method.__self__ is net
    assert_same(method(ramp(4, 3)), net.double(ramp(4, 3)))


def test_callable_objects() -> None:
    class Scale:
        k = 2

        def __call__(self, x: Tensor) -> Tensor:
            return x * self.k

    function = capture_of(Scale())
    assert_same(function(ramp(2)), ramp(2) * 2)
    assert len(graphs_of(function)) == 1
    partial = capture_of(functools.partial(documented, k=5))
    assert_same(partial(ramp(2)), ramp(2) * 5)
    assert capture_of(len)([1, 2]) == 2


def test_compiling_twice_compiles_the_original() -> None:
    twice = capture_of(capture_of(documented))
    assert twice._tracegraph_original is documented


def test_a_compiled_callee_is_inlined() -> None:
    inner = capture_of(documented)
    outer = capture_of(lambda x: inner(x) + inner(x, k=3))
    assert_same(outer(ramp(2)), ramp(2) * 5)
    assert len(graphs_of(outer)) == 1
    assert len(graphs_of(inner)) == 0
    model = capture_of(Net())
    user = capture_of(lambda x: model(x) + 1)
    assert_same(user(ramp(4, 3)), model._tracegraph_original(ramp(4, 3)) + 1)
    assert not user.family.breaks


def test_wrapping_a_compiled_function_keeps_the_wrapper() -> None:
    @functools.wraps(capture_of(documented))
    def wrapper(x: Tensor) -> Tensor:
        return documented(x) + 100

    assert_same(capture_of(lambda x: wrapper(x) + 0)(ramp(2)), ramp(2) * 2 + 100)


def test_module_keeps_its_state() -> None:
    net = Net()
    model = capture_of(net)
    assert isinstance(model, Net)
    assert list(model.state_dict()) == list(net.state_dict()) == ["layer.weight", "layer.bias"]
    assert model.layer is net.layer
    assert [n for n, _ in model.named_parameters()] == ["layer.weight", "layer.bias"]
    assert_same(model(ramp(4, 3)), net(ramp(4, 3)))
    assert model.calls == net.calls == 2
    assert model.eval().training is net.training is False
    model.tag = "set"
    assert net.tag == "set"
    assert type(model).__name__ == "Net"
    assert repr(model) == repr(net)
    assert model.__doc__ == "A documented net."
    assert len(graphs_of(model)) == 1


def test_module_state_loaded_later_is_seen() -> None:
    model = capture_of(Net())
    other = Net()
    model(ramp(4, 3))
    model.load_state_dict(other.state_dict())
    assert_same(model(ramp(4, 3)), other(ramp(4, 3)))


def test_module_copies_and_pickles_as_the_original() -> None:
    net = Net()
    model = capture_of(net)
    model(ramp(4, 3))
    for duplicate in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert type(duplicate) is Net
        assert_same(duplicate(ramp(4, 3)), net(ramp(4, 3)))


def test_module_hooks() -> None:
    model = capture_of(Net())
    plain = model(ramp(4, 3))
    handle = model.register_forward_hook(lambda module, args, output: output * 10)
    assert_same(model(ramp(4, 3)), plain * 10)
    handle.remove()
    assert_same(model(ramp(4, 3)), plain)
