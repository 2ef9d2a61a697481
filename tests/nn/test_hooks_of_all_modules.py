"""Hooks that every Module calls."""

import pytest

import tracegraph as tg
from tracegraph import nn
from tracegraph.nn import module as modules

X = tg.ones(1, 2)


def wrapped(net, is_compiled):
    return tg.compile(net, fullgraph=True) if is_compiled else net


@pytest.mark.parametrize("is_compiled", [False, True])
def test_forward_hooks(is_compiled):
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    call, plain, seen = wrapped(net, is_compiled), net(X), []
    call(X)
    with (
        modules.register_module_forward_pre_hook(lambda module, args: seen.append(type(module).__name__)),
        modules.register_module_forward_hook(lambda module, args, output: output * 2),
    ):
        assert call(X).tolist() == (plain * 8).tolist()
    assert seen == ["Sequential", "Linear", "ReLU"]
    assert call(X).tolist() == plain.tolist()
    assert len(seen) == 3


@pytest.mark.parametrize("is_compiled", [False, True])
def test_keyword_arguments_and_order(is_compiled):
    class Scale(nn.Module):
        def forward(self, x, factor=1.0):
            return x * factor

    net, order = Scale(), []
    net.register_forward_hook(lambda module, args, output: order.append("own"))
    with modules.register_module_forward_hook(
        lambda module, args, kwargs, output: order.append(kwargs["factor"]), with_kwargs=True
    ):
        wrapped(net, is_compiled)(X, factor=3.0)
    assert order == [3.0, "own"]


def test_backward_hooks():
    net, seen = nn.Sequential(nn.Linear(2, 2), nn.ReLU()), []
    with (
        modules.register_module_full_backward_pre_hook(lambda m, grads: seen.append(f"before {type(m).__name__}")),
        modules.register_module_full_backward_hook(lambda m, inputs, outputs: seen.append(type(m).__name__)),
    ):
        net(tg.ones(1, 2, requires_grad=True)).sum().backward()
    assert seen == ["before Sequential", "before ReLU", "ReLU", "before Linear", "Linear", "Sequential"]


def test_a_hook_registered_later_is_seen_by_compiled_code():
    explainer = tg.compiler.explain(nn.Linear(2, 2))
    explainer(X)
    with modules.register_module_forward_hook(lambda module, args, output: output * 2):
        found = explainer(X)
    (recompile,) = found.recompiles
    assert recompile.failed[0].guard == "len(hooks of all modules) == 0"
