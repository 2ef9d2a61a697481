"""Threads, re-entrancy, interrupts, and what the caches keep alive."""

from __future__ import annotations

import contextlib
import copy
import gc
import os
import pickle
import subprocess
import sys
import threading
import weakref

import pytest
from captured import assert_same, capture_of, graphs_of, ramp, replay, specialisation_count

import tracegraph as tg
from tracegraph import nn
from tracegraph.capture.compiled_function import CaptureOptions, compiled, family_of
from tracegraph.capture.trace import tracer
from tracegraph.capture.trace.tracing_state import is_tracing
from tracegraph.settings import Settings


def in_threads(*works):
    """Run the functions at the same time; the first exception of any is raised."""
    errors, start = [], threading.Barrier(len(works))

    def run(work):
        try:
            start.wait()
            work()
        except BaseException as e:
            errors.append(e)

    threads = [threading.Thread(target=run, args=(w,)) for w in works]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]


# ------------------------------------------------------------------------------------------------ threads


def scaled(x, name):
    y = x * len(name)
    tg.compiler.graph_break()
    return y.sum() + x


def test_threads_call_and_compile_one_function():
    function = tg.compile(scaled, backend="interpreter", options={"recompile_limit": 100})

    def work(k):
        for i in range(8):
            n, name = 2 + (i + k) % 5, "a" * (1 + i % 3)
            assert_same(function(ramp(n), name), scaled(ramp(n), name))

    in_threads(*(lambda k=k: work(k) for k in range(4)))


def test_threads_compile_different_functions():
    def work(k):
        function = tg.compile(lambda x: (x * k).sum(), dynamic=True)
        for n in (2, 3, 4):
            assert function(tg.ones(n)).item() == n * k

    in_threads(*(lambda k=k: work(k) for k in range(4)))


def test_threads_train_one_module():
    net = nn.Linear(4, 1)
    net.compile(options={"strict": True})

    def work(n):
        for _ in range(3):
            tg.autograd.grad(net(tg.ones(n, 4)).sum(), net.weight)

    in_threads(*(lambda n=n: work(n) for n in (2, 3, 5)))
    assert not family_of(net).given_up


def test_a_thread_that_runs_eagerly_is_not_drawn_into_the_trace_of_another():
    inside, go_on = threading.Event(), threading.Event()
    seen = {}

    @tg.compiler.allow_in_graph
    def slow(x):
        inside.set()
        assert go_on.wait(10)
        return x + tg.ones(2)

    function = capture_of(lambda x: slow(x) * 2)

    def trace():
        seen["traced"] = function(ramp(2))

    def eager():
        assert inside.wait(10)
        seen["other"] = (tg.compiler.is_compiling(), tg.ones(2) * 3, is_tracing())
        go_on.set()

    in_threads(trace, eager)
    assert seen["other"][0] is seen["other"][2] is False
    assert seen["other"][1].tolist() == [3.0, 3.0]
    assert_same(seen["traced"], (ramp(2) + 1) * 2)


FORKING = """
import os, threading
import tracegraph as tg

inside, forked = threading.Event(), threading.Event()

def backend(module, example_inputs):
    inside.set()
    forked.wait(0.5)
    return module

slow = tg.compile(lambda x: x + 1, backend=backend)
thread = threading.Thread(target=lambda: slow(tg.ones(2)))
thread.start()
inside.wait()
child = os.fork()
forked.set()
if child == 0:
    result = tg.compile(lambda x: x * 3)(tg.ones(2)).tolist()
    os._exit(0 if result == [3.0, 3.0] and slow(tg.ones(2)).tolist() == [2.0, 2.0] else 1)
thread.join()
print(os.waitpid(child, 0)[1], slow(tg.ones(2)).tolist())
"""


