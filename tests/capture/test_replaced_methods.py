"""Methods of tensors that the program replaces or adds, before and after a function was captured, and puts back."""

from __future__ import annotations

import operator
import types
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest
from captured import assert_same, capture_of, family_of, observe, ramp

import tracegraph as tg
from tracegraph import nn
from tracegraph.tensor import Tensor

MISSING: Any = object()
MUL = tg.mul


@contextmanager
def replaced(cls: type, name: str, value: Any) -> Iterator[None]:
    before = vars(cls).get(name, MISSING)
    setattr(cls, name, value)
    try:
        yield
    finally:
        if before is MISSING:
            delattr(cls, name)
        else:
            setattr(cls, name, before)


def copy_of(function: Any) -> Any:
    return types.FunctionType(function.__code__, function.__globals__, function.__name__, None, function.__closure__)


def square() -> tuple[Any, ...]:
    return (ramp(2, 2),)


def assert_agree(captured: Any, program: Any, make: Callable[[], tuple[Any, ...]]) -> None:
    expected, actual = observe(program, make()), observe(captured, make())
    assert actual.error == expected.error
    assert actual.printed == expected.printed
    assert_same(actual.result, expected.result)
    assert_same(actual.args, expected.args)


def check(program: Any, cls: type, name: str, *values: Any, make: Callable[[], tuple[Any, ...]] = square) -> None:
    """Eager and captured agree while the attribute is the library's, each of `values`, and the library's again."""
    early, late = capture_of(program), capture_of(copy_of(program))
    assert_agree(early, program, make)
    for value in values:
        with replaced(cls, name, value):
            assert_agree(early, program, make)
            assert_agree(late, program, make)
        assert_agree(early, program, make)
        assert_agree(late, program, make)


def tripled(self: Tensor, *args: Any, **kwargs: Any) -> Any:
    return MUL(self, 3.0)


def negated(self: Tensor, *args: Any, **kwargs: Any) -> Any:
    return MUL(self, -1.0)


#: drawn by name, so that every method has its turn in some version of the library
METHODS = sorted(
    name
    for name in dir(Tensor)
    if not name.startswith("_") and callable(getattr(Tensor, name)) and zlib.crc32(name.encode()) % 12 == 0
)
PROPERTIES = ("T", "mT", "ndim", "device", "is_leaf", "data", "nbytes")


def program_of(expression: str) -> Any:
    names: dict[str, Any] = {"operator": operator}
    exec(f"def program(x):\n    y = {expression}\n    return y", names)
    return names["program"]


@pytest.mark.parametrize("part", range(4))
def test_methods(part: int) -> None:
    assert len(METHODS) > 20
    for name in METHODS[part::4]:
        program = program_of(f"x.{name}()")
        late = capture_of(program)
        with replaced(Tensor, name, tripled):
            assert_agree(late, program, square)
        with replaced(Tensor, name, negated):
            assert_agree(late, program, square)


@pytest.mark.parametrize("name", PROPERTIES)
def test_properties(name: str) -> None:
    check(program_of(f"x.{name}"), Tensor, name, property(lambda self: 5), property(lambda self: MUL(self, 2)))


SPECIAL = {
    "__add__": "x + 1", "__radd__": "1 + x", "__iadd__": "operator.iadd(x, x)", "__matmul__": "x @ x",
    "__neg__": "-x", "__abs__": "abs(x)", "__lt__": "x < 2", "__eq__": "x == x", "__getitem__": "x[0]",
    "__call__": "x(2)", "__divmod__": "divmod(x, x)", "__round__": "round(x)", "__enter__": "x.__enter__()",
    "__pow__": "x ** 2", "__invert__": "~x", "__setitem__": "x.__setitem__(0, 1.0)", "__getattr__": "x.unheard_of",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(SPECIAL))
def test_special_methods(name: str) -> None:
    check(program_of(SPECIAL[name]), Tensor, name, tripled, negated)


ANSWERS: dict[str, tuple[str, Any]] = {
    "__len__": ("len(x)", lambda self: 7),
    "__iter__": ("[t for t in x]", lambda self: iter([1, 2])),
    "__reversed__": ("list(reversed(x))", lambda self: iter([3])),
    "__bool__": ("1 if x else 2", lambda self: False),
    "__float__": ("float(x)", lambda self: 2.5),
    "__index__": ("[1, 2, 3][x]", lambda self: 2),
    "__contains__": ("1.0 in x", lambda self, item: False),
    "__repr__": ("repr(x)", lambda self: "a tensor"),
    "__format__": ("f'{x}'", lambda self, spec: "a tensor"),
    "__hash__": ("hash(x) * 0 + len({x: 1})", lambda self: 3),
    "__getattribute__": ("x.ndim", lambda self, name: 3 if name == "ndim" else object.__getattribute__(self, name)),
}


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_questions_that_the_interpreter_asks(name: str) -> None:
    expression, answer = ANSWERS[name]
    check(program_of(expression), Tensor, name, answer)


