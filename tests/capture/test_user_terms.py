"""Guards and their failures as the user's program would write them."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest
from captured import capture_of, ramp

import tracegraph as tg
from tracegraph import nn
from tracegraph.capture.compiled_function import family_of
from tracegraph.capture.guards import sources, user_terms
from tracegraph.capture.guards.guard import GuardKind
from tracegraph.capture.session import capture_call

FACTOR = 3


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
        self.config = {"k": [1, 2]}

    def forward(self, x):
        return self.layers(x) * self.config["k"][1] * FACTOR


def test_sources():
    texts = {str(g) for g in capture_call(Net.forward, (Net(), ramp(2, 3))).guards}
    assert {
        "x is a Tensor f32[2, 3]",
        "self.layers[0].weight is a Parameter f32[3, 3], requires_grad",
        "list(self.config) == ['k']",
        "self.config['k'][1] == 2",
        "FACTOR == 3",
        "type(self.layers[1]) is ReLU",
    } <= texts


def test_closures_and_builtins():
    scale = 2

    def f(x):
        return x * scale if isinstance(x, object) else x

    texts = {str(g) for g in capture_call(f, (ramp(2),)).guards}
    assert "scale == 2" in texts
    assert "isinstance is isinstance" in texts


@pytest.mark.parametrize(
    ("condition", "first", "second", "guard"),
    [
        (lambda x: x.shape[0] % 2 == 0, 6, 5, "x.shape[0] % 2 == 0"),
        (lambda x: x.shape[0] // 2 == 3, 6, 5, "x.shape[0] // 2 == 3"),
        (lambda x: x.shape[0] > 4, 6, 3, "x.shape[0] > 4"),
        (lambda x: x.shape[0] * 2 <= 10, 5, 6, "2 * x.shape[0] <= 10"),
        (lambda x: (x.shape[0] + 1) % 3 != 0, 6, 5, "(x.shape[0] + 1) % 3 != 0"),
    ],
)
def test_conditions_on_sizes(condition, first, second, guard):
    function = capture_of(lambda x: x * 2 if condition(x) else x * 3, dynamic=True)
    function(ramp(first, 2))
    function(ramp(second, 2))
    ((_, recompile),) = function.family.recompiles
    (failed,) = recompile.failed
    assert failed.guard == guard
    assert (failed.was, failed.now) == (f"x.shape[0] was {first}", str(second))
    assert failed.location.file == __file__


@pytest.mark.parametrize(
    ("program", "guard"),
    [
        (lambda x, a, i: x * 2 if a[i] > 5 else x, "(a[i] > 5) == np.False_"),
        (lambda x, a, i: x * {"2": 2, "3": 3, "9": 9}[f"{i}"], "f'{i}' == '3'"),
        (lambda x, a, i: x if f"at {i / 2:>5.1f}!" < "at 4" else -x, "f'at {(i / 2):>5.1f}!' == 'at   1.5!'"),
        (lambda x, a, i: x if np.sqrt(a).max() * i < 20 else -x, "((max(sqrt(a)) * i) < 20) == np.True_"),
    ],
)
def test_conditions_on_numbers_of_numpy_and_on_texts(program, guard):
    function = capture_of(program)
    for i in (2, 3, 9):
        function(ramp(2), np.arange(10.0), i)
    assert guard in [f.guard for _, recompile in function.family.recompiles for f in recompile.failed]


def change(state, **new):
    state.__dict__.update(new)


@pytest.mark.parametrize(
    ("program", "state", "new", "guard", "was", "now"),
    [
        (lambda x, s: x * s.k, {"k": 1.5}, {"k": 2.5}, "s.k == 1.5", "s.k was 1.5", "2.5"),
        (lambda x, s: x * len(s.v), {"v": [1]}, {"v": [1, 2]}, "len(s.v) == 1", "len(s.v) was 1", "2"),
        (lambda x, s: x * len(s.v), {"v": [1]}, {"v": (1,)}, "type(s.v) is list", "type(s.v) was list", "tuple"),
        (lambda x, s: x * len(s.v), {"v": {"a": 1}}, {"v": {"b": 1}}, "list(s.v) == ['a']", "list(s.v) was ['a']",
         "['b']"),
        (lambda x, s: x if s.v is None else x * 2, {"v": None}, {"v": SimpleNamespace()}, "s.v is None",
         "s.v was None", "a SimpleNamespace"),
        (lambda x, s: x * 2 if s.a is s.b else x, {"a": (t := ramp(2)), "b": t}, {"b": ramp(2)}, "s.b is s.a",
         "they were the same object", "they are different objects"),
        (lambda x, s: x * getattr(s, "k", 2), {}, {"k": 3}, "'k' not in vars(s)", "'k' was not there", "3"),
        (lambda x, s: x * 2 if s.e is GuardKind.TYPE else x, {"e": GuardKind.TYPE}, {"e": GuardKind.SIZES},
         "s.e is GuardKind.TYPE", "s.e was GuardKind.TYPE", "GuardKind.SIZES"),
    ],
)  # fmt: skip
def test_failures(program, state, new, guard, was, now):
    function = capture_of(program, dynamic=False)
    holder = SimpleNamespace(**state)
    function(ramp(2), holder)
    change(holder, **new)
    function(ramp(2), holder)
    ((_, recompile),) = function.family.recompiles
    (failed,) = recompile.failed
    assert (failed.guard, failed.was, failed.now) == (guard, was, now)
    assert f"{guard} failed: {was}, now {now} (used at {__file__}:" in str(recompile)


def recompile_of(program, first, second, between=None):
    """The words of the guard that fails when `program` is called with `first`, then with `second`."""
    function = capture_of(program)
    function(*first)
    if between is not None:
        between()
    function(*second)
    ((_, recompile),) = family_of(function).recompiles
    return recompile, recompile.failed[0]


def test_failures_that_relate_arguments():
    def appends(p, q, x):
        p.append(len(p))
        return x * len(q)

    shared = [1]
    _, failed = recompile_of(appends, ([1], [1], ramp(2)), (shared, shared, ramp(2)))
    assert str(failed).startswith("p is not q failed: they were different objects, now two of them are the same object")

    def writes(a, b):
        a.add_(1)
        return b * 2

    base = ramp(4)
    _, failed = recompile_of(writes, (ramp(2), ramp(2)), (base[:2], base[:2]))
    assert str(failed).startswith("a and b share no memory failed: they shared none, now they share memory")


def test_a_module_of_the_library_is_known_by_its_class_and_the_line_that_calls_it():
    net = nn.Linear(2, 2)
    recompile, failed = recompile_of(
        net, (ramp(1, 2),), (ramp(1, 2),), lambda: net.register_forward_hook(lambda module, args, out: out * 2)
    )
    assert recompile.function == "Linear"
    assert recompile.location.line == nn.Linear.forward.__code__.co_firstlineno
    assert (failed.guard, failed.was, failed.now) == ("self has no hooks", "it had none", "1 in _forward_hooks")
    assert failed.location.file == __file__


def test_the_grad_mode_is_asked_for_as_programs_ask():
    with contextlib.ExitStack() as stack:
        _, failed = recompile_of(lambda x: x * 2, (ramp(2),), (ramp(2),), lambda: stack.enter_context(tg.no_grad()))
    assert str(failed) == "is_grad_enabled() is True failed: is_grad_enabled() was True, now False"


def concrete(cls):
    return [c for sub in cls.__subclasses__() for c in [sub, *concrete(sub)] if not c.__name__.startswith("_")]


def test_every_source_and_guard_has_words():
    guarded = {c for c in concrete(sources.Source) if c.__module__ == sources.__name__}  # draws never are
    assert set(user_terms._SOURCES) == guarded
    assert set(user_terms._CONDITIONS) == set(GuardKind)


class Loud:
    def __repr__(self):
        raise AssertionError("code of the program ran")

    def __getattr__(self, name):
        raise AssertionError("code of the program ran")


def test_objects_are_named_and_not_printed():
    loud, key = Loud(), object()

    def f(x, table):
        return x * table[loud] if loud in table else x

    texts = {str(g) for g in capture_call(f, (ramp(2), {loud: 2})).guards}
    assert "type(loud) is Loud" in texts
    assert sources.object_text(key) == "the same object"
    assert sources.object_text(loud) == "the same Loud"
    assert sources.object_text(tg.exp) == "exp"
    assert [sources.object_text(v) for v in (1.5, "a", None, Loud, user_terms, len)] == [
        "1.5", "'a'", "None", "Loud", "tracegraph.capture.guards.user_terms", "len",
    ]  # fmt: skip


def test_values_from_before_a_break():
    def f(x):
        return x.sum().item() + (x * 2)

    function = capture_of(f)
    function(ramp(2))
    texts = {str(g) for u in function.family.units.values() for s in u.specialisations for g in s.guards}
    assert any(t.startswith(("<value 0 from before the break>", "type(<value 0 from")) for t in texts)
