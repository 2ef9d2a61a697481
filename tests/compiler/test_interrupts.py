"""Interrupts while a function is traced, compiled or run leave everything as it was."""

from __future__ import annotations

import contextlib
import gc
import linecache
import os
import sys
from unittest import mock

import pytest
from captured import assert_same, capture_of, ramp, replay, specialisation_count
from threads import in_threads

import tracegraph as tg
from tracegraph.capture import session
from tracegraph.capture.compiled_function import CaptureOptions, compiled
from tracegraph.capture.trace import tracer
from tracegraph.capture.trace.tracing_state import is_tracing
from tracegraph.ops.graphs.recording import Traced
from tracegraph.settings import Settings, preserved


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
            if not place[0].endswith(SWITCHING) or os.path.dirname(tg.__file__) not in place[0]:
                return None  # its lines are of no interest
            # a trace function is called between the body of `with` and the release of its lock; a signal never is
            if event == "line" and "with COMPILING" not in linecache.getline(*place):
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
        in_threads(lambda: compiled(lambda x: x * 3, replay, CaptureOptions())(ramp(2)))
        assert switches(tg.ones(2, 2)).dtype is tg.float32


def test_a_block_that_an_interrupt_kept_from_beginning_puts_nothing_back_later():
    """Its traceback may live on for long, as that of the last exception in an interactive session."""
    block = preserved()
    block.__enter__()
    with tg.no_grad():
        del block
        gc.collect()
        assert not tg.is_grad_enabled()


def test_an_interrupt_while_the_methods_of_handles_are_put_back(monkeypatch):
    own = dict(vars(Traced))
    function = compiled(lambda x: x.relu(), replay, CaptureOptions())
    monkeypatch.setattr(tg.Tensor, "relu", lambda x: x * 10)
    with monkeypatch.context() as interrupted:
        interrupted.setattr(session, "end_redirection", mock.Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            function(ramp(2))
    assert_same(tg.func.grad(lambda x: x.relu().sum())(ramp(2)), tg.full((2,), 10.0))
    assert_same(function(ramp(2)), ramp(2) * 10)
    assert dict(vars(Traced)) == own


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