def test_methods_that_were_not_there() -> None:
    check(program_of("x.tripled() if hasattr(x, 'tripled') else x"), Tensor, "tripled", tripled, negated)
    check(program_of("getattr(x, 'scale', 2) * x"), Tensor, "scale", 3, property(lambda self: 4))
    check(program_of("x.made(2)"), Tensor, "made", staticmethod(lambda n: n), classmethod(lambda cls, n: cls.__name__))


def test_replaced_methods_call_the_original() -> None:
    relu, double, stride = Tensor.relu, Tensor.double, Tensor.stride
    check(lambda x: (x - 2).relu(), Tensor, "relu", lambda self: relu(self) + 1, tg.sigmoid)
    check(lambda x: x.double(), Tensor, "double", lambda self: double(self) * 2)
    check(lambda x: x.t().stride(), Tensor, "stride", lambda self: stride(self)[::-1])


def test_library_code_that_uses_a_method() -> None:
    check(lambda x: [row * 2 for row in x], Tensor, "unbind", lambda self, dim: [self * 5])
    check(lambda x: x.float(), Tensor, "to", negated)
    check(lambda x: x.double(), Tensor, "to", negated)


def test_parameters_have_a_class_of_their_own() -> None:
    weight = nn.Parameter(ramp(2, 2))
    check(lambda x: x + weight.abs(), nn.Parameter, "abs", negated)
    check(lambda x: x * weight, nn.Parameter, "__rmul__", lambda self, other: other + 1)
    check(lambda x: hasattr(weight, "is_frozen"), nn.Parameter, "is_frozen", True)


def test_gradients_inside_and_outside() -> None:
    def inside(x: Tensor) -> Any:
        y = x.detach().requires_grad_()
        (gradient,) = tg.autograd.grad(y.exp().sum(), y)
        return gradient

    def outside(x: Tensor) -> Any:
        y = x.detach().requires_grad_()
        captured(y).backward()
        return y.grad

    captured = capture_of(lambda y: y.exp().sum())
    exp = Tensor.exp
    check(inside, Tensor, "exp", lambda self: exp(self) * 2)
    check(outside, Tensor, "exp", lambda self: exp(self) * 2)


def test_methods_bound_before() -> None:
    x = ramp(2, 2)
    relu = x.relu

    def program(y: Tensor) -> Any:
        return y + relu()

    check(program, Tensor, "relu", tripled)
    assert_agree(capture_of(lambda y: types.MethodType(tripled, y)()), lambda y: MUL(y, 3.0), square)


def test_methods_of_derived_classes() -> None:
    class Point(Tensor):
        def moved(self) -> Any:
            return self + 1

    check(lambda p: p.moved(), Point, "moved", negated, make=lambda: (Point(ramp(2)._np.copy()),))


def test_calls_of_mocks() -> None:
    def program(x: Tensor) -> Any:
        return x.relu() * 2

    captured = capture_of(program)
    assert_agree(captured, program, square)
    for _ in range(2):
        with mock.patch.object(Tensor, "relu", return_value=ramp(2, 2)) as relu:
            assert_agree(captured, program, square)
            assert relu.call_count == 2
        with mock.patch.object(Tensor, "relu", autospec=True, side_effect=negated):
            assert_agree(captured, program, square)
        assert_agree(captured, program, square)


def test_what_is_put_back_is_not_captured_again() -> None:
    captured = capture_of(lambda x: x.relu())
    for _ in range(3):
        captured(ramp(2, 2))
        with replaced(Tensor, "relu", tripled):
            captured(ramp(2, 2))
        with replaced(Tensor, "no_method_of_the_library", tripled):
            captured(ramp(2, 2))
    (first,) = family_of(captured).recompiles
    assert "Tensor.relu" not in str(first[1].failed[0].guard)
    assert "no method of Tensor is replaced" in str(first[1])


def test_classes_that_captured_code_changes() -> None:
    def program(x: Tensor) -> Any:
        Tensor.tripled = tripled
        try:
            return x.tripled()
        finally:
            del Tensor.tripled

    assert_agree(capture_of(program), program, square)
