"""What compiled calls keep alive: no more than eager ones, most of it without the help of the cycle collector."""

from __future__ import annotations

import contextlib
import gc
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from captured import capture_of, ramp

import tracegraph as tg
from tracegraph import nn
from tracegraph.capture.compiled_function import family_of


class Holder:
    """Something that a weak reference can watch."""

    def __init__(self, tensor: Any = None):
        self.tensor = ramp(3) if tensor is None else tensor


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def plain(x, h):
    return x * h.tensor


def broken(x, h):
    y = x * h.tensor
    tg.compiler.graph_break()
    return y + h.tensor


def breaks_in_a_loop(x, h):
    for _ in range(3):
        x = x * h.tensor
        if x.sum() < 0:
            break
    return x


def breaks_in_a_callee(x, h):
    return breaks_in_a_loop(x, h) + breaks_in_a_loop(x, h)


def raises(x, h):
    y = x * h.tensor
    raise ValueError(h, y)


def raises_and_handles(x, h):
    try:
        raise ValueError(h)
    except ValueError as e:
        return x * e.args[0].tensor


def raises_through_callees(x, h):
    def inner():
        raise KeyError(h)

    with contextlib.suppress(KeyError):
        inner()
    return x * 2


def breaks_in_try(x, h):
    try:
        tg.compiler.graph_break()
        raise KeyError(h)
    except KeyError:
        return x * h.tensor


def an_op_fails(x, h):
    return x.view(5) * h.tensor


def an_element_is_wrong(x, h):
    return x[tg.tensor([7])] * h.tensor[0]


def generator(x, h):
    def parts():
        for _ in range(2):
            yield h.tensor

    for part in parts():
        x = x * part
    return x


def closure(x, h):
    def inner():
        return h.tensor

    return x * inner()


def makes_objects(x, h):
    made = Holder(h)
    items = [made, {"h": h}]
    return x * items[0].tensor.tensor


def changes_objects(x, h):
    h.seen = [x]
    h.tensor.add_(1)
    h.view = h.tensor.view(-1)
    return x * 2


def backward_inside(x, h):
    loss = (x * h.tensor).sum()
    if x.requires_grad:
        loss.backward()
    return loss.detach()


def switches_grad_mode(x, h):
    with tg.no_grad():
        tg.compiler.graph_break()
        return x * h.tensor


class Hashed:
    def __hash__(self):
        return 3


def breaks_earlier_than_it_seems(x, h):
    made, keys = Holder(h), frozenset([Hashed()])
    tg.compiler.graph_break()
    return x * made.tensor.tensor * len(keys)


def branches(x, h):
    return tg.cond(x.sum() > 0, lambda v: v * h.tensor, lambda v: v + 1, (x,))


def scans(x, h):
    return tg.scan(lambda c, v: (c + v * h.tensor, c), x, tg.ones(4, 3))[0]


PROGRAMS = [f for f in list(globals().values()) if isinstance(f, types.FunctionType) and f.__code__.co_argcount == 2]


