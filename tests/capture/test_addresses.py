"""Where tensors lie, and how often they were written to: what `data_ptr()` and `_version` tell captured code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from captured import assert_same, capture_of, check, graphs_of, ramp

import tracegraph as tg


def same_place(a, b):
    if a.data_ptr() == b.data_ptr():
        return a * 2
    return a + b


def number_of_places(a, b):
    places = {t.data_ptr() for t in (a, b, a[1:], b[1:], a.t(), a.detach(), a * 1)}
    return a * len(places)


def views_of_one_memory(a, b):
    made = a * b
    rows = made[1:]
    asked = [t.data_ptr() == made.data_ptr() for t in (rows, rows.t(), made.view(-1), made[:, :1], made.contiguous())]
    return made, asked, made.t().contiguous().data_ptr() != made.data_ptr(), made.data_ptr() != 0


def given_memory(a, b):
    a.data = b
    return a.data_ptr() == b.data_ptr(), a.data_ptr() in {b.data_ptr(): 1}, a + 1


def versions(a, b):
    made = a * b
    before = made._version, b._version
    made.add_(1)
    made[0].mul_(2)
    made.data.zero_()
    b.copy_(made)
    data = a.data
    data.add_(1)
    return made, before, (made._version, made[1:]._version, b._version, a._version, data._version)


def distinct() -> tuple[Any, ...]:
    return ramp(), ramp() + 1


def twice_the_same() -> tuple[Any, ...]:
    a = ramp()
    return a, a.detach()


def overlapping() -> tuple[Any, ...]:
    base = ramp(3, 3)
    return base[:2], base[1:]


@pytest.mark.parametrize("program", [same_place, number_of_places, views_of_one_memory, given_memory, versions])
def test_one_graph(program: Callable[..., Any]) -> None:
    captured = check(program, distinct, fullgraph=True)
    assert len(graphs_of(captured)) == 1


@pytest.mark.parametrize("program", [same_place, number_of_places])
def test_other_aliases_are_noticed(program: Callable[..., Any]) -> None:
    check(program, distinct, twice_the_same, overlapping, distinct, overlapping, fullgraph=True)


def test_versions_that_writes_to_another_argument_count() -> None:
    def written_beside(a, b):
        a.add_(1)
        return b._version

    check(written_beside, distinct, overlapping, distinct, overlapping, breaks=("aliased-inputs",))
    check(written_beside, overlapping, distinct, breaks=("aliased-inputs",))


def test_versions_that_vary_are_a_symbol() -> None:
    captured = capture_of(lambda x: (x * 2, x._version + 1), fullgraph=True)
    x = ramp()
    for _ in range(5):
        x.add_(1)
        assert_same(captured(x), (x * 2, x._version + 1))
    assert len(graphs_of(captured)) <= 2


def test_an_address_that_is_returned_is_the_tensors() -> None:
    x = ramp()
    made, address, given = capture_of(lambda x: (y := x * 2, y.data_ptr(), x.data_ptr()), fullgraph=True)(x)
    assert (address, given) == (made.data_ptr(), x.data_ptr())


def digits(x):
    return x * (x.data_ptr() % 2)


def kind_of_history(x):
    y = x * 2
    return y, type(y.grad_fn).__name__, isinstance(y.grad_fn, tg.Tensor)


@pytest.mark.parametrize("program", [digits, kind_of_history])
def test_what_nobody_knows_breaks_the_graph(program: Callable[..., Any]) -> None:
    check(program, lambda: (ramp(requires_grad=True),), breaks=None)
