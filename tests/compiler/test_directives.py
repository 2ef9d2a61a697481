"""What programs say to the compiler, in eager execution and under capture."""

from __future__ import annotations

import copy
import functools
import pickle

import pytest
from captured import assert_same, capture_of, graphs_of, ramp

import tracegraph as tg
from tracegraph import nn
from tracegraph.capture.compiled_function import family_of
from tracegraph.errors import ArgumentError, CaptureError, OptionError


def breaks_of(function):
    return [stop.detail for _, stop in family_of(function).breaks]


# ------------------------------------------------------------------------------------------------ is_compiling


def test_is_compiling_in_captured_code_only():
    def f(x):
        return x * 2 if tg.compiler.is_compiling() else x * 3

    function = capture_of(f)
    assert f(ramp(2)).tolist() == [3.0, 6.0]
    assert function(ramp(2)).tolist() == [2.0, 4.0]
    assert len(graphs_of(function)) == 1
    assert tg.compiler.is_compiling() is False


def test_other_questions_that_models_ask():
    def f(x):
        return x * 2 if tg.compiler.is_dynamo_compiling() and not tg.compiler.is_exporting() else x * 3

    assert capture_of(f, fullgraph=True)(ramp()).tolist() == (ramp() * 2).tolist()
    assert f(ramp()).tolist() == (ramp() * 3).tolist()


def test_is_compiling_in_code_that_runs_natively_in_a_trace():
    seen = []

    @tg.compiler.allow_in_graph
    def helper(x):
        seen.append(tg.compiler.is_compiling())
        return x + 1

    capture_of(lambda x: helper(x) * 2)(ramp(2))
    assert seen == [True]


# ------------------------------------------------------------------------------------------------ graph_break


def test_graph_break_splits_and_gives_its_message():
    def f(x):
        y = x * 2
        tg.compiler.graph_break("on purpose")
        return y + 1

    assert f(ramp(2)).tolist() == [3.0, 5.0]
    function = capture_of(f)
    assert_same(function(ramp(2)), f(ramp(2)))
    assert len(graphs_of(function)) == 2
    assert breaks_of(function) == ["graph_break(): on purpose"]
    with pytest.raises(CaptureError, match=r"graph-break.*on purpose"):
        capture_of(f, fullgraph=True)(ramp(2))


# ------------------------------------------------------------------------------------------------ disable


def talk(x, k=2):
    return x * k


def test_disabled_functions_run_as_they_are():
    disabled = tg.compiler.disable(talk, reason="it talks")
    assert disabled.__name__ == "talk"
    function = capture_of(lambda x: disabled(x + 1, k=3) * 2)
    assert_same(function(ramp(2)), (ramp(2) + 1) * 6)
    assert breaks_of(function) == ["talk is disabled: it talks"]
    assert len(graphs_of(function)) == 2
    assert not any("talk" in unit.label for unit, _ in family_of(function).units)


def test_disable_as_a_decorator():
    @tg.compiler.disable
    def plain(x):
        return x + 1

    @tg.compiler.disable(reason="why not")
    def explained(x):
        return x + 2

    function = capture_of(lambda x: plain(x) * explained(x))
    assert_same(function(ramp(2)), (ramp(2) + 1) * (ramp(2) + 2))
    first, second = breaks_of(function)
    assert first.endswith("plain is disabled")
    assert second.endswith("explained is disabled: why not")


def test_compiling_what_is_disabled_changes_nothing():
    disabled = tg.compiler.disable(talk)
    assert tg.compile(disabled) is disabled
    compiled = capture_of(talk)
    again = tg.compiler.disable(compiled)
    assert_same(again(ramp(2)), ramp(2) * 2)
    assert not graphs_of(compiled)


def test_a_wrapper_of_a_disabled_function_is_not_disabled():
    disabled = tg.compiler.disable(talk)

    @functools.wraps(disabled)
    def wrapper(x):
        return x * 5

    function = capture_of(lambda x: wrapper(x) + 1)
    assert_same(function(ramp(2)), ramp(2) * 5 + 1)
    assert not breaks_of(function)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x):
        return self.layer(x)

    @tg.compiler.disable
    def describe(self, x):
        return f"{x.shape}"


