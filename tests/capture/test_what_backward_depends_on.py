"""Every kind of guard that a backward function or a hook may depend on, broken between the call and backward.

A story gives a formula for a gradient, and a change after which eager execution has another gradient. Compiled code
follows it or says what has changed.
"""

from __future__ import annotations

import abc
import collections
import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from gradient_formulas import function_of, hook_of

import tracegraph as tg
from tracegraph import nn
from tracegraph.capture.guards import observation
from tracegraph.capture.guards.guard import GuardKind
from tracegraph.capture.trace import backward_reads
from tracegraph.errors import AutogradError
from tracegraph.nn.hooks import HOOKS_OF_ALL
from tracegraph.nn.module import register_module_forward_hook

Story = tuple[Callable[[Any], Any], Callable[[], Any]]


class Base:
    scale = 2.0


class Derived(Base):
    scale = 5.0


class Slotted:
    __slots__ = ("factor",)


def is_true(answer: Any) -> int:
    return 5 if answer else 2


# ------------------------------------------------------------------------------------------ by kind


def type_of_object() -> Story:
    thing = Base()
    return lambda g: g * thing.scale, lambda: setattr(thing, "__class__", Derived)


def code_of_function() -> Story:
    def helper(g: Any) -> Any:
        return g * 2

    def other(g: Any) -> Any:
        return g * 5

    return lambda g: helper(g) * 1, lambda: setattr(helper, "__code__", other.__code__)


def facts_of_tensor() -> Story:
    tensor = tg.ones(2)
    return lambda g: g * tensor * is_true(tensor.requires_grad), tensor.requires_grad_


def absent_attribute() -> Story:
    thing = Base()
    return lambda g: g * is_true(hasattr(thing, "extra")), lambda: setattr(thing, "extra", 1)


def absent_name() -> Story:
    space = {"__builtins__": __builtins__, "__name__": "made"}
    formula = eval("lambda g: g * abs(-2.0)", space)
    return formula, lambda: space.update(abs=lambda number: 5.0)


def absent_hooks() -> Story:
    layer = nn.Hardtanh(-10.0, 10.0)
    return lambda g: layer(g) * 2, lambda: layer.register_forward_hook(lambda m, i, o: o * 2)


def same_object() -> Story:
    first: list[int] = []
    held = Base()
    held.first, held.second = first, first  # type: ignore[attr-defined]
    return lambda g: g * is_true(held.first is held.second), lambda: setattr(held, "second", [])  # type: ignore[attr-defined]


def other_object() -> Story:
    held = Base()
    held.first, held.second = [], []  # type: ignore[attr-defined]
    return lambda g: g * is_true(held.first is held.second), lambda: setattr(held, "second", held.first)  # type: ignore[attr-defined]


def setting() -> Story:
    asks = tg.are_deterministic_algorithms_enabled
    return lambda g: g * is_true(asks()), lambda: tg.use_deterministic_algorithms(True)


def setting_that_operations_obey() -> Story:
    def formula(g: Any) -> Any:
        return g * is_true(((g > 0).int() / 2).dtype is tg.float64)

    return formula, lambda: tg.set_default_dtype(tg.float64)


def method_of_tensors() -> Story:
    return lambda g: g.relu() * 2, lambda: setattr(tg.Tensor, "relu", lambda tensor: tensor * 5)


def computed_answer() -> Story:
    class Abstract(abc.ABC):  # noqa: B024
        pass

    class Plain:
        pass

    return lambda g: g * is_true(issubclass(Plain, Abstract)), lambda: Abstract.register(Plain)


def attribute_that_a_class_lacks() -> Story:
    class Bare:
        pass

    thing = Bare()
    return lambda g: g * is_true(hasattr(thing, "extra")), lambda: setattr(Bare, "extra", 1)


def hooks_of_all_modules() -> Story:
    layer = nn.Hardtanh(-10.0, 10.0)
    return lambda g: layer(g) * 2, lambda: register_module_forward_hook(lambda m, i, o: o * 2)


