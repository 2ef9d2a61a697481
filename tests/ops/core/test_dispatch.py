"""Dispatch by operand type: inherited handlers, numbers, and calls without any tensor."""

from __future__ import annotations

from typing import Any

import pytest

import tracegraph as tg
from tracegraph.errors import ArgumentError
from tracegraph.ops import functional as F
from tracegraph.ops.core import dispatch


class Noted(tg.Tensor):
    """A subclass without a handler of its own."""

    __slots__ = ()


def test_a_subclass_inherits_the_handler() -> None:
    x = Noted(tg.ones(2)._np)
    assert (x + 1).tolist() == (1 + x).tolist() == (x + x).tolist() == [2, 2]
    assert dispatch._HANDLERS[Noted] == dispatch._HANDLERS[tg.Tensor]


def test_the_highest_rank_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    class Greedy(tg.Tensor):
        __slots__ = ()

    monkeypatch.setattr(dispatch, "_HANDLERS", dict(dispatch._HANDLERS))

    def take(op: Any, operands: tuple[Any, ...], attrs: dict[str, Any]) -> str:
        return f"{op.name} of {len(operands)}"

    dispatch.register_handler(Greedy, take, rank=5)
    x, greedy = tg.ones(2), Greedy(tg.ones(2)._np)
    assert x + greedy == greedy + x == greedy + 1 == 1 + greedy == "add of 2"
    assert type(x + x) is tg.Tensor


def test_numbers_have_no_handler() -> None:
    before = dict(dispatch._HANDLERS)
    for number in (True, 1, 1.5):
        assert (tg.ones(2) * number).tolist() == [number, number]
    assert before == dispatch._HANDLERS
    with pytest.raises(ArgumentError, match="exp"):
        F.exp("x")