@pytest.mark.parametrize("backend", ["eager", "llvm"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_everything_dies_with_the_call(program: Callable[..., Any], backend: str, no_collector: None) -> None:
    function = tg.compile(program, backend=backend, dynamic=False)
    for size in (3, 3, 1):
        x, h = ramp(size, requires_grad=True), Holder(ramp(size))
        watched = [weakref.ref(v) for v in (x, h, h.tensor)]
        with contextlib.suppress(ValueError, RuntimeError, IndexError):
            result = function(x, h)
            watched.append(weakref.ref(result))
            if result.requires_grad:
                result.sum().backward()
            del result
        del x, h
        assert [w() for w in watched] == [None] * len(watched)


def test_an_interrupted_trace_lets_go(no_collector: None) -> None:
    def backend(graph, inputs):
        raise KeyboardInterrupt

    function = tg.compile(plain, backend=backend)
    x, h = ramp(3), Holder()
    with pytest.raises(KeyboardInterrupt) as caught:
        function(x, h)
    watched = [weakref.ref(v) for v in (x, h, h.tensor)]
    del x, h, caught
    assert [w() for w in watched] == [None] * 3


def test_what_fullgraph_refuses_dies(no_collector: None) -> None:
    function = tg.compile(broken, fullgraph=True)
    x, h = ramp(3), Holder()
    watched = [weakref.ref(v) for v in (x, h, h.tensor)]
    with contextlib.suppress(tg.errors.CaptureError):
        function(x, h)
    del x, h
    assert [w() for w in watched] == [None] * 3


def test_what_backward_needed_is_free_after_it(no_collector: None) -> None:
    function = tg.compile(lambda x, w: (x * w).exp())
    for retain in (False, True):
        x, w = ramp(3), ramp(3, requires_grad=True)
        result = function(x, w)
        watched = weakref.ref(x), weakref.ref(x._np)
        result.sum().backward(retain_graph=retain)
        del x
        assert [r() is None for r in watched] == [True, not retain]


def made_class() -> type:
    class Made:
        scale = 2

        def apply(self, x):
            return x * self.scale

    return Made


def test_classes_are_not_kept() -> None:
    closed_over = made_class()

    def f(x, value):
        y = value.apply(x) * closed_over().scale
        if x.sum() > 0:
            return y * isinstance(value, closed_over)
        return y

    function = capture_of(f)
    given = made_class()
    for _ in range(2):
        function(ramp(2), given())
    guards = [str(g) for u in family_of(function).units.values() for s in u.specialisations for g in s.guards]
    watched = [weakref.ref(given), weakref.ref(closed_over)]
    given = closed_over = None
    gc.collect()
    assert [w() for w in watched] == [None, None]
    kept = [str(g) for u in family_of(function).units.values() for s in u.specialisations for g in s.guards]
    assert kept == guards
    assert "type(value) is Made" in kept


def test_modules_that_are_not_imported_are_not_kept() -> None:
    module = types.ModuleType("passing")
    module.scale = 3

    def f(x):
        return x * module.scale

    function = capture_of(f)
    function(ramp(2))
    watched = weakref.ref(module)
    module = None
    gc.collect()
    assert watched() is None
    module = types.ModuleType("passing")
    module.scale = 4
    assert function(ramp(2)).tolist() == [4.0, 8.0]


@pytest.mark.parametrize("backend", ["eager", "llvm"])
def test_a_dropped_function_takes_its_code_along(backend: str) -> None:
    space: dict[str, Any] = {"tg": tg}
    exec(
        "def f(x, k=2):\n  y = x * k\n  tg.compiler.graph_break()\n  return [v for v in (y,)][0].sum()\n",
        space,
    )
    f = space.pop("f")
    function = tg.compile(f, backend=backend)
    function(ramp(2, requires_grad=True)).backward()
    parts = [s for u in function.family.units.values() for s in u.specialisations]
    watched = [weakref.ref(v) for v in (f, f.__code__, *(p.run for p in parts), *(p.checker.holds for p in parts))]
    del f, function, parts
    gc.collect()
    assert [w() for w in watched] == [None] * 6


def test_a_compiled_module_is_not_kept() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    compiled = tg.compile(model)
    compiled(ramp(2, 3)).sum().backward()
    watched = [weakref.ref(v) for v in (model, compiled, model[0].weight, type(compiled))]
    del model, compiled
    gc.collect()
    assert [w() for w in watched] == [None] * 4


def collected(*watched):
    gc.collect()
    return [w() for w in watched] == [None] * len(watched)


def test_calls_leave_nothing_alive():
    def step(x, holder, many):
        many.append(holder.tensor * x)
        tg.compiler.graph_break()
        with contextlib.suppress(ValueError):
            if x.sum() > 100:
                raise ValueError
        return many[-1] + holder.tensor

    function = tg.compile(step)
    for n in (2, 2):
        x, holder, many = ramp(n, requires_grad=True), Holder(ramp(2)), []
        result = function(x, holder, many)
        result.sum().backward()
        watched = [weakref.ref(v) for v in (x, holder, holder.tensor, result, many[-1])]
        del x, holder, many, result
        assert collected(*watched)


def test_recompiles_breaks_and_errors_leave_nothing_alive():
    def f(x, holder):
        if holder.tensor.sum().item() > 100:
            raise KeyError(holder)
        return x * holder.tensor

    function = capture_of(f, dynamic=False)
    for n in (2, 3, 4):
        x, holder = ramp(n), Holder(ramp(2))
        holder.tensor = ramp(n) * (100 if n == 4 else 1)
        with contextlib.suppress(KeyError):
            function(x, holder)
        watched = [weakref.ref(v) for v in (x, holder, holder.tensor)]
        del x, holder
        assert collected(*watched)
    assert function.family.recompiles
    assert function.family.breaks


def test_explaining_leaves_nothing_alive():
    x = ramp(3)
    explainer = tg.compiler.explain(lambda t: t * 2)
    found = explainer(x)
    watched = weakref.ref(x)
    del x
    assert collected(watched)
    assert found.graph_count == 1


@pytest.mark.parametrize("backend", ["eager", "interpreter", "llvm"])
def test_a_deleted_function_frees_what_was_compiled(backend):
    table = Holder(ramp(2))

    def f(x):
        y = x * table.tensor
        tg.compiler.graph_break()
        return y.sum()

    function = tg.compile(f, backend=backend)
    function(ramp(2, requires_grad=True)).backward()
    family = family_of(function)
    parts = [s for u in family.units.values() for s in u.specialisations]
    watched = [weakref.ref(v) for v in (function, family, f, *(p.run for p in parts), *(p.graph for p in parts))]
    assert len(watched) == 7
    del function, family, parts, f
    assert collected(*watched)


def test_a_deleted_module_frees_its_parameters():
    for compile_ in (tg.compile, lambda m: m.compile() or m):
        net = nn.Linear(2, 2)
        watched = [weakref.ref(net), weakref.ref(net.weight)]
        model = compile_(net)
        model(ramp(1, 2)).sum().backward()
        del net, model
        assert collected(*watched)
