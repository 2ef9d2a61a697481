"""Trees of tensors: their parts in order, and back."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque, namedtuple
from typing import Any

import pytest

import tracegraph as tg
from tracegraph.ops.control.control_flow import type_of
from tracegraph.ops.graphs.structure import described, flatten, static_parts, unflatten

Pair = namedtuple("Pair", ["first", "second"])
A, B, C = tg.ones(2), tg.zeros(3), tg.tensor(7)

TREES: list[Any] = [
    A,
    (A, [B, (C,)]),
    {"b": A, "a": {"c": B}},
    OrderedDict(z=A, y=[]),
    Pair(A, Pair((B,), None)),
    [],
    [1, "text", None, A],
    defaultdict(list, {"a": A, "b": [B]}),
    deque([A, 2, B], maxlen=3),
]


@pytest.mark.parametrize("tree", TREES, ids=str)
def test_there_and_back(tree: Any) -> None:
    leaves, structure = flatten(tree)
    back = unflatten(structure, leaves)
    assert type(back) is type(tree)
    again, same = flatten(back)
    assert same == structure
    assert [a is b for a, b in zip(again, leaves, strict=True)] == [True] * len(leaves)


def test_leaves_are_in_order() -> None:
    leaves, _ = flatten({"b": [A, B], "a": Pair(C, 1)})
    assert [a is b for a, b in zip(leaves, (A, B, C), strict=True)] == [True] * 3


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((A,), [A]),
        ((A,), (A, A)),
        ({"a": A}, {"b": A}),
        (Pair(A, B), (A, B)),
        ([1], [2]),
        ([1], [1.0]),
        ([0], [False]),
        (A, None),
    ],
    ids=str,
)
def test_structures_differ(a: Any, b: Any) -> None:
    assert flatten(a)[1] != flatten(b)[1]


def test_dicts_with_keys_in_another_order_differ() -> None:
    assert flatten({"a": A, "b": B})[1] != flatten({"b": B, "a": A})[1]


def test_what_is_no_tensor() -> None:
    marker = object()
    assert static_parts(flatten([A, {"k": marker}, (3, None)])[1]) == [marker, 3, None]
    assert flatten(marker)[1] == flatten(marker)[1]
    assert flatten(marker)[1] != flatten(object())[1]


def test_description() -> None:
    leaves, structure = flatten((A, {"k": [B, 3]}, Pair(C, None)))
    types = list(map(type_of, leaves))
    assert described(structure, types) == "(f32[2], {'k': [f32[3], 3]}, Pair(i64[], None))"
    assert described(flatten((A,))[1], types[:1]) == "(f32[2],)"
    assert described(flatten(deque([A]))[1], types[:1]) == "deque(f32[2])"
    assert described(flatten(defaultdict(int, a=A))[1], types[:1]) == "{'a': f32[2]}"
