"""Compiled functions called while they are traced or compiled, and calls that run out of stack or memory."""

from __future__ import annotations

import sys

import pytest
from captured import assert_same, capture_of, graphs_of, ramp, replay, specialisation_count

import tracegraph as tg
from tracegraph.capture.compiled_function import CaptureOptions, compiled


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
