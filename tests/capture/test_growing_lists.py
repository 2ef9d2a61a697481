"""Loops that a graph break splits and that collect their results: the parts are captured once, not once a round."""

from __future__ import annotations

import random
from typing import Any

from captured import assert_same, capture_of, family_of

import tracegraph as tg
from tracegraph.tensor import Tensor


def most_specialisations(function: Any) -> int:
    return max(len(unit.specialisations) for unit in family_of(function).units.values())


def test_results_of_a_loop_with_a_break_take_one_trace() -> None:
    def program(x: Tensor, n: int) -> Any:
        losses = []
        for _ in range(n):
            x = x * 1.5
            losses.append(x.sum().item())
        return losses

    function = capture_of(program)
    assert function(tg.ones(3), 20) == program(tg.ones(3), 20)
    assert most_specialisations(function) == 1 and not family_of(function).given_up


def test_a_recurrence_that_sometimes_sees_its_target() -> None:
    """Teacher forcing: as many specialisations as ways through a round, however many rounds there are."""

    def program(target: Tensor, p: float) -> Any:
        seen, out = target[:, 0], []
        for t in range(30):
            y = (seen * 0.5).sin()
            out.append(y)
            seen = target[:, t] if random.random() < p else y
        return tg.stack(out, 1)

    function, target = capture_of(program), tg.rand(2, 30)
    for start in range(3):
        random.seed(start)
        expected = program(target, 0.5), random.getstate()
        random.seed(start)
        assert_same((function(target, 0.5), random.getstate()), expected)
    assert most_specialisations(function) <= 3 and not family_of(function).given_up


def test_a_list_of_another_call_may_be_another_argument() -> None:
    def program(x: Tensor, a: list[Any], b: list[Any]) -> Any:
        a.append(1)
        b.append(2)
        a.append(3)
        return x * 2

    function = capture_of(program)
    for is_one in (False, True, False, True):
        first: list[Any] = []
        second: list[Any] = first if is_one else []
        function(tg.ones(2), first, second)
        assert first == ([1, 2, 3] if is_one else [1, 3])


def test_a_list_too_large_to_be_copied_is_not_written_to_by_the_trace() -> None:
    def program(x: Tensor, large: list[Any]) -> Any:
        append = large.append
        held = [large]
        append(x + 1)
        return held[0] is large, len(large)

    large: list[Any] = list(range(20_000))
    expected: list[Any] = list(large)
    function = capture_of(program)
    for _ in range(2):
        assert function(tg.ones(3), large) == program(tg.ones(3), expected)
    assert [type(item) for item in large[20_000:]] == [tg.Tensor] * 2
