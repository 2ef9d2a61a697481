"""Whatever a trace depended on may change between two calls: the next call must be right.

Each case reads something, changes it, and calls again; a second call without change must not capture again.
"""

from __future__ import annotations

import abc
import builtins
import copy
import gc
import math
import types
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from captured import assert_same, capture_of, ramp, specialisation_count

import tracegraph as tg
from tracegraph import nn
from tracegraph.autograd.grad_mode import STATE, no_grad
from tracegraph.dtypes import float32
from tracegraph.ops import functional as F
from tracegraph.tensor import Tensor, tensor

FACTOR = 2
TABLE = {"a": 1, "b": 2}
NAMES = ["a", "b"]


def helper(x: Tensor, scale: float = 2.0, *, shift: float = 1.0) -> Tensor:
    return x * scale + shift


def helper_of(factor: int) -> Callable[[Tensor], Tensor]:
    """A function of the same code each time, in globals of its own."""
    return types.FunctionType((lambda x: x * FACTOR).__code__, {"FACTOR": factor})


class Settings:
    scale = 3

    def __init__(self) -> None:
        self.value = 1
        self.inner = types.SimpleNamespace(depth=2)
        self.items = [1, 2]

    def apply(self, x: Tensor) -> Tensor:
        return x * self.scale + self.value

    @property
    def double(self) -> int:
        return self.value * 2


class PassingForHelper:
    __code__ = helper.__code__
    __globals__ = helper.__globals__
    __defaults__ = helper.__defaults__
    __kwdefaults__ = helper.__kwdefaults__

    def __call__(self, x: Tensor) -> Tensor:
        return x * 5


class EqualToAll(str):
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash("a")


class Slotted:
    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 1


class Lazy:
    def __getattr__(self, name: str) -> int:
        return 7


class Case:
    """A program of (x, state), fresh state, and a change of the state or of the world."""

    def __init__(
        self, program: Callable[..., Any], state: Callable[[], Any], change: Callable[[Any], Any], undo: Any = None
    ) -> None:
        self.program = program
        self.state = state
        self.change = change
        self.undo = undo


def set_global(name: str, value: Any) -> Callable[[Any], None]:
    return lambda _: globals().__setitem__(name, value)


def closure(value: int) -> tuple[Callable[[Tensor], Tensor], Callable[[int], None]]:
    def scaled(x: Tensor) -> Tensor:
        return x * value

    def set_value(new: int) -> None:
        nonlocal value
        value = new

    return scaled, set_value


def lookup_class(cls: type, name: str, value: Any) -> Callable[[Any], None]:
    return lambda _: setattr(cls, name, value)


def mlp() -> nn.Module:
    module = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.0), nn.ReLU())
    for p in module.parameters():
        p.data = ramp(*p.shape)
    module.extra = 1
    module.register_buffer("offset", tensor([1.0]))
    return module


def parts() -> list[Tensor]:
    """Two views of the same memory."""
    whole = ramp(4)
    return [whole[:3], whole[1:]]


def hooked() -> tuple[nn.Module, Any]:
    module = mlp()
    return module, module.register_forward_hook(lambda m, args, output: output * 2)