def test_a_child_forked_while_another_thread_compiles_can_compile(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", FORKING]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True, timeout=60)
    assert done.stdout == "0 [2.0, 2.0]\n"


FORKING_IN_BACKWARD = """
import gc, os, threading, time
import tracegraph as tg

armed, inside = [], threading.Event()

def slow(graph):
    if armed and not inside.is_set():
        inside.set()
        time.sleep(0.3)
    return graph

function = tg.compile(lambda x: (x * x).sum(), options={"custom_passes": (slow,)})
loss = function(tg.ones(3, requires_grad=True))
armed.append(True)
thread = threading.Thread(target=loss.backward)
thread.start()
inside.wait()
child = os.fork()
if child == 0:
    x = tg.ones(2, requires_grad=True)
    tg.compile(lambda x: (x * 3).sum())(x).backward()
    function(tg.ones(3, requires_grad=True)).backward()
    os._exit(0 if x.grad.tolist() == [3.0, 3.0] and gc.isenabled() else 1)
thread.join()
print(os.waitpid(child, 0)[1])
"""


def test_a_child_forked_while_another_thread_compiles_a_backward_pass(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", FORKING_IN_BACKWARD]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True, timeout=60)
    assert done.stdout == "0\n"


def test_settings_are_those_of_the_calling_thread():
    function = tg.compile(lambda x: (x @ x, tg.is_grad_enabled(), tg.is_autocast_enabled("cpu")), dynamic=False)

    def work(*contexts):
        with contextlib.ExitStack() as stack:
            expected = [stack.enter_context(c()) for c in contexts]
            for _ in range(4):
                product, has_grad, casts = function(tg.ones(2, 2, requires_grad=True))
                assert has_grad is product.requires_grad is ("no_grad" not in expected)
                assert casts is (product.dtype is tg.bfloat16) is ("autocast" in expected)

    @contextlib.contextmanager
    def no_grad():
        with tg.no_grad():
            yield "no_grad"

    @contextlib.contextmanager
    def autocast():
        with tg.autocast("cpu", dtype=tg.bfloat16):
            yield "autocast"

    in_threads(work, lambda: work(no_grad), lambda: work(autocast), lambda: work(no_grad, autocast))


def test_a_thread_that_ends_while_it_casts_leaves_nothing_to_the_next():
    def casts_and_ends():
        tg.autocast("cpu", dtype=tg.bfloat16).__enter__()
        idents.append(threading.get_ident())

    idents, results = [], []
    for work in (casts_and_ends, lambda: results.append((tg.ones(2, 2) @ tg.ones(2, 2)).dtype)):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert results == [tg.float32]


def test_backward_on_other_threads():
    function = tg.compile(lambda x: (x * x).sum())
    inputs = [ramp(3, requires_grad=True) for _ in range(4)]
    in_threads(*(function(x).backward for x in inputs))
    assert all(x.grad.tolist() == [2.0, 4.0, 6.0] for x in inputs)


def test_exceptions_on_several_threads():
    def program(x, kind):
        if kind == "raise":
            raise KeyError(x.shape[0])
        return x.view(3) if x.sum() > 0 else x

    function = tg.compile(program, options={"recompile_limit": 64})

    def work(kind):
        for n in (2, 3, 4, 2):
            error = KeyError if kind == "raise" else RuntimeError if n != 3 else None
            with pytest.raises(error) if error else contextlib.nullcontext() as caught:
                function(tg.ones(n), kind)
            assert kind != "raise" or caught.value.args == (n,)

    in_threads(*(lambda k=k: work(k) for k in ("raise", "view", "raise", "view")))


# ------------------------------------------------------------------------------------------------ copies


@tg.compile
def found_by_name(x):
    return x * 2


def plain_function(x):
    return x * 3


class Callable:
    def __init__(self):
        self.scale = 2

    def __call__(self, x):
        return x * self.scale


def test_a_compiled_function_is_copied_and_pickled_like_a_function():
    anonymous = tg.compile(lambda x: x * 3)
    for function in (found_by_name, anonymous):
        assert copy.copy(function) is copy.deepcopy(function) is function
    assert pickle.loads(pickle.dumps(found_by_name)) is found_by_name
    assert pickle.loads(pickle.dumps(tg.compile(plain_function))) is plain_function


def test_a_module_that_holds_a_compiled_function_can_be_copied_and_pickled():
    net = nn.Linear(2, 2)
    net.first, net.second = found_by_name, tg.compile(plain_function)
    net.first(net.second(net(tg.ones(1, 2))))
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert_same(other.first(other.second(other(tg.ones(1, 2)))), (net(tg.ones(1, 2)) * 6))


def test_a_copy_of_a_compiled_object_has_state_of_its_own():
    function = tg.compile(Callable())
    other = copy.deepcopy(function)
    other.__dict__["_tracegraph_original"].scale = 5
    assert (function(tg.ones(1)).item(), other(tg.ones(1)).item()) == (2.0, 5.0)


# ------------------------------------------------------------------------------------------------ re-entrancy


def test_a_function_that_calls_its_compiled_self():
    @capture_of
    def countdown(x, n):
        return x if n == 0 else countdown(x + 1, n - 1)

    assert_same(countdown(ramp(2), 5), ramp(2) + 5)
    assert len(graphs_of(countdown)) == 1


def test_recursion_that_depends_on_data():
    @capture_of
    def halve(x):
        if x.sum() < 1:
            return x
        return halve(x / 2)

    assert halve(tg.tensor([16.0])).item() == 0.5
    assert specialisation_count(halve) == 1


def test_recursion_without_an_end_is_eagers():
    @capture_of
    def forever(x):
        return forever(x + 1)

    with pytest.raises(RecursionError):
        forever(ramp(1))


def test_where_the_stack_has_no_room_to_compile_another_call_may_have():
    def descend(n):
        return function(tg.ones(1)) if n == 0 else descend(n - 1)

    outcomes = set()
    for depth in range(sys.getrecursionlimit() - 300, sys.getrecursionlimit(), 30):
        function = tg.compile(lambda x: (x * 2).sum(), backend="interpreter")
        try:
            outcomes.add(descend(depth).item())
        except RecursionError:
            outcomes.add(None)
        assert function(tg.ones(1)).item() == 2.0
        assert not function.family.given_up
    assert outcomes == {2.0, None}


def test_memory_that_runs_out_while_compiling_is_no_reason_to_give_up():
    attempts = []

    def backend(graph, example_inputs):
        attempts.append(graph.name)
        if len(attempts) == 1:
            raise MemoryError
        return replay(graph, example_inputs)

    function = compiled(lambda x: x * 2, backend, CaptureOptions())
    for _ in range(3):
        assert_same(function(ramp(2)), ramp(2) * 2)
    assert len(attempts) == 2


def test_a_backend_that_compiles_and_calls_compiled_functions():
    inner = tg.compile(lambda x: x * 2 if x.shape[0] > 2 else x, dynamic=True, backend="interpreter")
    calls = []

    def backend(graph, example_inputs):
        calls.append(graph.name)
        inner(tg.ones(4))
        if len(calls) < 4:
            outer(tg.ones(len(calls) + 10))
        return replay(graph, example_inputs)

    outer = compiled(lambda x: (x + 1).sum() * x.shape[0], backend, CaptureOptions(dynamic=True))
    assert outer(tg.ones(3)).item() == 18.0
    assert outer(tg.ones(5)).item() == 50.0
    assert not outer.family.given_up


def test_a_function_called_while_it_is_traced():
    @tg.compiler.allow_in_graph
    def helper(x, depth):
        return function(x, depth - 1)

    def program(x, depth):
        return x * 2 if depth == 0 else helper(x, depth) + 1

    function = capture_of(program)
    assert_same(function(ramp(2), 2), ramp(2) * 2 + 2)
    assert len(graphs_of(function)) == 1


def test_compiling_inside_of_a_compiled_function():
    def outer(x):
        return tg.compile(lambda y: y * 3, backend="eager")(x + 1) * 2

    function = capture_of(outer)
    for _ in range(2):
        assert_same(function(ramp(2)), outer(ramp(2)))


def test_reset_inside_of_a_compiled_function():
    def outer(x):
        y = x * 2
        tg.compiler.reset()
        return y + 1

    function = capture_of(outer)
    for _ in range(2):
        assert_same(function(ramp(2)), outer(ramp(2)))


# ------------------------------------------------------------------------------------------------ interrupts


class State:
    value = 1


def change(x, state, items, table):
    with tg.no_grad():
        state.value = 5
        state.new = x * 2
        items.append(x)
        table["k"] = len(items)
    tg.compiler.graph_break()
    x.add_(1)
    return x * state.value


def test_an_interrupt_at_any_instruction_leaves_everything_as_it_was(monkeypatch):
    original, count = tracer.Tracer.tick, 0

    def tick(self, is_root):
        nonlocal count
        count -= 1
        if count == 0:
            raise KeyboardInterrupt
        original(self, is_root)

    monkeypatch.setattr(tracer.Tracer, "tick", tick)
    interrupted = 0
    for after in range(1, 60, 3):
        count = after
        function = capture_of(change)
        state, items, table, x = State(), [1], {"a": 1}, ramp(2)
        try:
            function(x, state, items, table)
        except KeyboardInterrupt:
            interrupted += 1
            # either nothing of a part has happened, or all of it
            is_first = "value" not in vars(state)
            assert (items, table) == (([1], {"a": 1}) if is_first else (items, {"a": 1, "k": 2}))
            assert x._version == 0
            assert not is_tracing()
            assert tg.is_grad_enabled()
            assert gc.isenabled()
            assert specialisation_count(function) == (not is_first)
            assert all(u._attempts == len(u.specialisations) for u in function.family.units.values())
        count = 0
        fresh = (ramp(2), State(), [1], {"a": 1})
        assert_same(function(*fresh), (ramp(2) + 1) * 5)
        assert fresh[3] == {"a": 1, "k": 2}
    assert interrupted > 10


#: files whose lines switch something that has to be switched back
SWITCHING = ("settings.py", "autocast.py", "grad_mode.py", "tracing_state.py", "dispatch.py", "nested.py", "session.py")


def switches(x):
    with tg.no_grad(), tg.autocast("cpu", dtype=tg.bfloat16):
        y = x @ x
    tg.compiler.graph_break()
    return tg.cond(x.sum() > 0, lambda v: v * 2, lambda v: v + y, (x,)) + tg.rand(2)


def test_an_interrupt_at_any_line_that_switches_something():
    def follow(on_line):
        def trace(frame, event, arg):
            place = frame.f_code.co_filename, frame.f_lineno
            if event == "line" and place[0].endswith(SWITCHING) and os.path.dirname(tg.__file__) in place[0]:
                on_line(place)
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            compiled(switches, replay, CaptureOptions())(tg.ones(2, 2))
        finally:
            sys.settrace(before)

    def state():
        values = [getattr(s, name) for s in Settings.instances for name in s.questions]
        return values, gc.isenabled(), is_tracing()

    places, before = {}, state()
    follow(lambda place: places.update({place: places.get(place, 0) + 1}))
    for target, count in list(places.items())[::3]:
        left = [count]

        def interrupt(place, target=target, left=left):
            left[0] -= place == target
            if left[0] == 0 and place == target:
                raise KeyboardInterrupt

        with contextlib.suppress(KeyboardInterrupt):
            follow(interrupt)
        assert state() == before, target
        in_threads(lambda: compiled(plain_function, replay, CaptureOptions())(ramp(2)))
        assert switches(tg.ones(2, 2)).dtype is tg.float32


def test_an_interrupt_of_the_backend():
    should_fail = [True]

    def backend(graph, example_inputs):
        if should_fail.pop():
            raise KeyboardInterrupt
        return replay(graph, example_inputs)

    function = compiled(lambda x: x + 1, backend, CaptureOptions())
    with pytest.raises(KeyboardInterrupt):
        function(ramp(2))
    assert not function.family.breaks
    should_fail.append(False)
    assert_same(function(ramp(2)), ramp(2) + 1)
    assert specialisation_count(function) == 1


# ------------------------------------------------------------------------------------------------ what is kept alive


class Holder:
    """Something a weak reference can watch, that holds a tensor."""

    def __init__(self):
        self.tensor = ramp(2)


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
        x, holder, many = ramp(n, requires_grad=True), Holder(), []
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
        x, holder = ramp(n), Holder()
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
    table = Holder()

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
