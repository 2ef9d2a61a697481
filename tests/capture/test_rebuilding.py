"""What a trace has made comes out of it with the aliases and cycles of the original."""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from captured import capture_of, ramp, specialisation_count

from tracegraph.capture.compiled_function import family_of
from tracegraph.tensor import Tensor


class Pair(NamedTuple):
    first: Any
    second: Any


def one_tuple_twice(x: Tensor) -> Any:
    pair = (x + 1,)
    return pair, pair


def one_method_twice(x: Tensor) -> Any:
    append = [x + 1].append
    return append, append


def one_slice_twice(x: Tensor) -> Any:
    part = slice(0, x.shape[0])
    return part, part, x + 1


def tuple_in_itself(x: Tensor) -> Any:
    items = [x + 1]
    pair = (items,)
    items.append(pair)
    return pair, items[1]


def named_tuple_in_itself(x: Tensor) -> Any:
    items = [x * 2]
    pair = Pair(items, x + 1)
    items.append(pair)
    return pair, pair.first[1]


def ordered_dict_in_itself(x: Tensor) -> Any:
    table: Any = collections.OrderedDict(x=x + 1)
    table["self"] = table
    return table, table["self"]


def default_dict_in_itself(x: Tensor) -> Any:
    table: Any = collections.defaultdict(list, x=x + 1)
    table["self"] = table
    return table, table["self"]


def deque_in_itself(x: Tensor) -> Any:
    items: Any = collections.deque([x + 1], 5)
    items.append(items)
    return items, items[-1]


PROGRAMS = [
    one_tuple_twice, one_method_twice, one_slice_twice, tuple_in_itself, named_tuple_in_itself, ordered_dict_in_itself,
    default_dict_in_itself, deque_in_itself,
]  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_an_object_stays_one_object(program: Callable[..., Any]) -> None:
    captured = capture_of(program)
    for result in (program(ramp()), captured(ramp()), captured(ramp())):
        assert result[0] is result[1]
    assert specialisation_count(captured) == 1
    assert not family_of(captured).breaks
