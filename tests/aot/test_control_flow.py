"""Gradients of control flow: joint graphs against the tape, which sees the program unrolled, and finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import ir
from tracegraph.aot import differentiate, functionalise, partition_default, partition_min_cut
from tracegraph.autograd import grad
from tracegraph.dtypes import float64
from tracegraph.errors import AutogradError, IRError
from tracegraph.ir import Builder, Graph, ShapeEnv, TensorType
from tracegraph.ir.subgraphs import subgraphs
from tracegraph.ops.graphs.recording import Recorder

Function = Callable[..., Any]


def recorded(function: Function, types: Sequence[TensorType], requires_grad: Sequence[bool]) -> Graph:
    builder = Builder("f")
    recorder = Recorder(builder)
    inputs = [recorder.traced(builder.placeholder(t), r) for t, r in zip(types, requires_grad, strict=True)]
    with recorder.active():
        results = function(*inputs)
    return ir.verify(builder.output(*(r.value for r in results)))


def check(
    function: Function, *arrays: np.ndarray, requires_grad: Sequence[bool] | None = None, dynamic: bool = False
) -> Graph:
    """The joint graph computes the outputs and gradients of the tape; so do both ways to cut it. Returns it."""
    requiring = requires_grad or [a.dtype.kind == "f" for a in arrays]
    tensors = [tg.Tensor(a, requires_grad=r) for a, r in zip(arrays, requiring, strict=True)]
    outputs = function(*tensors)
    rng = np.random.default_rng(3)
    cotangents = [rng.standard_normal(o.shape) for o in outputs if o.requires_grad]
    wanted = [t for t in tensors if t.requires_grad]
    roots = [o for o in outputs if o.requires_grad]
    gradients = grad(roots, wanted, list(map(tg.Tensor, cotangents)), allow_unused=True)
    env = ShapeEnv()
    with env.active():
        sizes = {n: env.fresh(n) if dynamic and n > 1 else n for a in arrays for n in a.shape}
        types = [TensorType(t.dtype, tuple(sizes[n] for n in a.shape)) for t, a in zip(tensors, arrays, strict=True)]
        graph = recorded(function, types, requiring)
        joint = differentiate(graph, requiring)
        ir.verify(joint.graph)
        assert str(ir.parse(str(joint.graph))) == str(joint.graph)
        parts = [
            ir.verify(half)
            for p in (partition_default(joint), partition_min_cut(joint))
            for half in (p.forward, p.backward)
        ]
    assert len(parts) == 4
    found_by_tape = dict(zip((i for i, t in enumerate(tensors) if t.requires_grad), gradients, strict=True))
    expected = [o if o is None else o.detach().numpy() for o in [*outputs, *map(found_by_tape.get, joint.requiring)]]
    found = ir.interpret(joint.graph, *arrays, *cotangents)
    assert [f is None for f in found] == [e is None for e in expected]
    for a, b in zip(found, expected, strict=True):
        if b is not None:
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    return joint.graph


def arrays(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.uniform(0.3, 1.2, shape) for shape in shapes]


def piecewise(p: Any, x: Any, w: Any) -> Any:
    y = x.exp()
    return (tg.cond(p.sum() > 0, lambda a: (a * y).sin() @ w, lambda a: a @ w, (x,)), y)


@pytest.mark.parametrize("p", [1.0, -1.0])
@pytest.mark.parametrize("dynamic", [False, True])
def test_cond(p: float, dynamic: bool) -> None:
    check(piecewise, np.array([p, 0, 0]), *arrays((3,), (3, 2)), dynamic=dynamic)


@pytest.mark.parametrize("requires_grad", [(True, False, False), (False, True, False), (False, False, True)])
def test_of_some_operands(requires_grad: tuple[bool, ...]) -> None:
    graph = check(piecewise, np.array([1.0]), *arrays((3,), (3, 2)), requires_grad=requires_grad)
    conds = [n for n in graph.calls if subgraphs(n)]
    # the condition has no gradient, so nothing is computed for it
    assert len(conds) == (1 if requires_grad[0] else 2)


def test_a_gradient_that_one_branch_lacks_is_zero() -> None:
    types = [TensorType(float64, shape) for shape in ((), (3,), (3,))]
    graph = recorded(lambda p, x, y: (tg.cond(p > 0, lambda: x * 2, lambda: y * 3),), types, [False, True, True])
    joint = differentiate(graph, [False, True, True])
    for p, slopes in ((1.0, (2, 0)), (-1.0, (0, 3))):
        _, *gradients = ir.interpret(joint.graph, np.array(p), *arrays((3,), (3,)), np.ones(3))
        assert [np.asarray(g).tolist() for g in gradients] == [[s] * 3 for s in slopes]


def test_several_results_of_which_some_are_used() -> None:
    def function(p: Any, x: Any) -> Any:
        a, b, n = tg.cond(p > 0, lambda: (x * 2, x.sin(), x.argmax()), lambda: (x, x * x, x.argmin()))
        return (b.sum() + n, a.detach())

    for p in (1.0, -1.0):
        check(function, np.array(p), *arrays((4,)))


def rnn(h: Any, xs: Any, w: Any, u: Any) -> Any:
    def step(state: Any, x: Any) -> Any:
        h, n = state
        h = (h @ w + x * u).tanh()
        return (h, n + 1), {"h": h, "energy": (h * u).sum()}

    (h, n), ys = tg.scan(step, (h, (h * 0).sum().to(tg.int64)), xs)
    return h, n, ys["h"], ys["energy"]


@pytest.mark.parametrize("dynamic", [False, True])
def test_rnn(dynamic: bool) -> None:
    graph = check(rnn, *arrays((3,), (5, 3), (3, 3), (3,)), dynamic=dynamic)
    forward, backward = (n for n in graph.calls if n.call_op.name == "scan")
    assert (forward.attrs["reverse"], backward.attrs["reverse"]) == (False, True)


@pytest.mark.parametrize("requires_grad", np.eye(4, dtype=bool).tolist())
def test_rnn_with_respect_to_one_input(requires_grad: list[bool]) -> None:
    check(rnn, *arrays((3,), (5, 3), (3, 3), (3,)), requires_grad=requires_grad)


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_along_another_dimension(reverse: bool) -> None:
    def function(c: Any, x: Any) -> Any:
        return tg.scan(lambda c, x: (c * x, c + x), c, x, dim=1, reverse=reverse)

    check(function, *arrays((2,), (2, 4)), dynamic=True)


def test_a_carry_that_is_set_anew_by_every_step() -> None:
    def function(c: Any, d: Any, x: Any) -> Any:
        (c, d), ys = tg.scan(lambda s, x: ((s[1] * 2, x), s[0] * s[1]), (c, d), x)
        return c, d, ys

    check(function, *arrays((), (), (4,)))
    check(function, *arrays((), (), (4,)), requires_grad=[True, False, False])
    check(function, *arrays((), (), (4,)), requires_grad=[False, False, True])


def test_a_start_without_history() -> None:
    check(lambda w, x: tg.scan(lambda c, a: (c * w + a, c.sin()), (w * 3).detach().exp(), x), *arrays((2,), (3, 2)))


def test_steps_that_save_nothing() -> None:
    check(lambda c, x: tg.scan(lambda c, x: (c + x, -c), c, x), *arrays((2,), (3, 2)))
    check(
        lambda c, x: tg.scan(lambda c, x: (c + 1, None), c, x)[:1], *arrays((2,), (3, 2)), requires_grad=[True, False]
    )


def test_steps_without_a_gradient() -> None:
    def function(c: Any, x: Any) -> Any:
        last, ys = tg.scan(lambda c, x: (c, (x.detach() * 2, x)), c, x)
        return last, *ys

    check(function, *arrays((2,), (3, 2)))


def nested(p: Any, x: Any, w: Any) -> Any:
    def step(c: Any, row: Any) -> Any:
        c = tg.cond(c.sum() > p, lambda: c * row + 1, lambda: c @ w + row)
        inner, ys = tg.scan(lambda a, b: (a * b + w[0, 0], a), c[0], row)
        return c * inner, ys * 2

    return tg.scan(step, w[0], x)


@pytest.mark.parametrize("dynamic", [False, True])
def test_nested(dynamic: bool) -> None:
    check(nested, np.array(1.5), *arrays((4, 3), (3, 3)), requires_grad=[False, True, True], dynamic=dynamic)


def test_grad_mode_inside() -> None:
    def function(x: Any) -> Any:
        def step(c: Any, row: Any) -> Any:
            with_history = c * row
            return with_history + with_history.detach() * c, None

        return tg.scan(step, x[0], x)[:1]

    check(function, *arrays((3, 2)))


def test_slopes() -> None:
    """The joint graph of an RNN gives the slopes of finite differences."""
    inputs = arrays((3,), (5, 3), (3, 3), (3,))
    types = [TensorType(float64, a.shape) for a in inputs]
    graph = recorded(lambda *xs: (rnn(*xs)[2].sum(),), types, [True] * 4)
    joint = differentiate(graph, [True] * 4)
    gradients = ir.interpret(joint.graph, *inputs, np.array(1.0))[1:]
    for position, gradient in zip(joint.requiring, gradients, strict=True):
        direction = np.random.default_rng(position).standard_normal(inputs[position].shape)
        values = []
        for sign in (1, -1):
            moved = [a + sign * 1e-6 * direction if i == position else a for i, a in enumerate(inputs)]
            values.append(ir.interpret(graph, *moved)[0])
        measured = (values[0] - values[1]) / 2e-6
        assert float((np.asarray(gradient) * direction).sum()) == pytest.approx(float(measured), rel=1e-6)


LOOP = """graph f(%x: f64[3]) {
  %0: f64[3] = while_loop(%x, body_graph=graph g(%a: f64[3]) {
    %0: f64[3] = mul(%a, 2)
    return %0
  }, carried=1, cond_graph=graph h(%a: f64[3]) {
    %0: f64[] = sum(%a, dim=none, keepdim=false)
    %1: bool[] = lt(%0, 10)
    return %1
  }, sizes=[])
  return %0
}"""


def test_a_loop_has_none() -> None:
    with pytest.raises(AutogradError, match="while_loop in a graph has no gradient"):
        differentiate(ir.parse(LOOP), [True])
    joint = differentiate(ir.parse(LOOP), [False])
    assert not joint.differentiable


def body_with(line: str) -> str:
    return """graph f(%p: bool[], %x: f32[3]) {
  %0: f32[3] = cond(%p, %x, false_graph=graph g(%a: f32[3]) {
    return %a
  }, sizes=[], true_graph=graph h(%a: f32[3]) {
    %0: f32[3] = mul(%a, 2)
    LINE
    %2: f32[3] = exp(%0)
    return %2
  })
  return %0
}""".replace("LINE", line)


def test_bodies_are_functionalised() -> None:
    pure, _ = functionalise(ir.parse(body_with("%1: f32[] = basic_index(%0, index=[0])\n    copy_(%1, %1)")))
    assert "copy_" not in str(pure)
    graph = ir.parse(body_with("copy_(%0, %a)"))
    pure, record = functionalise(graph)
    assert not record.write_backs
    for p in (True, False):
        x = np.array([0.0, 1.0, 2.0], np.float32)
        np.testing.assert_array_equal(ir.interpret(pure, np.array(p), x), ir.interpret(graph, np.array(p), x))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("copy_(%a, %0)", "cond: h writes to %a: f32.3., a tensor from outside"),
        ("%1: i64[2] = next_key()", "cond: h draws random numbers"),
    ],
)
def test_effects_beyond_a_body_are_refused(line: str, message: str) -> None:
    with pytest.raises(IRError, match=message):
        functionalise(ir.parse(body_with(line)))
