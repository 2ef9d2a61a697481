"""What a trace has made comes out of it with the aliases and cycles of the original."""

from __future__ import annotations

import collections
import dataclasses
import enum
import weakref
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


def named_tuple_of_the_call(x: Tensor) -> Any:
    P = collections.namedtuple("P", ["a", "b"], defaults=[x.shape[0]])
    return P(x + 1), P


def typed_tuple_of_the_call(x: Tensor) -> Any:
    P = NamedTuple("P", [("a", Any), ("b", int)])  # noqa: UP014
    return P(x + 1, 2), P


def record_of_the_call(x: Tensor) -> Any:
    P = dataclasses.make_dataclass("P", ["a", ("b", int, 2)])
    return P(x + 1), P  # type: ignore[call-arg]


@pytest.mark.parametrize("program", [named_tuple_of_the_call, typed_tuple_of_the_call, record_of_the_call])
def test_a_class_of_the_library_is_made_by_each_call(program: Callable[..., Any]) -> None:
    function = capture_of(program, fullgraph=True)
    for _ in range(2):
        (found, cls), (wanted, expected) = function(ramp()), program(ramp())
        assert type(found) is cls is not type(wanted)
        assert (cls.__name__, cls.__module__, cls.__mro__[1:]) == ("P", expected.__module__, expected.__mro__[1:])
        assert (str(found), found.b) == (str(wanted), wanted.b)
    assert function(ramp())[1] is not cls and specialisation_count(function) == 1


def test_members_of_an_enum_that_the_call_makes() -> None:
    def program(x: Tensor) -> Any:
        Mode = enum.Flag("Mode", "ON FAST")  # type: ignore[misc]
        return x + 1, Mode.ON, Mode.ON | Mode.FAST, Mode

    function = capture_of(program, fullgraph=True)
    _, on, both, mode = function(ramp())
    assert on is mode.ON and both is mode.ON | mode.FAST
    assert function(ramp())[1] is not on and (on.name, mode.__module__) == ("ON", __name__)


def test_a_class_that_the_call_writes_to_is_not_made_again() -> None:
    def program(x: Tensor) -> Any:
        P = collections.namedtuple("P", "a")
        P.label = x.shape  # type: ignore[attr-defined]
        return P(x + 1)

    function = capture_of(program)
    for n in (2, 3):
        assert type(function(ramp(n))).label == (n,)
    assert "not-reconstructible" in {stop.reason.id for _, stop in family_of(function).breaks}


class Key:
    """Something that can be referred to weakly."""

    value: Any = None


def test_weak_dicts_leave_with_the_entries_whose_keys_live() -> None:
    def program(x: Tensor) -> Any:
        key, value, table, members = Key(), Key(), weakref.WeakKeyDictionary(), weakref.WeakSet()
        table[key], table[Key()] = value, 1
        table[value] = [key]
        value.value = x * 2
        members.add(value)
        members.add(Key())
        return table, members, key

    function = capture_of(program, fullgraph=True)
    for _ in range(2):
        table, members, key = function(ramp())
        assert list(table) == [key, table[key]] and list(members) == [table[key]]
        assert table[table[key]][0] is key and table[key].value.tolist() == (ramp() * 2).tolist()
        del key, table[list(table)[1]]
        assert not table and not members
    assert specialisation_count(function) == 1


def test_entries_of_weak_dicts_from_outside() -> None:
    table: Any = weakref.WeakKeyDictionary()
    kept: list[Key] = []

    def program(x: Tensor) -> Any:
        key = Key()
        table[key] = x * 2
        table[Key()] = x
        kept.append(key)
        return table[key] + 1, key in table, kept[0] in table

    function = capture_of(program)
    for count in range(1, 4):
        result, *found = function(ramp())
        assert result.tolist() == (ramp() * 2 + 1).tolist() and found == [True, True]
        assert list(table) == kept and len(kept) == count
        assert table[kept[-1]].tolist() == (ramp() * 2).tolist()
    assert not family_of(function).breaks