def attributes_of_a_class() -> Story:
    class Bare:
        pass

    return lambda g: g * is_true("extra" in list(vars(Bare))), lambda: setattr(Bare, "extra", 1)


#: a kind and a story in which nothing else tells
CONDITIONS: list[tuple[GuardKind, Callable[[], Story]]] = [
    (GuardKind.TYPE, type_of_object),
    (GuardKind.FUNCTION, code_of_function),
    (GuardKind.TENSOR, facts_of_tensor),
    (GuardKind.ABSENT, absent_attribute),
    (GuardKind.GLOBAL_ABSENT, absent_name),
    (GuardKind.NO_HOOKS, absent_hooks),
    (GuardKind.ALIAS, same_object),
    (GuardKind.DISTINCT, other_object),
    (GuardKind.SETTING, setting),
    (GuardKind.SETTING, setting_that_operations_obey),
    (GuardKind.TENSOR_METHODS, method_of_tensors),
    (GuardKind.CONSTANT, computed_answer),
    (GuardKind.IDENTITY, attribute_that_a_class_lacks),
    (GuardKind.LENGTH, hooks_of_all_modules),
    (GuardKind.KEYS, attributes_of_a_class),
]


# ------------------------------------------------------------------------------------------ seen in values


def number() -> Story:
    held = Base()
    return lambda g: g * held.scale, lambda: setattr(held, "scale", 5.0)


def integer() -> Story:
    held = Base()
    held.count = 3  # type: ignore[attr-defined]
    return lambda g: g * held.count, lambda: setattr(held, "count", 5)  # type: ignore[attr-defined]


def entries_of_dict() -> Story:
    table = collections.OrderedDict(a=2.0, b=5.0)
    return lambda g: g * next(iter(table.values())), lambda: table.move_to_end("a")


def elements_of_set() -> Story:
    found = {1, 2}
    return lambda g: g * is_true(3 in found), lambda: found.add(3)


#: kinds that are seen in the values at their sources; whether numbers vary
VALUES: list[tuple[GuardKind, Callable[[], Story], bool]] = [
    (GuardKind.FLOAT, number, True),
    (GuardKind.INTEGER, integer, True),
    (GuardKind.KEYS, entries_of_dict, False),
    (GuardKind.ELEMENTS, elements_of_set, False),
]


# ------------------------------------------------------------------------------------------ more of them


def default() -> Story:
    def helper(g: Any, by: float = 2.0) -> Any:
        return g * by

    return lambda g: helper(g) * 1, lambda: setattr(helper, "__defaults__", (5.0,))


def keyword_default() -> Story:
    def helper(g: Any, *, by: float = 2.0) -> Any:
        return g * by

    return lambda g: helper(g) * 1, lambda: setattr(helper, "__kwdefaults__", {"by": 5.0})


def variable_of_a_helper() -> Story:
    scale = 2.0

    def helper(g: Any) -> Any:
        return g * scale

    def change() -> None:
        nonlocal scale
        scale = 5.0

    return lambda g: helper(g) * 1, change


def code_of_the_function_itself() -> Story:
    def formula(g: Any) -> Any:
        return g * 2

    def other(g: Any) -> Any:
        return g * 5

    return formula, lambda: setattr(formula, "__code__", other.__code__)


def empty_slot() -> Story:
    thing = Slotted()
    return lambda g: g * is_true(hasattr(thing, "factor")), lambda: setattr(thing, "factor", 1)


def empty_local() -> Story:
    local = threading.local()
    return lambda g: g * getattr(local, "factor", 2.0), lambda: setattr(local, "factor", 5.0)


def environment() -> Story:
    return lambda g: g * is_true(os.environ.get("ASKED_IN_BACKWARD")), lambda: os.environ.update(ASKED_IN_BACKWARD="1")


