"""Trees of containers: flattened, made again, mapped; captured as other code."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque, namedtuple
from typing import Any

import pytest
from captured import check, ramp

import tracegraph as tg
from tracegraph.errors import ArgumentError, ValueRangeError
from tracegraph.utils import _pytree as pytree

Pair = namedtuple("Pair", "first second")


class Box:
    def __init__(self, content: Any) -> None:
        self.content = content


pytree.register_pytree_node(Box, lambda box: ([box.content], None), lambda items, _: Box(next(iter(items))))

TREES = [
    1,
    None,
    [1, (2, 3), {"a": 4, "b": []}],
    Pair(1, [2]),
    OrderedDict(b=1, a=2),
    defaultdict(list, x=1),
    deque([1, 2], maxlen=3),
]


@pytest.mark.parametrize("tree", TREES, ids=repr)
def test_flatten_and_back(tree: Any) -> None:
    leaves, spec = pytree.tree_flatten(tree)
    again = pytree.tree_unflatten(leaves, spec)
    assert again == tree and type(again) is type(tree) and spec.num_leaves == len(leaves)
    assert spec == pytree.tree_structure(pytree.tree_map(lambda leaf: "other", tree))
    assert spec.unflatten(iter(leaves)) == tree and spec.is_leaf() == (leaves == [tree])


def test_maps() -> None:
    tree = {"a": [1, 2.5], "b": (3,)}
    assert pytree.tree_map(lambda x: x * 2, tree) == {"a": [2, 5.0], "b": (6,)}
    assert pytree.tree_map(lambda x, y: (x, y), {"a": 1, "b": 2}, {"b": 3, "a": [4]}) == {"a": (1, [4]), "b": (2, 3)}
    assert pytree.tree_map_only(int, str, tree) == {"a": ["1", 2.5], "b": ("3",)}
    assert pytree.tree_map(sum, tree, is_leaf=lambda x: isinstance(x, list | tuple)) == {"a": 3.5, "b": 3}
    seen: list[Any] = []
    assert pytree.tree_map_(seen.append, tree) is tree and seen == [1, 2.5, 3] == pytree.tree_leaves(tree)
    assert pytree.tree_all(lambda x: x > 0, tree) and not pytree.tree_any(lambda x: x > 3, tree)
    assert pytree.tree_map(lambda x: x + 1, Box([1])).content == [2]


def test_errors() -> None:
    with pytest.raises(ArgumentError, match="trees differ: list of 2 items"):
        pytree.tree_map(max, [1, 2], [1])
    with pytest.raises(ArgumentError, match="no key 'b'"):
        pytree.tree_map(max, {"a": 1, "b": 2}, {"a": 1, "c": 2})
    with pytest.raises(ValueRangeError, match="2 leaves for a structure of 1"):
        pytree.tree_unflatten([1, 2], pytree.tree_structure([0]))
    with pytest.raises(ValueRangeError, match="registered already"):
        pytree.register_pytree_node(list, lambda x: (x, None), lambda items, _: items)


def test_captured() -> None:
    def program(x):
        tree = pytree.tree_map(lambda t: t * 2, {"a": x, "b": [x, Pair(x, 1)]})
        leaves, spec = pytree.tree_flatten(tree)
        doubled = pytree.tree_map_only(tg.Tensor, lambda t: t + 1, tree)
        return doubled, pytree.tree_unflatten(leaves, spec), spec.num_leaves, pytree.tree_any(tg.is_tensor, tree)

    check(program, lambda: (ramp(),), graphs=1, fullgraph=True)
