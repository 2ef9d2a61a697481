"""Parameters, and other leaves, that captured code makes."""

from __future__ import annotations

from captured import ramp

import tracegraph as tg
from programs import program
from tracegraph import nn


def data():
    """A tensor."""
    return (ramp(2, 3),)


def layer():
    """A layer and its input."""
    tg.manual_seed(0)
    return nn.Linear(3, 2), ramp(2, 3)


@program(data)
def a_parameter_is_returned(x):
    p = nn.Parameter(x * 2)
    return p, type(p), isinstance(p, nn.Parameter), p.requires_grad, p.is_leaf, p.grad, [p, p]


@program(data)
def a_parameter_lies_in_the_memory_it_is_given(x):
    made = x * 2
    p, frozen = nn.Parameter(x), nn.Parameter(made, requires_grad=False)
    x.add_(1)
    made.mul_(3)
    with tg.no_grad():
        p.mul_(2)
    return p, frozen, made, (p._version, frozen._version, made._version), frozen.is_leaf


@program(data)
def parameters_in_a_loop(x):
    parameters = [nn.Parameter(tg.full((3,), float(i))) for i in range(3)]
    loss = sum(((p - x) ** 2).sum() for p in parameters)
    loss.backward()
    with tg.no_grad():
        for p in parameters:
            p -= 0.1 * p.grad
    return parameters, [p.grad for p in parameters]


@program(data)
def a_layer_is_made_and_trained(x):
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    with tg.no_grad():
        for i, p in enumerate(net.parameters()):
            p.fill_(0.1 * i)
    optimizer = tg.optim.Adam(net.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        loss = net(x).square().mean()
        loss.backward()
        optimizer.step()
    return loss.detach(), [p.detach() for p in net.parameters()], list(net.state_dict())


@program(data)
def a_tensor_that_requires_grad(x):
    w = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    (w * x).sum().backward()
    return w, w.grad, w.is_leaf


@program(layer)
def a_parameter_is_replaced(net, x):
    before = net.weight
    net.weight = nn.Parameter(before.detach() * 2)
    (net(x) ** 2).sum().backward()
    return net.weight, net.weight.grad, net.weight is before, list(net.state_dict())


@program(layer)
def a_parameter_is_added(net, x):
    net.scale = nn.Parameter(tg.ones(2))
    net.register_parameter("shift", nn.Parameter(tg.zeros(2), requires_grad=False))
    y = (net(x) * net.scale + net.shift).detach()
    return y, list(net.state_dict()), [type(p) for p in net.parameters()], net.scale.requires_grad


@program(layer)
def a_shared_parameter_is_replaced(net, x):
    other = nn.Linear(3, 2)
    other.weight = net.weight
    net.bias = None
    return net(x), other.weight is net.weight, list(net.state_dict()), [n for n, _ in other.named_parameters()]


@program(layer)
def a_result_of_a_new_parameter(net, x):
    net.weight = nn.Parameter(net.weight.detach() * 2)
    return net(x)


@program(data, breaks=("exception",))
def no_tensor(x):
    try:
        return nn.Parameter([1.0])
    except TypeError:
        return x


@program(data, breaks=("exception",))
def integers_that_require_grad(x):
    try:
        return nn.Parameter(x.long())
    except (RuntimeError, TypeError):
        return x


@program(data, breaks=("backward",))
def written_to_before_backward(x):
    p = nn.Parameter(x * 1)
    y = (p * p).sum()
    with tg.no_grad():
        p.add_(1)
    try:
        y.backward()
    except RuntimeError:
        return p.detach()
    return p.grad