def names_of_an_object() -> Story:
    thing = Base()
    return lambda g: g * (2 + len(vars(thing))), lambda: setattr(thing, "extra", 1)


def global_names() -> Story:
    space = {"__builtins__": __builtins__, "__name__": "made", "is_true": is_true}
    return eval("lambda g: g * is_true('extra' in globals())", space), lambda: space.update(extra=1)


def attribute_that_a_metaclass_lacks() -> Story:
    class Meta(type):
        pass

    class Made(metaclass=Meta):
        pass

    return lambda g: g * is_true(hasattr(Made, "extra")), lambda: setattr(Meta, "extra", 1)


def shape_of_tensor() -> Story:
    tensor = tg.ones(3)
    return lambda g: g * tensor.shape[0], lambda: tensor.unsqueeze_(0)


def shape_that_varies() -> Story:
    tensor = tg.ones(3)
    return lambda g: g * tensor.shape[0], lambda: setattr(tensor, "data", tg.ones(5))


def strides_of_tensor() -> Story:
    held = Base()
    held.tensor = tg.ones(2)  # type: ignore[attr-defined]
    formula = lambda g: g * is_true(held.tensor.is_contiguous())  # type: ignore[attr-defined]  # noqa: E731
    return formula, lambda: setattr(held, "tensor", tg.ones(4)[::2])


def parameter() -> Story:
    layer = nn.Linear(2, 2)
    nn.init.constant_(layer.weight, 2.0)
    change = lambda: setattr(layer, "weight", nn.Parameter(tg.full((2, 2), 5.0)))  # noqa: E731
    return lambda g: g * layer.weight.sum(), change


def two_modules() -> Story:
    first, second = nn.Hardtanh(-10.0, 10.0), nn.Hardtanh(-10.0, 10.0)
    return lambda g: second(first(g)) * 2, lambda: first.register_forward_hook(lambda m, i, o: o * 2)


def element_of_a_derived_list() -> Story:
    class Factors(list[float]):
        pass

    factors = Factors([2.0])
    return lambda g: g * factors[0], lambda: factors.__setitem__(0, 5.0)


def tensor_of_a_class() -> Story:
    class Held(Base):
        scale = tg.tensor(2.0)  # type: ignore[assignment]

    class Below(Held):
        pass

    thing = Below()
    return lambda g: g * thing.scale, lambda: setattr(Held, "scale", tg.tensor(5.0))


def module_of_a_class() -> Story:
    class Held:
        act = nn.Hardtanh(-10.0, 10.0)

    thing = Held()
    return lambda g: thing.act(g) * 2, lambda: setattr(Held, "act", nn.Hardtanh(-0.1, 0.1))


def function_of_a_class() -> Story:
    class Held:
        act = staticmethod(tg.relu)

    return lambda g: Held.act(g) * 2, lambda: setattr(Held, "act", staticmethod(tg.neg))


def dtype_of_a_class() -> Story:
    class Held:
        dtype = tg.float32

    return lambda g: (g / 3).to(Held.dtype).float(), lambda: setattr(Held, "dtype", tg.int32)


OTHERS = [
    tensor_of_a_class, module_of_a_class, function_of_a_class, dtype_of_a_class,
    element_of_a_derived_list, default, keyword_default, variable_of_a_helper, code_of_the_function_itself,
    empty_slot, empty_local, environment, names_of_an_object, global_names, attribute_that_a_metaclass_lacks,
    shape_of_tensor, shape_that_varies, strides_of_tensor, parameter, two_modules,
]  # fmt: skip


# ------------------------------------------------------------------------------------------ tests


@contextlib.contextmanager
def world() -> Iterator[None]:
    """What a story changes of the process is put back."""
    relu = vars(tg.Tensor).get("relu")
    try:
        yield
    finally:
        HOOKS_OF_ALL.clear()
        os.environ.pop("ASKED_IN_BACKWARD", None)
        tg.set_default_dtype(tg.float32)
        tg.use_deterministic_algorithms(False)
        if relu is not None:
            tg.Tensor.relu = relu  # type: ignore[method-assign]
        else:
            vars(tg.Tensor).get("relu") and delattr(tg.Tensor, "relu")