CASES = {
    "global": Case(lambda x, s: x * FACTOR, lambda: None, set_global("FACTOR", 5), set_global("FACTOR", 2)),
    "global dict value": Case(
        lambda x, s: x * TABLE["a"], lambda: None, lambda _: TABLE.update(a=5), lambda _: TABLE.update(a=1)
    ),
    "key of another class": Case(
        lambda x, s: x * sum(type(key) is str for key in s), lambda: {"a": 1},
        lambda s: s.update({EqualToAll("b"): s.clear()}),
    ),
    "global function": Case(
        lambda x, s: helper(x), lambda: None, set_global("helper", lambda x: x), set_global("helper", helper)
    ),
    "default": Case(
        lambda x, s: helper(x), lambda: None, lambda _: setattr(helper, "__defaults__", (9.0,)),
        lambda _: setattr(helper, "__defaults__", (2.0,)),
    ),
    "keyword default": Case(
        lambda x, s: helper(x), lambda: None, lambda _: setattr(helper, "__kwdefaults__", {"shift": 4.0}),
        lambda _: setattr(helper, "__kwdefaults__", {"shift": 1.0}),
    ),
    "code": Case(
        lambda x, s: helper(x), lambda: helper.__code__,
        lambda _: setattr(helper, "__code__", (lambda x, scale=2.0, *, shift=1.0: x - scale).__code__),
        lambda code: setattr(helper, "__code__", code),
    ),
    "globals of a function": Case(
        lambda x, s: s.function(x), lambda: types.SimpleNamespace(function=helper_of(2)),
        lambda s: setattr(s, "function", helper_of(5)),
    ),
    "dtype of a tensor": Case(
        lambda x, s: x * (2 if s.weight.dtype is float32 else 3), lambda: types.SimpleNamespace(weight=ramp()),
        lambda s: setattr(s, "weight", ramp().double()),
    ),
    "sign of zero": Case(
        lambda x, s: x * math.copysign(1.0, s.value), lambda: types.SimpleNamespace(value=0.0),
        lambda s: setattr(s, "value", -0.0),
    ),
    "sign of zero in a tuple": Case(
        lambda x, s: (x, s.value), lambda: types.SimpleNamespace(value=(0.0, 1)),
        lambda s: setattr(s, "value", (-0.0, 1)),
    ),
    "shadowed builtin": Case(
        lambda x, s: x * len([1, 2]), lambda: None, set_global("len", lambda _: 10),
        lambda _: globals().pop("len"),
    ),
    "builtin": Case(
        lambda x, s: x * abs(-2), lambda: None, lambda _: setattr(builtins, "abs", lambda _: 10),
        lambda _, original=abs: setattr(builtins, "abs", original),
    ),
    "closure cell": Case(lambda x, s: s[0](x), lambda: closure(2), lambda s: s[1](7)),
    "attribute": Case(lambda x, s: x * s.value, Settings, lambda s: setattr(s, "value", 5)),
    "attribute type": Case(lambda x, s: (x * s.value, s.value), Settings, lambda s: setattr(s, "value", True)),
    "nested attribute": Case(lambda x, s: x * s.inner.depth, Settings, lambda s: setattr(s.inner, "depth", 9)),
    "replaced object": Case(
        lambda x, s: x * s.inner.depth, Settings, lambda s: setattr(s, "inner", types.SimpleNamespace(depth=4))
    ),
    "class attribute": Case(
        lambda x, s: s.apply(x), Settings, lookup_class(Settings, "scale", 11), lookup_class(Settings, "scale", 3)
    ),
    "instance attribute over class": Case(lambda x, s: x * s.scale, Settings, lambda s: setattr(s, "scale", 8)),
    "method": Case(
        lambda x, s: s.apply(x), Settings, lookup_class(Settings, "apply", lambda self, x: x),
        lookup_class(Settings, "apply", Settings.apply),
    ),
    "method on the instance": Case(lambda x, s: s.apply(x), Settings, lambda s: setattr(s, "apply", lambda x: x - 1)),
    "property": Case(
        lambda x, s: x * s.double, Settings, lookup_class(Settings, "double", property(lambda self: 30)),
        lookup_class(Settings, "double", Settings.__dict__["double"]),
    ),
    "value behind a property": Case(lambda x, s: x * s.double, Settings, lambda s: setattr(s, "value", 6)),
    "type": Case(
        lambda x, s: s.apply(x), Settings,
        lambda s: setattr(s, "__class__", type("Other", (Settings,), {"apply": lambda self, x: x})),
    ),
    "slot": Case(lambda x, s: x * s.value, Slotted, lambda s: setattr(s, "value", 4)),
    "hasattr": Case(lambda x, s: x * (2 if hasattr(s, "flag") else 3), Settings, lambda s: setattr(s, "flag", 1)),
    "hasattr on the class": Case(
        lambda x, s: x * (2 if hasattr(s, "flag") else 3), Settings, lookup_class(Settings, "flag", 1),
        lambda _: delattr(Settings, "flag"),
    ),
    "getattr default": Case(lambda x, s: x * getattr(s, "more", 4), Settings, lambda s: setattr(s, "more", 6)),
    "__getattr__ overtaken": Case(lambda x, s: x * s.size, Lazy, lambda s: setattr(s, "size", 2)),
    "deleted attribute": Case(
        lambda x, s: x * (s.value if hasattr(s, "value") else 0), Settings, lambda s: delattr(s, "value")
    ),
    "instance dict": Case(lambda x, s: (x, sorted(vars(s))), Settings, lambda s: setattr(s, "zz", 1)),
    "list length": Case(lambda x, s: [x * i for i in s], lambda: [1, 2], lambda s: s.append(3)),
    "list item": Case(lambda x, s: x * s[1], lambda: [1, 2], lambda s: s.__setitem__(1, 7)),
    "list of an attribute": Case(lambda x, s: x * sum(s.items), Settings, lambda s: s.items.append(4)),
    "dict keys": Case(lambda x, s: list(s), lambda: {"a": 1, "b": 2}, lambda s: s.update(c=3)),
    "dict key order": Case(
        lambda x, s: [(k, x) for k in s], lambda: {"a": 1, "b": 2}, lambda s: s.__setitem__("a", s.pop("a"))
    ),
    "dict key type": Case(lambda x, s: list(s), lambda: {1: "a"}, lambda s: (s.clear(), s.update({True: "a"}))),
    "set": Case(lambda x, s: x * (3 in s), lambda: {1, 2}, lambda s: s.add(3)),
    "bool for int": Case(lambda x, s: (x, s[0]), lambda: [1], lambda s: s.__setitem__(0, True)),
    "float for int": Case(lambda x, s: (x, s[0]), lambda: [1], lambda s: s.__setitem__(0, 1.0)),
    "negative zero": Case(lambda x, s: x * s[0], lambda: [0.0], lambda s: s.__setitem__(0, -0.0)),
    "nan": Case(lambda x, s: x * s[0], lambda: [1.0], lambda s: s.__setitem__(0, float("nan"))),
    "string": Case(lambda x, s: x * len(s[0]), lambda: ["ab"], lambda s: s.__setitem__(0, "abc")),
    "none": Case(lambda x, s: x if s[0] is None else x * 2, lambda: [None], lambda s: s.__setitem__(0, 1)),
    "identity": Case(
        lambda x, s: x * (s[0] is s[1]), lambda: [Settings(), Settings()], lambda s: s.__setitem__(1, s[0])
    ),
    "aliased objects": Case(
        lambda x, s: (setattr(s[0], "value", 10), x * s[1].value)[1], lambda: [Settings(), Settings()],
        lambda s: s.__setitem__(1, s[0]),
    ),
    "aliased lists": Case(
        lambda x, s: (s[0].append(1), x * len(s[1]))[1], lambda: [[1], [1]], lambda s: s.__setitem__(1, s[0])
    ),
    "separated lists": Case(
        lambda x, s: (s[0].append(1), x * len(s[1]))[1], lambda: [[1]] * 2, lambda s: s.__setitem__(1, [1])
    ),
    "shape": Case(lambda x, s: s[0] * 2, lambda: [ramp(2)], lambda s: s.__setitem__(0, ramp(3))),
    "rank": Case(lambda x, s: (s[0] * 2, s[0].ndim), lambda: [ramp(4)], lambda s: s.__setitem__(0, ramp(2, 2))),
    "dtype": Case(lambda x, s: s[0] * 2, lambda: [ramp(2)], lambda s: s.__setitem__(0, F.arange(2))),
    "strides": Case(
        lambda x, s: (s[0] * 2, s[0].stride()), lambda: [ramp(2, 2)], lambda s: s.__setitem__(0, ramp(2, 2).T)
    ),
    "requires_grad": Case(lambda x, s: s[0] * 2, lambda: [ramp(2)], lambda s: s[0].requires_grad_()),
    "requires_grad asked": Case(
        lambda x, s: (s[0] * 2, s[0].requires_grad), lambda: [ramp(2)], lambda s: s[0].requires_grad_()
    ),
    "what passes for a function": Case(
        lambda x, s: s[0](x), lambda: [helper], lambda s: s.__setitem__(0, PassingForHelper())
    ),
    "tensor for number": Case(lambda x, s: x * s[0], lambda: [2.0], lambda s: s.__setitem__(0, tensor(3.0))),
    "same tensor twice": Case(
        lambda x, s: (s[0] + s[1], s[0] is s[1]), lambda: [ramp(2), ramp(2)], lambda s: s.__setitem__(1, s[0])
    ),
    "written tensors alias": Case(
        lambda x, s: (s[0].add_(1), s[1] * 2), lambda: [ramp(2), ramp(2)], lambda s: s.__setitem__(1, s[0][0:2])
    ),
    "written tensors alias, as versions tell": Case(
        lambda x, s: (s[0].add_(1), s[1]._version), lambda: [ramp(3), ramp(3)],
        lambda s: s.__setitem__(slice(2), parts()),
    ),
    "setting": Case(
        lambda x, s: x * (3 if tg.are_deterministic_algorithms_enabled() else 2), lambda: None,
        lambda _: tg.use_deterministic_algorithms(True), lambda _: tg.use_deterministic_algorithms(False),
    ),
    "default dtype": Case(
        lambda x, s: (x > 1) / 2, lambda: None,
        lambda _: tg.set_default_dtype(tg.float64), lambda _: tg.set_default_dtype(tg.float32),
    ),
    "class dead and None in its place": Case(
        lambda x, s: x * 2 if s[0] is not None else x * 3, lambda: [type("Made", (), {})],
        lambda s: (s.__setitem__(0, None), gc.collect()),
    ),
    "train flag": Case(lambda x, s: (s(x), s.training), mlp, lambda s: s.eval()),
    "parameter frozen": Case(lambda x, s: s(x), mlp, lambda s: s[0].weight.requires_grad_(False)),
    "parameter replaced": Case(lambda x, s: s(x), mlp, lambda s: setattr(s[0], "weight", nn.Parameter(ramp(3, 3)))),
    "bias removed": Case(lambda x, s: s(x), mlp, lambda s: setattr(s[0], "bias", None)),
    "buffer": Case(lambda x, s: x + s.offset, mlp, lambda s: setattr(s, "offset", ramp(1, 3))),
    "module attribute": Case(lambda x, s: x * s.extra, mlp, lambda s: setattr(s, "extra", 12)),
    "submodule replaced": Case(lambda x, s: s(x), mlp, lambda s: setattr(s, "2", nn.Tanh())),
    "submodule added": Case(lambda x, s: s(x), mlp, lambda s: s.append(nn.Tanh())),
    "forward hook": Case(lambda x, s: s(x), mlp, lambda s: s[0].register_forward_hook(lambda m, a, y: y * 2)),
    "forward pre-hook": Case(lambda x, s: s(x), mlp, lambda s: s.register_forward_pre_hook(lambda m, a: (a[0] + 1,))),
    "hook removed": Case(
        lambda x, s: s[0](x), hooked, lambda s: s[1].remove(),
    ),
    "forward replaced": Case(lambda x, s: s(x), mlp, lambda s: setattr(s[0], "forward", lambda x: x)),
    "shared submodule": Case(lambda x, s: s(x), mlp, lambda s: setattr(s, "2", s[0])),
    "grad mode": Case(
        lambda x, s: s[0] * 2, lambda: [ramp(2, requires_grad=True)], lambda _: setattr(STATE, "enabled", False),
        lambda _: setattr(STATE, "enabled", True),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_change_is_seen(name: str) -> None:
    case = CASES[name]
    function = capture_of(case.program)
    state, reference = case.state(), case.state()
    x = ramp(2, 3)
    try:
        assert_same(function(x, state), case.program(x, reference))
        count = specialisation_count(function)
        assert_same(function(x, state), case.program(x, reference))
        if not function.family.breaks and "alias" not in name and "separated" not in name:
            assert specialisation_count(function) == count, "captured again without a change"
        case.change(state)
        if reference is not None and reference is not state and not isinstance(reference, types.CodeType):
            case.change(reference)
        assert_same(function(x, state), case.program(x, reference))
    finally:
        if case.undo is not None:
            case.undo(state)


def test_unchanged_world_is_not_captured_again() -> None:
    function = capture_of(lambda x: helper(x) * FACTOR + TABLE["a"] + len(NAMES))
    for _ in range(3):
        function(ramp(2))
    assert specialisation_count(function) == 1


def test_a_default_dtype_that_the_call_changes() -> None:
    def program(x: Tensor) -> Tensor:
        tg.set_default_dtype(tg.float64 if tg.get_default_dtype() is tg.float32 else tg.float32)
        return (x * 2).sum() + tg.zeros(2) + tg.arange(2) / 3

    function = tg.compile(program, fullgraph=True)
    try:
        for dtype in (tg.float64, tg.float32, tg.float64, tg.float32):
            assert function(tg.ones(2)).dtype is dtype is tg.get_default_dtype()
    finally:
        tg.set_default_dtype(tg.float32)


def test_grad_mode_context() -> None:
    function = capture_of(lambda x: x * 2)
    x = ramp(2, requires_grad=True)
    assert function(x).requires_grad
    with no_grad():
        assert not function(x).requires_grad
    assert function(x).requires_grad
    assert specialisation_count(function) == 2


def test_classes_registered_with_an_abstract_class() -> None:
    class Kind(abc.ABC):  # noqa: B024 - only its metaclass matters
        pass

    class Late:
        pass

    value = Late()
    function = capture_of(lambda x: x * 2 if isinstance(value, Kind) else x)
    x = ramp(2)
    assert_same(function(x), x)
    Kind.register(Late)
    assert_same(function(x), x * 2)
    assert_same(function(x), x * 2)
    assert specialisation_count(function) == 2


def test_a_rank_is_guarded_where_sizes_vary() -> None:
    function = capture_of(lambda x: x.sum(0) * x.dim())
    for shape in ((2, 3), (4, 3), (4, 3, 5), (4,), (5, 3)):
        assert_same(function(ramp(*shape)), ramp(*shape).sum(0) * len(shape))
    assert specialisation_count(function) == 4


class Shown:
    """Notes that its text, or an attribute that it has not, was asked for."""

    asked: ClassVar[list[str]] = []

    def __repr__(self) -> str:
        Shown.asked.append("repr")
        return "shown"

    def __getattr__(self, name: str) -> Any:
        Shown.asked.append(name)
        raise AttributeError(name)


SHOWN = [Shown(), Shown()]


def test_guards_ask_objects_for_no_names():
    def program(x, log):
        log.append(SHOWN[0] is SHOWN[1])
        return x, copy.copy(SHOWN)

    capture_of(program)(ramp(), [])
    assert Shown.asked == []
