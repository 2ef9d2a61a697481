"""cond, while_loop and scan on eager tensors, and as nodes that a recorder makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import ir
from tracegraph.autograd.gradcheck import gradcheck
from tracegraph.dtypes import bool_, float32, float64
from tracegraph.errors import ArgumentError, ControlFlowError, IRError, ShapeError
from tracegraph.ir import Builder, Graph, TensorType
from tracegraph.ops.graphs.recording import Recorder, Traced


def recorded(function: Callable[..., Any], *types: TensorType) -> Graph:
    """The graph of a function on inputs of these types."""
    builder = Builder("f")
    recorder = Recorder(builder)
    inputs = [recorder.traced(builder.placeholder(t, name)) for t, name in zip(types, "abcdef", strict=False)]
    with recorder.active():
        results = function(*inputs)
    listed = results if isinstance(results, tuple) else (results,)
    return ir.verify(builder.output(*(r.value if isinstance(r, Traced) else r for r in listed)))


def f32(*shape: int) -> TensorType:
    return TensorType(float32, shape)


# --------------------------------------------------------------------------------------------- eager


@pytest.mark.parametrize("pred", [True, 1, 2.5, np.True_])
def test_python_condition(pred: Any) -> None:
    x = tg.tensor([1.0, 2.0])
    assert tg.cond(pred, lambda a: a + 1, lambda a: a - 1, (x,)).tolist() == [2.0, 3.0]


@pytest.mark.parametrize(("pred", "wanted"), [(tg.tensor(True), 2.0), (tg.tensor([[0.0]]), 0.0), (tg.tensor(-3), 2.0)])
def test_tensor_condition(pred: tg.Tensor, wanted: float) -> None:
    assert tg.cond(pred, lambda a: a + 1, lambda a: a - 1, (tg.tensor(1.0),)).item() == wanted


def test_only_the_branch_taken_runs() -> None:
    with pytest.raises(ZeroDivisionError):
        tg.cond(tg.tensor(True), lambda: 1 // 0, lambda: tg.ones(1))
    assert tg.cond(tg.tensor(False), lambda: 1 // 0, lambda: tg.ones(1)).tolist() == [1.0]


def test_results_are_copies() -> None:
    x = tg.ones(3)
    y = tg.cond(tg.tensor(True), lambda a: [a, a[:2]], lambda a: a, [x])
    y[0].add_(1)
    y[1].add_(1)
    assert x.tolist() == [1.0, 1.0, 1.0]
    (z,) = tg.while_loop(lambda a: a.sum() < 0, lambda a: (a,), (x,))
    z.add_(1)
    last, ys = tg.scan(lambda c, a: (c, c), x, tg.ones(2))
    last.add_(1)
    ys[0].add_(1)
    assert x.tolist() == [1.0, 1.0, 1.0]
    assert ys[1].tolist() == [1.0, 1.0, 1.0]


def test_loop() -> None:
    """Collatz: how many steps from 27 to 1."""

    def step(n: tg.Tensor, steps: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
        return tg.cond(n % 2 == 0, lambda: n // 2, lambda: 3 * n + 1), steps + 1

    n, steps = tg.while_loop(lambda n, steps: n != 1, step, (tg.tensor(27), tg.tensor(0)))
    assert (n.item(), steps.item()) == (1, 111)


def test_loop_with_a_python_condition() -> None:
    (x,) = tg.while_loop(lambda a: len(a) > 5, lambda a: (a,), [tg.ones(2)])
    assert x.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_scan_is_the_loop_it_stands_for(dim: int, reverse: bool) -> None:
    xs = tg.arange(24.0).reshape(2, 3, 4)
    carry = tg.zeros(xs.movedim(dim, 0)[0].shape)
    last, (ys, nothing) = tg.scan(lambda c, x: (c * 2 + x, (c, None)), carry, xs, dim=dim, reverse=reverse)
    slices, wanted = list(xs.unbind(dim)), []
    for x in reversed(slices) if reverse else slices:
        wanted.append(carry)
        carry = carry * 2 + x
    assert nothing is None
    assert last.tolist() == carry.tolist()
    assert ys.tolist() == tg.stack(wanted[::-1] if reverse else wanted, dim).tolist()


def test_gradients_of_eager_control_flow() -> None:
    def function(x: tg.Tensor, w: tg.Tensor) -> tg.Tensor:
        y = tg.cond(x.sum() > 0, lambda a: a.exp(), lambda a: -a, (x,))
        (y,) = tg.while_loop(lambda a: a.sum() < 50, lambda a: (a * a.sum() * w[0],), (y,))
        last, ys = tg.scan(lambda c, a: ((c * w).sin() + a, c * a), w, y)
        return last.sum() + (ys * ys).sum()

    rng = np.random.default_rng(0)
    x, w = (tg.Tensor(rng.uniform(0.5, 1.5, shape), requires_grad=True) for shape in ((3,), (2,)))
    assert gradcheck(function, (x, w))


# --------------------------------------------------------------------------------------------- refusals

X = tg.ones(2, 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tg.cond(True, 3, lambda: X), ArgumentError, "'true_fn' must be callable, got int"),
        (lambda: tg.cond(True, lambda a: a, lambda a: a, X), ArgumentError, r"must be a tuple or list.*write \(x,\)"),
        (lambda: tg.cond("text", lambda: X, lambda: X), ArgumentError, r"pred must be a bool, .*, got 'text' \(str\)"),
        (lambda: tg.cond(None, lambda: X, lambda: X), ArgumentError, "pred must be a bool, .*, got None"),
        (lambda: tg.cond(X, lambda: X, lambda: X), ShapeError, r"pred must have one element, got f32\[2, 3\]"),
        (lambda: tg.while_loop(lambda a: a < 3, lambda a: (a,), (1,)), ArgumentError, "got 1 of type int; wrap"),
        (lambda: tg.while_loop(lambda: True, lambda: (), ()), ArgumentError, "holds no tensor"),
        (
            lambda: tg.while_loop(lambda a: a.sum() < 9, lambda a: a, (X,)),
            ControlFlowError,
            r"body_fn must return the carry as it takes it: takes \(f32\[2, 3\],\), returns f32\[2, 3\]",
        ),
        (
            lambda: tg.while_loop(lambda a: a.sum() < 9, lambda a: (a.sum(),), (X,)),
            ControlFlowError,
            r"takes \(f32\[2, 3\],\), returns \(f32\[\],\)",
        ),
        (lambda: tg.scan(lambda c, x: (c, x), X, X, dim=2), tg.errors.IndexRangeError, "dim=2 is out of range"),
        (lambda: tg.scan(lambda c, x: (c, x), X, [X, tg.ones(3)]), ShapeError, r"differ: \[2, 3\]"),
        (lambda: tg.scan(lambda c, x: (c, x), X, tg.ones(0)), ShapeError, "size 0"),
        (lambda: tg.scan(lambda c, x: (c, x), X, tg.tensor(1)), ShapeError, "0-d tensor"),
        (lambda: tg.scan(lambda c, x: c, X, X), ControlFlowError, r"must return \(carry, y\), returned a tensor"),
        (lambda: tg.scan(lambda c, x: (c[0], x), X, X), ControlFlowError, r"takes f32\[2, 3\], returns f32\[3\]"),
        (lambda: tg.scan(lambda c, x: (c, 3), X, X), ControlFlowError, "y must hold tensors or None, got 3"),
        (lambda: tg.scan(lambda c, x: (c, x), X, None), ArgumentError, "'xs' must hold tensors only, got None"),
    ],
)
def test_refusals(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_ys_that_vary_are_refused() -> None:
    sizes = iter([1, 2])
    with pytest.raises(ControlFlowError, match=r"returned y of f32\[1\], then of f32\[2\]"):
        tg.scan(lambda c, x: (c, tg.ones(next(sizes))), X, X)


# --------------------------------------------------------------------------------------------- nodes


def test_a_node() -> None:
    def function(p: Any, x: Any) -> Any:
        y = x * 2
        return tg.cond(p, lambda a: a + y, lambda a: a.exp(), (x,))

    graph = recorded(function, TensorType(bool_, ()), f32(3))
    assert str(graph) == (
        """graph f(%a: bool[], %b: f32[3]) {
  %0: f32[3] = mul(%b, 2)
  %1: f32[3] = cond(%a, %b, %0, false_graph=graph false_fn(%arg0: f32[3], %arg1: f32[3]) {
    %0: f32[3] = exp(%arg0)
    return %0
  }, sizes=[], true_graph=graph true_fn(%arg0: f32[3], %arg1: f32[3]) {
    %0: f32[3] = add(%arg0, %arg1)
    return %0
  })
  return %1
}"""
    )
    assert str(ir.parse(str(graph))) == str(graph)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda x: tg.cond(x.sum() > 0, lambda a: (a, a), lambda a: a.sum(), (x,)),
            r"true_fn gives \(f32\[2, 3\], f32\[2, 3\]\), false_fn gives f32\[\]",
        ),
        (
            lambda x: tg.cond(x.sum() > 0, lambda a: a, lambda a: a.to(float64), (x,)),
            r"true_fn gives f32\[2, 3\], false_fn gives f64\[2, 3\]",
        ),
        (
            lambda x: tg.cond(x.sum() > 0, lambda a: (a, 1), lambda a: (a, 2), (x,)),
            r"\(f32\[2, 3\], 1\).*\(f32\[2, 3\], 2\)",
        ),
        (
            lambda x: tg.cond(x.sum() > 0, object, object),
            "true_fn returns an object of type object",
        ),
        (lambda x: tg.while_loop(lambda a: a.sum() > 0, lambda a: (a[0],), (x,)), r"returns \(f32\[3\],\)"),
        (lambda x: tg.scan(lambda c, a: (c.sum(), a), x[0], x), r"takes f32\[3\], returns f32\[\]"),
        (
            lambda x: tg.cond(x.sum() > 0, lambda a: a.add_(1), lambda a: a, (x,)),
            "true_fn writes to a tensor from outside",
        ),
        (
            lambda x: tg.cond(x.sum() > 0, lambda a: a + tg.rand(3, generator=tg.Generator()), lambda a: a, (x,)),
            "true_fn calls next_key",
        ),
        (
            lambda x: tg.while_loop(lambda a: tg.rand(()) < 1, lambda a: (a,), (x,)),
            "cond_fn draws random numbers; draw them in body_fn",
        ),
    ],
)
def test_what_cannot_be_a_node(function: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(ControlFlowError, match=message):
        recorded(function, f32(2, 3))


def test_no_gradient_of_a_recorded_loop() -> None:
    builder = Builder("f")
    x = Recorder(builder).traced(builder.placeholder(f32(3)), requires_grad=True)
    with pytest.raises(ControlFlowError, match="while_loop in a graph has no gradient"):
        tg.while_loop(lambda a: a.sum() < 9, lambda a: (a * 2,), (x,))
    with pytest.raises(ControlFlowError, match="while_loop in a graph has no gradient"):
        tg.while_loop(lambda a: a.sum() < 9, lambda a: (a + x,), (x.detach(),))


def test_requires_grad_of_results() -> None:
    builder = Builder("f")
    recorder = Recorder(builder)
    x, y = (recorder.traced(builder.placeholder(f32(3)), requires) for requires in (True, False))
    a, b, c = tg.cond(y.sum() > 0, lambda: (x * 2, y, y), lambda: (y, y, x), ())
    assert [t.requires_grad for t in (a, b, c)] == [True, False, True]
    (first, second), ys = tg.scan(lambda carry, row: ((carry[1], carry[0] + row), carry[0]), (y[0], y[1]), x)
    assert [t.requires_grad for t in (first, second, ys)] == [True, True, True]
    recorder.grad_enabled = False
    assert not tg.cond(y.sum() > 0, lambda: x, lambda: x).requires_grad


COND = """graph f(%p: bool[], %x: f32[3]) {
  %0: f32[3] = cond(%p, %x, false_graph=graph g(%a: f32[3]) {
    return %a
  }, sizes=[SIZES], true_graph=graph h(%a: f32[3]) {
    %0: f32[3] = exp(%a)
    return RETURNED
  })
  return %0
}"""


def test_text_by_hand() -> None:
    graph = ir.parse(COND.replace("SIZES", "").replace("RETURNED", "%0"))
    x = np.array([0.0, 1.0, 2.0], np.float32)
    for pred, wanted in ((True, np.exp(x)), (False, x)):
        (found,) = ir.interpret(graph, np.array(pred), x)
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
        assert not np.may_share_memory(found, x)


@pytest.mark.parametrize(
    ("sizes", "returned", "message"),
    [
        ("", "%0, %0", "true_graph gives .* false_graph"),
        ("", "3.0", "every output of true_graph must be a value"),
        ("4", "%0", "sizes must be the values of"),
    ],
)
def test_nodes_that_are_refused(sizes: str, returned: str, message: str) -> None:
    with pytest.raises(IRError, match=message):
        ir.parse(COND.replace("SIZES", sizes).replace("RETURNED", returned))


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ("cond(%i, %x, false_graph=G, sizes=[], true_graph=G)", r"the condition must be bool\[\]"),
        ("cond(%p, %i, false_graph=G, sizes=[], true_graph=G)", r"true_graph takes \(f32\[3\]\), is given \(i64\[\]\)"),
        ("while_loop(%x, body_graph=G, carried=1, cond_graph=G, sizes=[])", r"cond_graph must give bool\[\]"),
        ("scan(%x, %x, body=G, carried=1, reverse=false, scanned=1, sizes=[])", r"body takes \(f32\[3\]\)"),
        ("scan(%x, %i, body=G, carried=1, reverse=false, scanned=1, sizes=[])", "no common first size"),
    ],
)
def test_operands_that_do_not_fit(node: str, message: str) -> None:
    text = "graph f(%p: bool[], %i: i64[], %x: f32[3]) {\n  %0: f32[3] = " + node.replace(
        "G", "graph g(%a: f32[3]) {\n    return %a\n  }"
    )
    with pytest.raises(IRError, match=message):
        ir.parse(text + "\n  return %0\n}")


# --------------------------------------------------------------------------------------------- associative_scan


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 13])
def test_associative_scan_is_the_running_combination(size: int, reverse: bool) -> None:
    """Products of matrices, which do not commute."""
    rng = np.random.default_rng(size)
    xs = tg.Tensor(rng.standard_normal((2, size, 3, 3)))
    found = tg.associative_scan(lambda a, b: b @ a, xs, dim=1, reverse=reverse)
    wanted: list[tg.Tensor] = []
    for x in reversed(list(xs.unbind(1))) if reverse else xs.unbind(1):
        wanted.append(x @ wanted[-1] if wanted else x)
    np.testing.assert_allclose(found.numpy(), tg.stack(wanted[::-1] if reverse else wanted, 1).numpy(), rtol=1e-10)


def test_associative_scan_of_trees() -> None:
    xs = {"total": tg.arange(6.0), "largest": tg.tensor([3, 1, 4, 1, 5, 9])}
    found = tg.associative_scan(
        lambda a, b: {"total": a["total"] + b["total"], "largest": a["largest"].maximum(b["largest"])}, xs
    )
    assert found["total"].tolist() == [0.0, 1.0, 3.0, 6.0, 10.0, 15.0]
    assert found["largest"].tolist() == [3, 3, 4, 4, 5, 9]


def test_associative_scan_is_logarithmic() -> None:
    calls = []
    tg.associative_scan(lambda a, b: calls.append(1) or a + b, tg.ones(1000))
    assert len(calls) < 2 * 10


def test_associative_scan_refuses_what_changes_shape() -> None:
    with pytest.raises(ControlFlowError, match=r"takes f32\[2\], returns f32\[\]"):
        tg.associative_scan(lambda a, b: (a + b).sum(), tg.ones(4))
    with pytest.raises(ShapeError, match="associative_scan: the scanned dimension has size 0"):
        tg.associative_scan(lambda a, b: a, tg.ones(0))


@pytest.mark.parametrize(("dim", "shape"), [(0, (5, 2)), (1, (2, 5)), (-1, (2, 5))])
def test_scanned_results_are_stacked_along_the_scanned_dimension(dim: int, shape: tuple[int, ...]) -> None:
    xs = tg.arange(10.0).view(shape)
    _, (rows, sums) = tg.scan(lambda c, x: (c + x, (x * 2, x.sum())), tg.zeros(2), xs, dim=dim)
    assert rows.tolist() == (xs * 2).tolist()
    assert sums.tolist() == xs.sum(1 if dim == 0 else 0).tolist()