def gradient(story: Callable[[], Story], wrap: Callable[..., Any], kind: Callable[..., Any], is_changed: bool) -> Any:
    """The gradient, or the error of backward."""
    formula, change = story()
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    with world():
        loss = wrap(kind(formula))(x)
        if is_changed:
            change()
        try:
            loss.backward()
        except AutogradError as error:
            return str(error)
    assert x.grad is not None
    return x.grad.tolist()


def compiling(dynamic: bool | None = None) -> Callable[..., Any]:
    return lambda function: tg.compile(function, backend="eager", fullgraph=True, dynamic=dynamic)


def check_story(story: Callable[[], Story], kind: Callable[..., Any], dynamic: bool | None = None) -> None:
    """Compiled code has the gradient of eager execution, or says what has changed if something has."""
    before, after = (gradient(story, lambda f: f, kind, changed) for changed in (False, True))
    assert before != after, story.__name__
    assert gradient(story, compiling(dynamic), kind, False) == before, story.__name__
    told = gradient(story, compiling(dynamic), kind, True)
    assert told == after or "backward of a compiled function reads" in told, (story.__name__, told)


def test_every_kind_is_observed_or_need_not_be() -> None:
    observed, in_values, immaterial = observation.CONDITIONS, observation.SEEN_IN_VALUES, observation.IMMATERIAL
    assert observed | in_values | set(immaterial) == set(GuardKind)
    assert len(observed) + len(in_values) + len(immaterial) == len(GuardKind)
    assert {kind for kind, *_ in (*CONDITIONS, *VALUES)} == observed | in_values


@pytest.mark.parametrize("kind", [function_of, hook_of])
@pytest.mark.parametrize(("told_by", "story"), CONDITIONS)
def test_conditions(
    told_by: GuardKind, story: Callable[[], Story], kind: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    check_story(story, kind)
    for name in ("CONDITIONS", "SEEN_IN_VALUES"):
        monkeypatch.setattr(backward_reads, name, getattr(observation, name) - {told_by})
    assert gradient(story, compiling(), kind, True) == gradient(story, lambda f: f, kind, False)


@pytest.mark.parametrize("kind", [function_of, hook_of])
def test_values(kind: Callable[..., Any]) -> None:
    for _, story, dynamic in VALUES:
        check_story(story, kind, dynamic)


@pytest.mark.parametrize("kind", [function_of, hook_of])
def test_other_changes(kind: Callable[..., Any]) -> None:
    for story in OTHERS:
        check_story(story, kind)
    check_story(shape_that_varies, kind, dynamic=True)


def a_setting_changed_for_good(x: Any) -> Any:
    h = x * 1
    h.register_hook(lambda g: g * is_true(tg.are_deterministic_algorithms_enabled()))
    tg.use_deterministic_algorithms(True)
    return h.sum()


def a_setting_changed_and_back(x: Any) -> Any:
    h = x * 1
    tg.use_deterministic_algorithms(True)
    h.register_hook(lambda g: g * is_true(tg.are_deterministic_algorithms_enabled()))
    tg.use_deterministic_algorithms(False)
    return h.sum()


@pytest.mark.parametrize("function", [a_setting_changed_for_good, a_setting_changed_and_back])
def test_a_setting_that_the_function_changes_is_asked_in_backward(function: Callable[[Any], Any]) -> None:
    gradients = []
    for wrap in (lambda f: f, tg.compile):
        x = tg.ones(2, requires_grad=True)
        with world():
            wrap(function)(x).backward()
        gradients.append(x.grad.tolist())  # type: ignore[union-attr]
    assert gradients[0] == gradients[1]
