"""Lists that code behind a graph break only appends to."""

from __future__ import annotations

from typing import Any

from captured import ramp

from programs import program
from tracegraph.tensor import Tensor


def several() -> tuple[Any, ...]:
    return ramp(), [1, "a"], [2.0]


def one_twice() -> tuple[Any, ...]:
    items: list[Any] = [1]
    return ramp(), items, items


@program(several, one_twice)
def appends_to_arguments(x: Tensor, a: list[Any], b: list[Any]) -> Any:
    a.append(x * 2)
    b.append("b")
    a.append(3)
    return x + 1


@program(several, one_twice)
def reads_after_appending(x: Tensor, a: list[Any], b: list[Any]) -> Any:
    a.append(x * 2)
    b.append(len(a))
    return len(b), a[0], b[-1], a is b, x


@program(several, one_twice)
def appends_its_own_length(x: Tensor, a: list[Any], b: list[Any]) -> Any:
    a.append(len(a))
    a.append(a.append)
    del a[-1]
    b.append(0)
    return [*map(type, a)], len(b), x


@program(several, one_twice)
def finds_it_in_another(x: Tensor, a: list[Any], b: list[Any]) -> Any:
    a.append(7)
    held = {"a": a, "b": b}
    held["a"].append(8)
    b.append(9)
    return held["b"][-1], len(held["a"]), x


@program(several, one_twice, breaks=("side-effect", "opaque-iterator"))
def appends_around_a_break(x: Tensor, a: list[Any], b: list[Any]) -> Any:
    out: list[Any] = []
    for i in range(3):
        out.append(x * i)
        a.append(i)
        print(len(out))
        b.append(out[-1])
        out.append(i)
    return out, len(a), x


@program(several, breaks=("data-dependent", "opaque-iterator"))
def breaks_in_the_argument(x: Tensor, a: list[Any], b: list[Any]) -> Any:
    for i in range(12):
        a.append((x * i).sum().item())
        b.append(i)
    return a, b


@program(several, breaks=("side-effect",))
def appends_and_fails(x: Tensor, a: list[Any], b: list[Any]) -> Any:
    print("begin")
    a.append(x)
    try:
        a.append(1, 2)
    except TypeError as error:
        b.append(str(error))
    return a, b


class Loud(list[Any]):
    """A list whose `append` does more."""

    def append(self, item: Any) -> None:
        print("append", len(self))
        super().append(item)


@program(lambda: (ramp(), Loud()), breaks=("side-effect",))
def a_derived_list(x: Tensor, a: Loud) -> Any:
    a.append(x)
    return a
