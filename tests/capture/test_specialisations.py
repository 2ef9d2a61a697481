"""The cache of specialisations: recompiles, limits, failures, threads, leaks."""

from __future__ import annotations

import copy
import gc
import threading
import warnings
import weakref

import pytest
from captured import assert_same, capture_of, check, family_of, graphs_of, ramp, replay, specialisation_count

from tracegraph import nn
from tracegraph.capture.compiled_function import CaptureOptions, compiled
from tracegraph.errors import CaptureError
from tracegraph.tensor import Tensor


def test_recompile_names_the_guard_both_values_and_the_line() -> None:
    def scaled(x, scale):
        y = x + 1
        return y * scale

    function = capture_of(scaled, dynamic=False)
    function(ramp(2), 2)
    function(ramp(2), 3)
    ((_, recompile),) = function.family.recompiles
    (failed,) = recompile.failed
    assert (failed.guard, failed.was, failed.now) == ("scale == 2", "scale was 2", "3")
    line = scaled.__code__.co_firstlineno
    assert failed.location.line == line + 2
    assert str(recompile).splitlines() == [
        f"{scaled.__qualname__} ({__file__}:{line}) is compiled again:",
        f"  scale == 2 failed: scale was 2, now 3 (used at {__file__}:{line + 2})",
    ]


def test_recompile_names_a_guard_of_every_trace() -> None:
    function = capture_of(lambda x, key: x * len(key))
    for key in ("a", "bb", "ccc"):
        function(ramp(2), key)
    recompile = function.family.recompiles[-1][1]
    assert [f.guard for f in recompile.failed] == ["key == 'bb'", "key == 'a'"]
    newest, oldest = str(recompile).splitlines()[1:]
    assert newest.startswith("  trace 2: key == 'bb' failed: ")
    assert oldest.startswith("  trace 1: key == 'a' failed: ")


def test_a_guard_that_fails_in_several_traces_is_told_once() -> None:
    function = capture_of(lambda x, first, second: (x + len(first), len(second)), dynamic=False)
    for second in ("a", "bb"):
        function(ramp(2), "same", second)
    function(ramp(3), "same", "a")
    (line,) = str(function.family.recompiles[-1][1]).splitlines()[1:]
    assert line.startswith("  traces 2, 1: x is a Tensor f32[2] failed: ")


def test_keys_are_told_without_their_elements() -> None:
    function = capture_of(lambda x, table: x * len(table))
    function(ramp(2), {"a": 1})
    function(ramp(2), {ramp(2): 1, ramp(40): 2})
    (failed,) = function.family.recompiles[-1][1].failed
    assert failed.now == "[a Tensor f32[2], a Tensor f32[40]]"


def test_copies_of_arguments_do_not_depend_on_which_they_are() -> None:
    function = capture_of(lambda x, y: copy.deepcopy({"first": [x, y], "second": x}))
    for _ in range(3):
        copied = function(ramp(2), ramp(2))
        assert copied["first"][0] is copied["second"] is not copied["first"][1]
    assert specialisation_count(function) == 1
    same = ramp(2)
    copied = function(same, same)
    assert copied["first"][0] is copied["first"][1]
    assert specialisation_count(function) == 2


def test_a_copy_that_breaks_the_graph_is_made_by_the_library() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    model.parts = list(model)  # type: ignore[assignment]

    def program(x: Tensor) -> Tensor:
        copied = copy.deepcopy(model)
        assert copied.parts[0] is copied[0]
        result: Tensor = copied(x)
        return result

    function = capture_of(program)
    for _ in range(12):
        assert_same(function(ramp(2, 2)), program(ramp(2, 2)))
    assert len(graphs_of(function)) == 1 and not family_of(function).given_up and not family_of(function).recompiles


def test_tensor_guard_is_explained() -> None:
    function = capture_of(lambda x: x * 2, dynamic=False)
    function(ramp(2))
    function(ramp(3))
    function(ramp(4, 6)[:, ::2])
    failures = [recompile.failed[0] for _, recompile in function.family.recompiles]
    assert [(f.was, f.now) for f in failures] == [
        ("x was Tensor f32[2]", "Tensor f32[3]"),
        ("x was Tensor f32[3]", "Tensor f32[4, 3], strides (6, 2)"),
    ]


def test_recompile_limit_then_eager_with_one_warning() -> None:
    def scaled(x, name):
        return x * len(name)

    function = capture_of(scaled, recompile_limit=3)
    for n in range(3):
        function(ramp(2), "a" * n)
    message = (
        r"(?s)scaled \(.*test_specialisations.py:\d+\).*captured 3 times \(recompile_limit\)"
        r".*name == 'aa' failed: name was 'aa', now 'four'"
    )
    with pytest.warns(RuntimeWarning, match=message):
        assert_same(function(ramp(2), "four"), scaled(ramp(2), "four"))
    assert_same(function(ramp(2), "again"), scaled(ramp(2), "again"))
    assert specialisation_count(function) == 3
    assert_same(function(ramp(2), "a"), scaled(ramp(2), "a"))


def test_closures_of_one_code_share_their_specialisations() -> None:
    def outer(x, k):
        def inner(y):
            print("inner")
            return y * k

        return inner(x) + 1

    function = check(outer, lambda: (ramp(2), 2), breaks=("side-effect",))
    inner = [u for (u, _) in function.family.units if u.code.co_name == "inner" and u.is_entry]
    assert len(inner) == 1
    assert len(graphs_of(function)) == 2


def test_fullgraph_names_reason_line_and_hint() -> None:
    def talks(x):
        y = x * 2
        print(y.shape)
        return y

    function = capture_of(talks, fullgraph=True)
    line = talks.__code__.co_firstlineno + 2
    with pytest.raises(
        CaptureError, match=rf"talks does not make one graph.*side-effect at .*:{line}: print\(\).*Hint"
    ) as caught:
        function(ramp())
    assert "runs eagerly" not in str(caught.value)


