"""cond, while_loop and scan through the whole compiler: values, gradients, errors, training, as eager."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import nn, optim
from tracegraph.compiler import stages
from tracegraph.ops.graphs.structure import flatten

BACKENDS = ["llvm", "interpreter", "eager"]
each_backend = pytest.mark.parametrize("backend", BACKENDS)


def values(*shape: int, requires_grad: bool = False) -> tg.Tensor:
    rng = np.random.default_rng(sum(shape))
    return tg.Tensor(rng.standard_normal(shape).astype(np.float32), requires_grad=requires_grad)


def same(a: Any, b: Any) -> None:
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=2e-5, atol=2e-6)


def compare(
    function: Callable[..., tg.Tensor], *make: Callable[[], list[tg.Tensor]], backend: str, **options: Any
) -> None:
    """Results and gradients of the compiled function, one graph, are eager's, for each set of arguments."""
    compiled = tg.compile(function, backend=backend, fullgraph=True, **options)
    for arguments in make:
        mine, theirs = arguments(), arguments()
        a, b = compiled(*mine), function(*theirs)
        same(a, b)
        assert a.requires_grad == b.requires_grad
        if b.requires_grad:
            a.sum().backward()
            b.sum().backward()
            for x, y in zip(mine, theirs, strict=True):
                assert (x.grad is None) == (y.grad is None)
                if y.grad is not None:
                    same(x.grad, y.grad)


def huber(x: tg.Tensor) -> tg.Tensor:
    """A function in pieces: quadratic for small residuals, linear for large ones."""
    size = x.abs().max()
    return tg.cond(size < 1, lambda a: a * a / 2, lambda a: a.abs() - 0.5, (x,))


@each_backend
def test_piecewise_function(backend: str) -> None:
    def scaled(factor: float) -> Callable[[], list[tg.Tensor]]:
        return lambda: [(values(3, 4) * factor).detach().requires_grad_()]

    compare(huber, scaled(0.1), scaled(3.0), backend=backend)
    compare(huber, *(lambda n=n: [values(n, 3)] for n in (2, 5, 9)), backend=backend, dynamic=True)


def power_iteration(a: tg.Tensor, v: tg.Tensor) -> tg.Tensor:
    def improved(step: tg.Tensor, v: tg.Tensor, change: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor, tg.Tensor]:
        w = a @ v
        w = w / w.norm()
        return step + 1, w, (w - v).abs().max()

    start = (tg.tensor(0), v / v.norm(), tg.tensor(1.0))
    _, v, _ = tg.while_loop(lambda step, v, change: (change > 1e-6) & (step < 500), improved, start)
    return v @ a @ v


@each_backend
def test_power_iteration(backend: str) -> None:
    def arguments(n: int) -> Callable[[], list[tg.Tensor]]:
        return lambda: [values(n, n).T @ values(n, n), tg.ones(n)]

    compare(power_iteration, arguments(4), arguments(7), backend=backend)
    compare(power_iteration, *map(arguments, (3, 5, 6)), backend=backend, dynamic=True)
    a, _ = arguments(6)()
    found = tg.compile(power_iteration, backend=backend)(a, tg.ones(6)).item()
    assert found == pytest.approx(float(np.linalg.eigvalsh(a.numpy())[-1]), rel=1e-4)


