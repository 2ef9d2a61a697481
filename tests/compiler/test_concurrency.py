"""Threads and forked processes that compile and call at the same time."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading

import pytest
from captured import assert_same, capture_of, ramp
from threads import in_threads

import tracegraph as tg
from tracegraph import nn
from tracegraph.capture.compiled_function import family_of
from tracegraph.capture.trace.tracing_state import is_tracing


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