def test_fullgraph_lets_user_exceptions_through() -> None:
    def fails(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        capture_of(fails, fullgraph=True)(ramp())


def test_a_failing_backend_leaves_the_function_eager() -> None:
    def backend(graph, example_inputs):
        raise ZeroDivisionError("in the backend")

    function = compiled(lambda x: x * 2, backend, CaptureOptions())
    with pytest.warns(RuntimeWarning, match="ZeroDivisionError: in the backend"):
        assert_same(function(ramp(2)), ramp(2) * 2)
    assert_same(function(ramp(2)), ramp(2) * 2)
    with pytest.raises(ZeroDivisionError):
        compiled(lambda x: x * 2, backend, CaptureOptions(fullgraph=True))(ramp(2))


def test_inputs_and_results_are_not_kept_alive() -> None:
    def step(x, model, items):
        items.append(x * 2)
        print("break")
        return model(items[-1])

    function = capture_of(step)
    x, model, items = ramp(2, 3), nn.Linear(3, 3), [1]
    result = function(x, model, items)
    watched = [weakref.ref(v) for v in (x, model, result, items[-1])]
    del x, model, items, result
    gc.collect()
    assert [w() for w in watched] == [None] * 4


def test_a_pinned_object_is_not_kept_alive() -> None:
    class Key:
        pass

    function = capture_of(lambda x, key: x * {key: 2}[key])
    key = Key()
    function(ramp(2), key)
    watched = weakref.ref(key)
    del key
    gc.collect()
    assert watched() is None
    assert_same(function(ramp(2), Key()), ramp(2) * 2)


def test_threads_share_one_cache() -> None:
    def work(x, n):
        for i in range(n):
            x = x * 2 + i
        return x

    function = capture_of(work)
    results: dict[int, object] = {}
    start = threading.Barrier(4)

    def run(index: int) -> None:
        start.wait()
        for _ in range(5):
            results[index] = function(ramp(4), index % 2 + 1)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for i in range(4):
        assert_same(results[i], work(ramp(4), i % 2 + 1))
    assert specialisation_count(function) == 2


def test_reentrant_compilation() -> None:
    inner = capture_of(lambda x: x * 2)

    def backend(graph, example_inputs):
        inner(ramp(2))
        return replay(graph, example_inputs)

    outer = compiled(lambda x: x + 1, backend, CaptureOptions())
    assert_same(outer(ramp(2)), ramp(2) + 1)


def test_keyboard_interrupt_while_capturing_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from tracegraph.autograd import is_grad_enabled, no_grad
    from tracegraph.capture.trace import tracer

    class State:
        value = 1

    def change(x, state, items, table):
        with no_grad():
            state.value = 5
            state.new = x * 2
            items.append(x)
            table["k"] = 1
            return x + 1

    state, items, table = State(), [1], {"a": 1}
    original = tracer.Tracer.tick

    def tick(self, is_root):
        original(self, is_root)
        if len(items) and self.step > 25:
            raise KeyboardInterrupt

    function = capture_of(change)
    with monkeypatch.context() as patch:
        patch.setattr(tracer.Tracer, "tick", tick)
        with pytest.raises(KeyboardInterrupt):
            function(ramp(2), state, items, table)
    assert (vars(state), items, table, is_grad_enabled()) == ({}, [1], {"a": 1}, True)
    assert_same(function(ramp(2), state, items, table), ramp(2) + 1)
    assert state.value == 5
    assert len(items) == 2
    assert table == {"a": 1, "k": 1}


def test_an_exception_that_only_the_trace_raises_is_reported(monkeypatch):
    from tracegraph.capture.protocols import special_methods
    from tracegraph.capture.stack.values import Observed

    def broken(tracer, value):
        raise Observed(TypeError("no such thing"))

    monkeypatch.setattr(special_methods, "length", broken)
    function = capture_of(lambda x: x * len([1, 2]))
    with pytest.warns(RuntimeWarning, match=r"only its trace raises an exception \(TypeError: no such thing\)"):
        assert_same(function(ramp()), ramp() * 2)
    with pytest.raises(CaptureError, match="only its trace raises"):
        capture_of(lambda x: x * len([1, 2]), fullgraph=True)(ramp())


def test_kinds_of_modules_are_counted_on_their_own():
    """Where calls of Modules break, all go through the same code of the library."""
    space = {"nn": nn}
    for i in range(4):
        exec(f"class Part{i}(nn.Module):\n    def forward(self, x):\n        return x * float(x.sum()) + {i}\n", space)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c, self.d = (space[f"Part{i}"]() for i in range(4))

        def forward(self, x):
            x = self.a(x)
            x = self.b(x)
            x = self.c(x)
            return self.d(x)

    net = Net()
    compiled = capture_of(net.forward, recompile_limit=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compiled(ramp()).tolist() == net(ramp()).tolist()


@pytest.mark.parametrize("with_index", [False, True])
def test_kinds_of_modules_in_a_loop_are_counted_on_their_own(with_index: bool) -> None:
    space = {"nn": nn}
    for i in range(6):
        text = f"def forward(self, x):\n        print(end='')\n        return x * {i} + 1\n"
        exec(f"class Part{i}(nn.Module):\n    {text}", space)

    class Net(nn.Sequential):
        def forward(self, x):
            for _, layer in enumerate(self):
                x = layer(x)
            return x

    kind = Net if with_index else nn.Sequential
    net = kind(*(space[f"Part{i}"]() for i in range(6)))
    compiled = capture_of(net.forward, recompile_limit=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            assert compiled(ramp()).tolist() == net(ramp()).tolist()