def test_disabled_methods_modules_and_classes():
    net = Net()
    function = capture_of(lambda x: (net(x) * 2, net.describe(x)))
    result, text = function(ramp(1, 2))
    assert_same(result, net(ramp(1, 2)) * 2)
    assert text == "tracegraph.Size([1, 2])"
    assert breaks_of(function) == ["Net.describe is disabled"]

    quiet = tg.compiler.disable(net, reason="slow")
    assert isinstance(quiet, Net)
    assert list(quiet.state_dict()) == list(net.state_dict())
    assert tg.compile(quiet) is quiet
    function = capture_of(lambda x: quiet(x) + 1)
    assert_same(function(ramp(1, 2)), net(ramp(1, 2)) + 1)
    assert breaks_of(function) == ["Module.__call__ is disabled: slow"]
    for duplicate in (copy.deepcopy(quiet), pickle.loads(pickle.dumps(quiet))):
        assert type(duplicate) is Net

    bound = tg.compiler.disable(net.forward)
    assert bound.__self__ is net
    assert_same(bound(ramp(1, 2)), net(ramp(1, 2)))

    @tg.compiler.disable
    class Scale:
        def __init__(self, k):
            self.k = k

        def __call__(self, x):
            return x * self.k

    function = capture_of(lambda x: Scale(3)(x + 1))
    assert_same(function(ramp(2)), (ramp(2) + 1) * 3)
    assert len(breaks_of(function)) == 2


def test_a_disabled_class_of_modules():
    @tg.compiler.disable(reason="all of them")
    class Quiet(Net):
        pass

    net = Quiet()
    function = capture_of(lambda x: net(x) * 2)
    assert_same(function(ramp(1, 2)), net(ramp(1, 2)) * 2)
    assert breaks_of(function) == ["Module.__call__ is disabled: all of them"]
    assert tg.compile(net) is net
    loud = Net()
    function = capture_of(lambda x: loud(x) * 2)
    assert_same(function(ramp(1, 2)), loud(ramp(1, 2)) * 2)
    assert not breaks_of(function)


def test_what_disable_refuses():
    with pytest.raises(OptionError, match="recursive=False"):
        tg.compiler.disable(talk, recursive=False)
    with pytest.raises(ArgumentError, match=r"got \d \(int\)"):
        tg.compiler.disable(3)


# ------------------------------------------------------------------------------------------------ allow_in_graph


def test_allowed_functions_are_executed_into_the_graph():
    calls = []

    @tg.compiler.allow_in_graph
    def odd(x, k):
        # nothing that capture could follow
        calls.append(eval("k + 1"))
        return {"double": x * 2, "more": [x + k]}

    def f(x):
        parts = odd(x, 3)
        return parts["double"] + parts["more"][0]

    function = capture_of(f)
    for _ in range(3):
        assert_same(function(ramp(2)), ramp(2) * 3 + 3)
    assert not breaks_of(function)
    assert len(graphs_of(function)) == 1
    assert calls == [4]
    assert tg.compiler.allow_in_graph([talk]) == [talk]
    del talk.__tracegraph_op__
    with pytest.raises(ArgumentError, match=r"got .* \(builtin_function_or_method\)"):
        tg.compiler.allow_in_graph(len)


def test_a_compiled_function_called_by_an_allowed_one_joins_the_graph():
    inner = capture_of(lambda x: x * 2)

    @tg.compiler.allow_in_graph
    def helper(x):
        return inner(x) + inner(x)

    function = capture_of(lambda x: helper(x) + 1)
    assert_same(function(ramp(2)), ramp(2) * 4 + 1)
    assert len(graphs_of(function)) == 1
    assert not graphs_of(inner)


# ------------------------------------------------------------------------------------------------ constant results


def test_constant_results_are_computed_once():
    calls = []

    @tg.compiler.assume_constant_result
    def lookup(name):
        calls.append(name)
        return {"a": 2, "b": 3}[name]

    def f(x, name):
        return x * lookup(name)

    function = capture_of(f)
    for _ in range(3):
        assert_same(function(ramp(2), "a"), ramp(2) * 2)
    assert calls == ["a"]
    assert_same(function(ramp(2), "b"), ramp(2) * 3)
    assert not breaks_of(function)


def test_constant_results_may_be_tensors_and_read_outside_objects():
    class Store:
        def __init__(self):
            self.scale = 3.0

        @tg.compiler.assume_constant_result
        def table(self):
            return tg.zeros(2) + self.scale

    store = Store()
    function = capture_of(lambda x: x * store.table())
    assert_same(function(ramp(2)), ramp(2) * 3)
    assert not breaks_of(function)
    (graph,) = graphs_of(function)
    assert [n.op for n in graph.nodes].count("constant") == 1


def test_constant_results_of_what_the_trace_made_or_changed_break_the_graph():
    @tg.compiler.assume_constant_result
    def total(items):
        return sum(items)

    def of_changed(x, items):
        items.append(4)
        return x * total(items)

    def of_made(x):
        return x * total([1, 2])

    function = capture_of(of_changed)
    assert_same(function(ramp(2), [1]), ramp(2) * 5)
    assert breaks_of(function)
    function = capture_of(of_made)
    assert_same(function(ramp(2)), ramp(2) * 3)
    assert breaks_of(function)
    with pytest.raises(ArgumentError, match="Python functions"):
        tg.compiler.assume_constant_result(max)
