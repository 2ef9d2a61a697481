"""Derivatives as functions: known answers, nesting, what keeps a history; eager and captured in one graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from captured import capture_of, check

import tracegraph as tg
from tracegraph import nn
from tracegraph.errors import ArgumentError, ShapeError
from tracegraph.func import functional_call, grad, grad_and_value, hessian, jacfwd, jacrev, jvp, vjp

X, Y = np.array([1.0, 2.0, 0.5]), np.array([0.3, -1.0, 2.0])


def cube(x: tg.Tensor) -> tg.Tensor:
    return (x**3).sum()


def several(x: tg.Tensor, y: tg.Tensor) -> dict[str, Any]:
    return {"a": (x * y).sin(), "b": [x.sum() * y]}


def pulled_back(x: tg.Tensor, y: tg.Tensor) -> Any:
    output, pull_back = vjp(several, x, y)
    return output, pull_back({"a": tg.ones_like(x), "b": [x]}), pull_back({"a": x, "b": [y]})


def pulled_back_once(x: tg.Tensor, y: tg.Tensor) -> Any:
    output, pull_back, aux = vjp(lambda x: (x.exp(), x + 1), x, has_aux=True)
    return output, pull_back(y), aux


def pulled_back_gradient(x: tg.Tensor, y: tg.Tensor) -> Any:
    gradient, pull_back = vjp(grad(cube), x)
    return gradient, pull_back(y), pull_back(x)


def doubly_pulled_back(x: tg.Tensor, y: tg.Tensor) -> Any:
    output, pull_back = vjp(lambda x: vjp(tg.sin, x)[1](y)[0], x)
    return output, pull_back(y)


def written(x: tg.Tensor) -> tg.Tensor:
    """The sum of 2 x ** 3 but for the first element, whose cube counts three times, by writes in place."""
    y = x * 2
    y.mul_(x)
    y.mul_(x)
    y[:1].mul_(1.5)
    return y.sum()


COS, EYE = np.diag(np.cos(X * Y)), np.eye(3)
#: programs with what they give at X and Y
PROGRAMS: dict[str, tuple[Callable[..., Any], Any]] = {
    "grad": (lambda x, y: grad(cube)(x), 3 * X**2),
    "grad of grad": (lambda x, y: grad(lambda x: grad(cube)(x).sum())(x), 6 * X),
    "tree": (lambda x, y: grad(lambda p, x: (p["w"] * x).sum())({"w": y}, x), {"w": X}),
    "argnums": (grad(lambda x, y: (x * y).sum(), argnums=(1, -2)), (X, Y)),
    "aux": (lambda x, y: grad(lambda x: (cube(x), x * 2), has_aux=True)(x), (3 * X**2, 2 * X)),
    "value": (lambda x, y: grad_and_value(cube)(x), (3 * X**2, (X**3).sum())),
    "value and aux": (
        lambda x, y: grad_and_value(lambda x: (cube(x), [x]), has_aux=True)(x),
        (3 * X**2, ((X**3).sum(), [X])),
    ),
    "unused": (grad(lambda x, y: y.sum()), np.zeros(3)),
    # d/dx of x0 * d/dy (y . x)[0] is that of x0 * x0: the two derivatives are kept apart
    "perturbations": (
        lambda x, y: grad(lambda x: x[0] * grad(lambda z: (z * x).sum())(y)[0])(x),
        np.array([2 * X[0], 0, 0]),
    ),
    "vjp": (
        pulled_back,
        (
            {"a": np.sin(X * Y), "b": [X.sum() * Y]},
            (np.cos(X * Y) * Y + (X * Y).sum(), np.cos(X * Y) * X + X * X.sum()),
            (np.cos(X * Y) * X * Y + (Y * Y).sum(), np.cos(X * Y) * X * X + Y * X.sum()),
        ),
    ),
    "vjp with aux": (pulled_back_once, (np.exp(X), (np.exp(X) * Y,), X + 1)),
    "vjp of grad": (pulled_back_gradient, (3 * X**2, (6 * X * Y,), (6 * X * X,))),
    "vjp of vjp": (doubly_pulled_back, (np.cos(X) * Y, (-np.sin(X) * Y * Y,))),
    "jvp of vjp": (
        lambda x, y: jvp(lambda x: vjp(tg.sin, x)[1](y)[0], (x,), (y,)),
        (np.cos(X) * Y, -np.sin(X) * Y * Y),
    ),
    "grad of vjp": (lambda x, y: grad(lambda x: vjp(tg.exp, x)[1](y)[0].sum())(x), np.exp(X) * Y),
    "grad of writes": (lambda x, y: grad(written)(x), np.array([9, 6, 6]) * X**2),
    "hessian of writes": (lambda x, y: hessian(written)(x), np.diag([18, 12, 12] * X)),
    "jvp": (
        lambda x, y: jvp(several, (x, y), (y, x)),
        (
            {"a": np.sin(X * Y), "b": [X.sum() * Y]},
            {"a": np.cos(X * Y) * (X * X + Y * Y), "b": [Y.sum() * Y + X.sum() * X]},
        ),
    ),
    "jvp with aux": (lambda x, y: jvp(lambda x: (x * x, x + 1), (x,), (y,), has_aux=True), (X * X, 2 * X * Y, X + 1)),
    "jvp of grad": (lambda x, y: jvp(grad(cube), (x,), (y,)), (3 * X**2, 6 * X * Y)),
    "jacrev": (jacrev(several), {"a": COS * Y, "b": [np.outer(Y, np.ones(3))]}),
    "jacfwd": (
        jacfwd(several, (1, 0)),
        {"a": (COS * X, COS * Y), "b": [(X.sum() * EYE, np.outer(Y, np.ones(3)))]},
    ),
    "jacobian with aux": (lambda x, y: jacrev(lambda x: (x * x, x), has_aux=True)(x), (np.diag(2 * X), X)),
    "jacobian of shapes": (lambda x, y: jacfwd(lambda x: x.reshape(3, 1))(x), EYE.reshape(3, 1, 3)),
    "hessian": (lambda x, y: hessian(cube)(x), np.diag(6 * X)),
    "mixed hessian": (
        hessian(lambda x, y: (x * x * y).sum(), argnums=(0, 1)),
        ((np.diag(2 * Y), np.diag(2 * X)), (np.diag(2 * X), np.zeros((3, 3)))),
    ),
    "forward over backward": (lambda x, y: jacfwd(jacrev(cube))(x), np.diag(6 * X)),
}


def same(found: Any, wanted: Any) -> None:
    if isinstance(wanted, dict):
        assert list(found) == list(wanted)
        same(tuple(found.values()), tuple(wanted.values()))
    elif isinstance(wanted, tuple | list):
        assert type(found) is type(wanted) and len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            same(one, other)
    else:
        assert found.shape == np.shape(wanted)
        np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("requires_grad", [False, True], ids=["constant", "tracked"])
@pytest.mark.parametrize("is_captured", [False, True], ids=["eager", "captured"])
@pytest.mark.parametrize(("program", "wanted"), PROGRAMS.values(), ids=PROGRAMS)
def test_known_answers(program: Callable[..., Any], wanted: Any, is_captured: bool, requires_grad: bool) -> None:
    function = capture_of(program, fullgraph=True) if is_captured else program
    x, y = (tg.tensor(v, requires_grad=requires_grad) for v in (X, Y))
    found = function(x, y)
    same(found, wanted)
    if not requires_grad:
        assert not any(t.requires_grad for t in tg.utils._pytree.tree_leaves(found))
    assert x.grad is None and y.grad is None


@pytest.mark.parametrize("is_captured", [False, True], ids=["eager", "captured"])
def test_histories_of_the_surroundings_are_kept(is_captured: bool) -> None:
    """A penalty on the gradient by the input, differentiated by the parameters."""
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))

    def penalty(x: tg.Tensor) -> tg.Tensor:
        return grad(lambda x: net(x).sum())(x).pow(2).sum()

    x = tg.tensor(X, dtype=tg.float32)
    penalty(x).backward()
    wanted = [p.grad.numpy() for p in net.parameters() if p.grad is not None]
    for p in net.parameters():
        p.grad = None
    function = tg.compile(penalty, fullgraph=True) if is_captured else penalty
    function(x).backward()
    found = [p.grad.numpy() for p in net.parameters() if p.grad is not None]
    by_hand = x.clone().requires_grad_()
    (slope,) = tg.autograd.grad(net(by_hand).sum(), by_hand, create_graph=True)
    by_parameters = tg.autograd.grad(slope.pow(2).sum(), list(net.parameters()), allow_unused=True)
    for grads in (wanted, found):
        for g, w in zip(grads, [g for g in by_parameters if g is not None], strict=True):
            np.testing.assert_allclose(g, w.numpy(), rtol=1e-4, atol=1e-6)


def test_gradients_of_parameters_as_arguments() -> None:
    net = nn.Linear(3, 1)

    def loss(parameters: dict[str, tg.Tensor], x: tg.Tensor) -> tg.Tensor:
        return functional_call(net, parameters, x).sum()

    parameters = {n: p.detach() for n, p in net.named_parameters()}
    x = tg.tensor(X, dtype=tg.float32)
    for function in (grad(loss), capture_of(grad(loss), fullgraph=True)):
        found = function(parameters, x)
        assert found["weight"].tolist() == [X.tolist()] and found["bias"].tolist() == [1.0]


def test_no_grad_outside_and_inside() -> None:
    x = tg.tensor(X, requires_grad=True)
    with tg.no_grad():
        outside = grad(cube)(x)
        value, pull_back = vjp(cube, x)
        (pulled_back,) = pull_back(tg.tensor(1.0, dtype=tg.float64))
    same(outside, 3 * X**2)
    same(pulled_back, 3 * X**2)
    assert not outside.requires_grad and not value.requires_grad and not pulled_back.requires_grad

    def half(x: tg.Tensor) -> tg.Tensor:
        with tg.no_grad():
            constant = x * 1
        return (x * constant).sum()

    same(grad(half)(x), X)


def test_a_derivative_that_breaks_the_graph_has_the_histories_of_eager() -> None:
    """What begins at tensors of its own ends with it, although the tape has it by then."""

    def program(x: tg.Tensor) -> Any:
        def f(y: tg.Tensor) -> tg.Tensor:
            print("called")
            return (y * x).sum()

        return grad(f)(x * 2)

    check(program, lambda: (tg.tensor(X),), lambda: (tg.tensor(X, requires_grad=True),), breaks=None)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (grad(lambda x: x), ShapeError, r"without dimensions, got one of shape \[3\]"),
        (grad(lambda x: 1.0), ArgumentError, "must return a tensor, got float"),
        (grad(cube, argnums=1), ArgumentError, "argnums=1 of a call with 1"),
        (lambda x: grad(cube)(x.long()), ArgumentError, "must be floating tensors, got a tensor of dtype"),
        (lambda x: grad(cube)(2.0), ArgumentError, "must be floating tensors, got float"),
        (grad(cube, has_aux=True), ArgumentError, r"the pair \(result, aux\)"),
        (lambda x: vjp(cube, x)[1](x), ShapeError, r"shape \[3\] for one of \[\]"),
        (lambda x: vjp(cube, x)[1]((x,)), ArgumentError, "in the structure of"),
        (lambda x: jvp(cube, (x,), (x, x)), ArgumentError, "tuples of the same length"),
        (lambda x: jvp(cube, x, x), ArgumentError, "must be tuples"),
        (jacrev(lambda x: 1), ArgumentError, "must return tensors, got int"),
    ],
)
def test_errors(call: Callable[..., Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(tg.tensor(X))
