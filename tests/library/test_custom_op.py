"""Custom ops: eager, captured, compiled, differentiated, writing to arguments."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import Tensor, ir, library
from tracegraph.capture.compiled_function import family_of
from tracegraph.errors import ArgumentError, AutogradError
from tracegraph.ops.graphs.graph_module import GraphModule

STRICT = {"strict": True, "verify": True}


@pytest.fixture(params=["eager", "interpreter", "llvm"])
def compile(request):
    return lambda f, **kwargs: tg.compile(f, backend=request.param, fullgraph=True, options=STRICT, **kwargs)


def breaks_of(function):
    return [stop.reason.id for _, stop in family_of(function).breaks]


def graphs_of(function):
    return [s.graph for u in family_of(function).units.values() for s in u.specialisations if s.graph is not None]


# ------------------------------------------------------------------------------------------------ the ops


@library.custom_op("test::cube")
def cube(x: Tensor, scale: float = 1.0) -> Tensor:
    """x ** 3 times a scale, by numpy."""
    return tg.from_numpy(x.numpy() ** 3 * np.float32(scale))


@cube.register_fake
def _(x, scale):
    return tg.empty_like(x)


def _cube_setup(ctx, inputs, output):
    x, scale = inputs
    ctx.save_for_backward(x)
    ctx.scale = scale


def _cube_backward(ctx, g):
    (x,) = ctx.saved_tensors
    return g * 3 * x * x * ctx.scale, None


cube.register_autograd(_cube_backward, setup_context=_cube_setup)


@library.custom_op("test::joined")
def joined(xs: list[Tensor], bias: Tensor | None, *, times: int = 1) -> tuple[Tensor, Tensor]:
    both = np.concatenate([x.numpy() for x in xs] * times)
    return tg.from_numpy(both if bias is None else both + bias.numpy()), tg.from_numpy(np.argsort(both))


@joined.register_fake
def _(xs, bias, *, times):
    n = sum(x.shape[0] for x in xs) * times
    return xs[0].new_empty((n,)), tg.empty((n,), dtype=tg.int64)


def _joined_setup(ctx, inputs, keyword_only_inputs, output):
    xs, bias = inputs
    ctx.sizes = [x.shape[0] for x in xs]
    ctx.times = keyword_only_inputs["times"]
    ctx.has_bias = bias is not None


def _joined_backward(ctx, g, g_order):
    parts = g.split(ctx.sizes * ctx.times)
    grads = [sum(parts[i :: len(ctx.sizes)]) for i in range(len(ctx.sizes))]
    return grads, g.sum() if ctx.has_bias else None, None


joined.register_autograd(_joined_backward, setup_context=_joined_setup)


@library.custom_op("test::add_into", mutates_args=("out",))
def add_into(x: Tensor, out: Tensor, factor: int = 1) -> None:
    out.numpy()[...] += x.numpy() * factor


@library.custom_op("test::pop_max", mutates_args="x")
def pop_max(x: Tensor) -> Tensor:
    a = x.numpy()
    i = a.argmax()
    found = a[i].copy()
    a[i] = -np.inf
    return tg.from_numpy(np.asarray(found))


@pop_max.register_fake
def _(x):
    return x.new_empty(())


@library.custom_op("test::positive")
def positive(x: Tensor) -> Tensor:
    """The elements above 0: how many is known when it has run."""
    return tg.from_numpy(x.numpy()[x.numpy() > 0])


# ------------------------------------------------------------------------------------------------ calls


def test_an_op_is_called_like_its_function():
    x = tg.tensor([1.0, 2.0])
    assert cube(x).tolist() == [1.0, 8.0]
    assert cube(x, scale=2).tolist() == cube(x, 2.0).tolist() == [2.0, 16.0]
    assert cube.__name__ == "test::cube"
    assert "by numpy" in cube.__doc__
    assert copy.deepcopy(cube) is cube
    assert pickle.loads(pickle.dumps(cube)) is cube
    for bad in ((), (3,), (x, "a"), (x, 1.0, 2)):
        with pytest.raises(ArgumentError, match="test::cube"):
            cube(*bad)


def test_one_node_in_the_graph(compile):
    f = compile(lambda x: cube(x * 2, 3.0) + 1)
    x = tg.tensor([1.0, 2.0])
    assert f(x).tolist() == [25.0, 193.0]
    (graph,) = graphs_of(f)
    assert [n.call_op.name for n in graph.calls] == ["mul", "test::cube", "add"]
    text = str(graph)
    assert str(ir.parse(text)) == text
    assert "tg.library.find_op('test::cube')(" in GraphModule(graph, Tensor).code


def test_symbolic_sizes(compile):
    f = compile(lambda a, b: joined([a, b], None, times=2)[0] * 2, dynamic=True)
    for n in (3, 5):
        a, b = tg.arange(float(n)), tg.ones(4)
        assert f(a, b).tolist() == (tg.cat([a, b, a, b]) * 2).tolist()
    assert len(graphs_of(f)) == 1


def test_gradients_everywhere(compile):
    def loss(x, y, bias):
        both, order = joined([cube(x, 2.0), y], bias, times=2)
        return (both * tg.arange(10.0) + order * 0).sum()

    outcomes = []
    for f in (loss, compile(loss)):
        x, y = tg.tensor([1.0, -2.0], requires_grad=True), tg.ones(3, requires_grad=True)
        bias = tg.tensor(0.5, requires_grad=True)
        result = f(x, y, bias)
        result.backward()
        outcomes.append((result.item(), x.grad.tolist(), y.grad.tolist(), bias.grad.item()))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][1] == [30.0, 168.0]


@library.custom_op("test::crop")
def crop(x: Tensor, start: int, stop: int) -> Tensor:
    """Rows of x."""
    return x[start:stop].clone()


@crop.register_fake
def _(x, start, stop):
    return x.new_empty(stop - start, *x.shape[1:])


def _crop_setup(ctx, inputs, output):
    x, *ctx.rows = inputs
    ctx.save_for_backward(x)


def _crop_backward(ctx, g):
    (x,) = ctx.saved_tensors
    out = g.new_zeros(x.shape)
    out[slice(*ctx.rows)] = g
    return out.mul_(x.cos()), None, None


crop.register_autograd(_crop_backward, setup_context=_crop_setup)


def test_a_gradient_formula_may_write_to_what_it_makes(compile):
    def f(x):
        return crop(x * 2, 1, 3).square().sum()

    def gradients(function, rows):
        x = tg.linspace(0, 1, rows * 2).view(rows, 2).requires_grad_()
        (first,) = tg.autograd.grad(function(x), x, create_graph=True)
        return first.detach(), *tg.autograd.grad(first.sin().sum(), x)

    compiled = compile(f)
    for rows in (4, 4, 5):
        for expected, found in zip(gradients(f, rows), gradients(compiled, rows), strict=True):
            assert expected.count_nonzero() > 0
            np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)


def test_gradient_is_the_derivative():
    assert tg.autograd.gradcheck(cube, (tg.tensor([0.5, -1.5], dtype=tg.float64, requires_grad=True),))


def test_second_derivatives():
    x = tg.tensor([2.0], requires_grad=True)
    (g,) = tg.autograd.grad(cube(x).sum(), x, create_graph=True)
    (gg,) = tg.autograd.grad(g.sum(), x)
    assert gg.tolist() == [12.0]


def test_higher_derivatives_through_compiled_graphs():
    def f(x):
        return (cube(x.sin() * x, 2.0) * x).sum()

    outcomes = []
    for g in (f, tg.compile(f, options=STRICT)):
        x = tg.tensor([0.5, -1.5], requires_grad=True)
        (first,) = tg.autograd.grad(g(x), x, create_graph=True)
        (second,) = tg.autograd.grad((first * first).sum(), x, create_graph=True)
        (third,) = tg.autograd.grad(second.sum(), x)
        outcomes.append([t.detach().numpy() for t in (first, second, third)])
    for eager, compiled in zip(*outcomes, strict=True):
        np.testing.assert_allclose(compiled, eager, rtol=1e-5)


def test_what_is_saved_decides_about_later_writes(compile):
    for f in (lambda x: cube(x * 1).sum(), compile(lambda x: cube(x * 1).sum())):
        x = tg.tensor([2.0], requires_grad=True)
        y = f(x)
        y.backward()
        assert x.grad.tolist() == [12.0]

    x = tg.tensor([2.0], requires_grad=True) * 1
    y = cube(x)
    x.add_(1)
    with pytest.raises(AutogradError, match="modified by an in-place operation"):
        y.sum().backward()


def test_an_op_without_a_gradient_says_so(compile):
    @library.custom_op("test::plain")
    def plain(x: Tensor) -> Tensor:
        return x.clone()

    plain.register_fake(tg.empty_like)
    x = tg.ones(2, requires_grad=True)
    y = plain(x)
    assert y.requires_grad
    with pytest.raises(AutogradError, match=r"test::plain has no gradient; give one by test::plain.register_autograd"):
        y.sum().backward()
    with tg.no_grad():
        assert compile(lambda x: plain(x) * 1)(x).tolist() == [1.0, 1.0]


def test_missing_gradients_are_zeros_or_none():
    seen = []

    @library.custom_op("test::pair")
    def pair(x: Tensor) -> tuple[Tensor, Tensor]:
        return x * 1, x * 2

    pair.register_autograd(lambda ctx, a, b: seen.append((a, b)) or a)
    x = tg.ones(2, requires_grad=True)
    pair(x)[0].sum().backward()
    assert seen[0][1].tolist() == [0.0, 0.0]

    def setup(ctx, inputs, output):
        ctx.set_materialize_grads(False)
        assert ctx.needs_input_grad == (True,)

    pair.register_autograd(lambda ctx, a, b: seen.append((a, b)) or a, setup_context=setup)
    pair(x)[0].sum().backward()
    assert seen[1][1] is None


# ------------------------------------------------------------------------------------------------ writing


def test_written_arguments(compile):
    def f(x, out):
        doubled = out * 2
        add_into(x, doubled, factor=3)
        add_into(x, out[0])
        top = pop_max(doubled[1])
        return doubled, top

    outcomes = []
    for g in (f, compile(f)):
        x, out = tg.tensor([1.0, 2.0]), tg.ones(2, 2)
        doubled, top = g(x, out)
        outcomes.append((doubled.tolist(), top.item(), out.tolist(), out._version > 0))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][1:] == (8.0, [[2.0, 3.0], [1.0, 1.0]], True)


def test_written_arguments_that_require_grad_are_an_error(compile):
    x = tg.ones(2, requires_grad=True)
    for f in (add_into, compile(lambda x, out: add_into(x * 1, out))):
        with pytest.raises(AutogradError, match=r"test::add_into writes to its arguments.*no_grad"):
            f(x, tg.ones(2))
        with tg.no_grad():
            f(x, out := tg.ones(2))
        assert out.tolist() == [2.0, 2.0]


def test_undeclared_writes_are_an_error(compile):
    @library.custom_op("test::sneaky")
    def sneaky(x: Tensor) -> Tensor:
        x.numpy()[0] = 5
        return x + 1

    sneaky.register_fake(tg.empty_like)
    for f in (sneaky, compile(lambda x: sneaky(x * 1))):
        with pytest.raises(ArgumentError, match=r"writes to its argument 'x', which mutates_args=\(\) does not"):
            f(tg.ones(2))


def test_results_that_share_memory_are_an_error(compile):
    @library.custom_op("test::same")
    def same(x: Tensor) -> Tensor:
        return x[1:]

    same.register_fake(lambda x: x.new_empty((x.shape[0] - 1,)))
    for f in (same, compile(lambda x: same(x * 1))):
        with pytest.raises(ArgumentError, match=r"test::same: a result shares memory with an argument.*clone"):
            f(tg.ones(2))


# ------------------------------------------------------------------------------------------------ fakes


def test_without_a_fake_the_graph_ends_before_the_op():
    def f(x):
        return positive(x * 2).sum() + 1

    g = tg.compile(f, backend="eager")
    assert g(tg.tensor([1.0, -1.0])).item() == 3.0
    assert breaks_of(g) == ["data-dependent"]
    assert "test::positive.register_fake" in family_of(g).breaks[0][1].detail
    assert len(graphs_of(g)) == 2


@pytest.mark.parametrize(
    ("fake", "message"),
    [
        (lambda x: x, None),
        (lambda x: x.new_empty((3,)), r"test::wrong returned f32\[2\], its fake function said f32\[3\]"),
        (lambda x: tg.empty(x.shape, dtype=tg.float64), r"its fake function said f64\[2\]"),
        (lambda x: None, "its fake function must return 1 tensor, got None"),
        (lambda x: (x, x), "got Traced, Traced"),
        (lambda x: np.ones(2), "got ndarray"),
    ],
)
def test_wrong_fakes(fake, message):
    @library.custom_op("test::wrong")
    def wrong(x: Tensor) -> Tensor:
        return x + 1

    wrong.register_fake(fake)
    if message is None:
        assert wrong(tg.ones(2)).tolist() == [2.0, 2.0]
        return
    with pytest.raises(ArgumentError, match=message):
        wrong(tg.ones(2))


def test_wrong_functions():
    @library.custom_op("test::array")
    def array(x: Tensor) -> Tensor:
        return x.numpy() + 1

    with pytest.raises(ArgumentError, match="test::array: its function must return 1 tensor, got ndarray"):
        array(tg.ones(2))


@pytest.mark.parametrize(
    ("backward", "message"),
    [
        (lambda ctx, g: (g, None), "one gradient per parameter, 1, and returned 2"),
        (lambda ctx, g: g[:1], r"a gradient of shape \[1\] for an input of shape \[2\]"),
    ],
)
def test_wrong_gradients(backward, message):
    @library.custom_op("test::wrong_gradient")
    def op(x: Tensor) -> Tensor:
        return x + 1

    op.register_autograd(backward)
    with pytest.raises(AutogradError, match=message):
        op(tg.ones(2, requires_grad=True)).sum().backward()


# ------------------------------------------------------------------------------------------------ registration


def test_registration_by_name_and_of_kernels():
    @library.custom_op("test::named")
    def named(x: Tensor) -> Tensor:
        return x + 1

    library.register_fake("test::named", tg.empty_like)
    library.register_autograd("test::named", lambda ctx, g: g * 7)

    @library.register_kernel("test::named", "cpu")
    def faster(x):
        return x + 2

    x = tg.zeros(1, requires_grad=True)
    y = named(x)
    y.sum().backward()
    assert (y.item(), x.grad.item()) == (2.0, 7.0)
    assert library.find_op("test::named") is named


def test_an_op_defined_again_replaces_the_first():
    def make(k):
        @library.custom_op("test::again")
        def again(x: Tensor) -> Tensor:
            return x * k

        return again

    first, second = make(2), make(3)
    assert library.find_op("test::again") is second
    assert (first(tg.ones(1)).item(), second(tg.ones(1)).item()) == (2.0, 3.0)


def test_bad_registrations():
    with pytest.raises(ArgumentError, match=r"there is no custom op 'test::absent'; there are .*test::cube"):
        library.register_fake("test::absent", lambda x: x)
    with pytest.raises(ArgumentError, match="register_fake takes a function, got int"):
        cube.register_fake(3)
    with pytest.raises(ArgumentError, match=r"register_kernel: device_types='cuda'; there is only cpu"):
        cube.register_kernel("cuda", lambda x: x)
    with pytest.raises(ArgumentError, match="an op that writes to its arguments has no gradient"):
        add_into.register_autograd(lambda ctx: None)
    with pytest.raises(ArgumentError, match="expected a function"):
        library.custom_op("test::x", 3)
    with pytest.raises(ArgumentError, match="device_types='cuda'"):
        library.custom_op("test::x", lambda x: x, device_types="cuda")


def test_a_function_runs_outside_of_the_trace(compile):
    seen = []

    @library.custom_op("test::outside")
    def outside(x: Tensor) -> Tensor:
        seen.append((tg.is_grad_enabled(), tg.compiler.is_compiling(), x.requires_grad))
        return tg.zeros(2) + x

    outside.register_fake(tg.empty_like)
    outside.register_autograd(lambda ctx, g: g)
    f = compile(lambda x: outside(x) * 2)
    assert f(tg.ones(2, requires_grad=True)).tolist() == [2.0, 2.0]
    assert seen == [(False, False, False)]


def test_exceptions_of_the_function_come_through(compile):
    @library.custom_op("test::strict")
    def strict(x: Tensor) -> Tensor:
        raise LookupError("not there")

    strict.register_fake(tg.empty_like)
    for f in (strict, compile(lambda x: strict(x) * 1)):
        with pytest.raises(LookupError, match="not there"):
            f(tg.ones(2))