class LSTM(nn.Module):
    """A recurrent classifier: its cell is scanned over the sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(3, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, xs: tg.Tensor) -> tg.Tensor:
        def step(state: tuple[tg.Tensor, tg.Tensor], x: tg.Tensor) -> Any:
            h, c = self.cell(x, state)
            return (h, c), h

        zeros = tg.zeros(xs.shape[1], 8)
        _, hs = tg.scan(step, (zeros, zeros), xs)
        return self.head(hs.mean(0))


@each_backend
@pytest.mark.parametrize("dynamic", [False, None])
def test_an_rnn_trains_alike(backend: str, dynamic: bool | None) -> None:
    losses: list[list[float]] = []
    for compiled in (False, True):
        tg.manual_seed(0)
        model = LSTM()
        optimizer = optim.SGD(model.parameters(), lr=0.5)
        call: Any = tg.compile(model, backend=backend, fullgraph=True, dynamic=dynamic) if compiled else model
        listed = []
        for length in (5, 5, 7, 6, 7):
            loss = nn.functional.cross_entropy(call(values(length, 4, 3)), tg.tensor([0, 1, 1, 0]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            listed.append(loss.item())
        losses.append(listed)
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def rnn(h: tg.Tensor, xs: tg.Tensor, w: tg.Tensor) -> tg.Tensor:
    def step(h: tg.Tensor, x: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
        h = tg.cond(h.sum() > 0, lambda: tg.tanh(h @ w + x), lambda: tg.tanh(x - h @ w))
        return h, (h * x).sum()

    last, energies = tg.scan(step, h, xs, reverse=True)
    return last.sum() + energies


def unrolled(h: tg.Tensor, xs: tg.Tensor, w: tg.Tensor) -> tg.Tensor:
    energies = []
    for x in reversed(list(xs.unbind(0))):
        h = (h @ w + x).tanh() if h.sum() > 0 else (x - h @ w).tanh()
        energies.append((h * x).sum())
    return h.sum() + tg.stack(energies[::-1])


@each_backend
def test_scan_is_the_loop_unrolled(backend: str) -> None:
    def arguments() -> list[tg.Tensor]:
        return [values(*shape, requires_grad=True) for shape in ((3,), (6, 3), (3, 3))]

    compare(rnn, arguments, backend=backend)
    mine, theirs = arguments(), arguments()
    a, b = tg.compile(rnn, backend=backend)(*mine), unrolled(*theirs)
    same(a, b)
    a.sum().backward()
    b.sum().backward()
    for x, y in zip(mine, theirs, strict=True):
        same(x.grad, y.grad)


@each_backend
def test_errors_inside_a_body_are_eagers(backend: str) -> None:
    def function(x: tg.Tensor, i: tg.Tensor) -> tg.Tensor:
        def step(i: tg.Tensor, total: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
            return i + 1, total + x.index_select(0, i.reshape(1))[0]

        return tg.while_loop(lambda i, total: i < 9, step, (i, tg.tensor(0.0)))[1]

    x = values(10)
    compiled = tg.compile(function, backend=backend, fullgraph=True)
    same(compiled(x, tg.tensor(3)), function(x, tg.tensor(3)))
    with pytest.raises(IndexError) as expected:
        function(x, tg.tensor(-20))
    with pytest.raises(type(expected.value)) as found:
        compiled(x, tg.tensor(-20))
    assert str(found.value) == str(expected.value)


@each_backend
def test_results_share_memory_with_nothing(backend: str) -> None:
    compiled = tg.compile(lambda p, x: tg.cond(p, lambda: [x, x], lambda: [x[:], x]), backend=backend, fullgraph=True)
    x = tg.ones(3)
    for p in (True, False):
        a, b = compiled(tg.tensor(p), x)
        a.add_(1)
        assert (x.tolist(), b.tolist()) == ([1.0] * 3, [1.0] * 3)


@pytest.mark.parametrize("dynamic", [False, True])
@each_backend
def test_second_derivatives(backend: str, dynamic: bool) -> None:
    results = []
    for call in (rnn, tg.compile(rnn, backend=backend, fullgraph=True, dynamic=dynamic)):
        inputs = [values(*shape, requires_grad=True) for shape in ((3,), (5, 3), (3, 3))]
        gradients = tg.autograd.grad((call(*inputs) ** 2).sum(), inputs, create_graph=True)
        penalty = (gradients[0] * gradients[2].sum(0)).sum() + (gradients[1] ** 2).sum()
        results.append([*gradients, *tg.autograd.grad(penalty, inputs)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(b.detach().numpy(), a.detach().numpy(), rtol=1e-3, atol=1e-4)


@each_backend
def test_a_write_before_backward_to_what_a_body_reads_is_refused(backend: str) -> None:
    for call in (rnn, tg.compile(rnn, backend=backend, fullgraph=True)):
        h, xs, w = ((values(*shape, requires_grad=True) * 1) for shape in ((3,), (5, 3), (3, 3)))
        out = call(h, xs, w).sum()
        with tg.no_grad():
            w.mul_(2)
        with pytest.raises(tg.TracegraphError, match=r"of shape \[3, 3\], was modified by an in-place operation"):
            out.backward()


@pytest.mark.usefixtures("native")
def test_bodies_are_compiled() -> None:
    with stages.recorded() as log:
        tg.compile(power_iteration, fullgraph=True)(tg.eye(3), tg.ones(3))
    titles = {(p.stage, p.title) for p in log}
    assert {("lower", "body_fn"), ("emit", "body_fn"), ("load", "cond_fn")} <= titles


UNTAKEN: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "one operand each": (lambda x, y: x * 2, lambda x, y: y * 3),
    "an operand that neither reads": (lambda x, y: x * 2, lambda x, y: x.exp()),
    "an operand as it is": (lambda x, y: x * 2, lambda x, y: y),
    "detached": (lambda x, y: x * 2, lambda x, y: (x * y).detach()),
    "several results": (lambda x, y: {"a": (x * 2, x > 0), "b": [y * 1]}, lambda x, y: {"a": (y, x > 1), "b": [x * 3]}),
}


@pytest.mark.parametrize("name", UNTAKEN)
def test_what_only_the_other_branch_reads_has_zeros_for_a_gradient(name: str) -> None:
    branches = UNTAKEN[name]
    for pred in (True, False):
        for shape in ((3,), (2, 2)):
            seen = []
            for compiled in (False, True):
                call: Any = tg.compile(tg.cond, backend="eager") if compiled else tg.cond
                x, y = values(*shape, requires_grad=True), values(*shape, requires_grad=True)
                found, _ = flatten(call(tg.tensor(pred), *branches, (x, y)))
                floats = [t for t in found if t.dtype.is_floating]
                tg.stack([t.sum() for t in floats]).sum().backward()
                gradients = [t.grad if t.grad is None else t.grad.tolist() for t in (x, y)]
                seen.append((gradients, [t.requires_grad for t in found], [t.tolist() for t in found]))
            assert seen[0] == seen[1]


def test_parameters_that_only_the_other_branch_reads() -> None:
    small, large = nn.Linear(2, 2), nn.Linear(2, 2)
    for _ in range(2):
        x = values(4, 2)
        tg.cond(x.sum() > 1e9, large, small, (x,)).sum().backward()
        assert (large.weight.grad == 0).all() and (small.weight.grad != 0).any()
    with tg.no_grad():
        assert not tg.cond(x.sum() > 1e9, large, small, (x,)).requires_grad


def test_the_other_branch_is_not_run() -> None:
    seen: list[str] = []
    x = values(3, requires_grad=True)

    def untaken(x: tg.Tensor) -> tg.Tensor:
        seen.append("run")
        print("run")
        raise ValueError(float(x.sum()))

    tg.cond(tg.tensor(True), lambda x: x * 2, untaken, (x,)).sum().backward()
    assert (seen, x.grad.tolist()) == ([], [2.0] * 3)


def test_backends_that_run_a_graph_op_by_op_see_the_other_branch_too() -> None:
    compiled = tg.compile(tg.cond, backend=lambda module, inputs: module)
    x, y = values(3, requires_grad=True), values(3, requires_grad=True)
    compiled(tg.tensor(True), *UNTAKEN["one operand each"], (x, y)).sum().backward()
    assert (x.grad.tolist(), y.grad.tolist()) == ([2.0] * 3, [0.0] * 3)
