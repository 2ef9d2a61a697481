"""Nested containers and functions on all their leaves (`torch.utils._pytree`).

Containers are dicts, lists, tuples, namedtuples, deques, and classes that were registered; everything else, None too,
is a leaf.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tracegraph.errors import ArgumentError, ValueRangeError

Flatten = Callable[[Any], tuple[Iterable[Any], Any]]
Unflatten = Callable[[Iterable[Any], Any], Any]
IsLeaf = Callable[[Any], bool]


@dataclass(frozen=True)
class TreeSpec:
    """The structure of a tree: the type of a container, what is needed to make it again, and its items' structures.

    Of a leaf the type is None.
    """

    type: Any
    context: Any
    children_specs: tuple[TreeSpec, ...]

    @property
    def num_leaves(self) -> int:
        return 1 if self.type is None else sum(child.num_leaves for child in self.children_specs)

    @property
    def num_children(self) -> int:
        return len(self.children_specs)

    @property
    def keys(self) -> tuple[Any, ...]:
        """The keys of a dict."""
        return tuple(self.context[1] if self.type is defaultdict else self.context)

    def is_leaf(self) -> bool:
        return self.type is None

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """The tree of this structure with these leaves."""
        return tree_unflatten(leaves, self)


_LEAF = TreeSpec(None, None, ())


def _flatten_values(tree: Any) -> tuple[list[Any], Any]:
    return list(tree.values()), list(tree)


def _flatten_items(tree: Any) -> tuple[list[Any], Any]:
    return list(tree), None


_CONTAINERS: dict[type, tuple[Flatten, Unflatten]] = {
    dict: (_flatten_values, lambda items, keys: dict(zip(keys, items, strict=True))),
    OrderedDict: (_flatten_values, lambda items, keys: OrderedDict(zip(keys, items, strict=True))),
    defaultdict: (
        lambda tree: (list(tree.values()), (tree.default_factory, list(tree))),
        lambda items, context: defaultdict(context[0], zip(context[1], items, strict=True)),
    ),
    list: (_flatten_items, lambda items, context: list(items)),
    tuple: (_flatten_items, lambda items, context: tuple(items)),
    deque: (lambda tree: (list(tree), tree.maxlen), lambda items, length: deque(items, maxlen=length)),
}


def register_pytree_node(cls: type, flatten_fn: Flatten, unflatten_fn: Unflatten, **kwargs: Any) -> None:
    """Let instances of `cls` be containers.

    Args:
        flatten_fn: gives the items of an instance, and what else is needed to make it again.
        unflatten_fn: makes an instance of both.

    Raises:
        ValueRangeError: they are containers already.
    """
    if cls in _CONTAINERS:
        raise ValueRangeError(f"register_pytree_node: {cls.__name__} is registered already")
    _CONTAINERS[cls] = flatten_fn, unflatten_fn


def _parts(tree: Any) -> tuple[Any, list[Any], Any]:
    """Type, items and context of a container; the type None for a leaf."""
    kind = type(tree)
    if kind in _CONTAINERS:
        items, context = _CONTAINERS[kind][0](tree)
        return kind, list(items), context
    if isinstance(tree, tuple) and hasattr(kind, "_fields"):
        return kind, list(tree), None
    return None, [], None


def tree_flatten(tree: Any, is_leaf: IsLeaf | None = None) -> tuple[list[Any], TreeSpec]:
    """The leaves of a tree in order, and its structure.

    Args:
        is_leaf: whether a container is taken for a leaf.
    """
    leaves: list[Any] = []
    return leaves, _collect(tree, is_leaf, leaves)


def _collect(tree: Any, is_leaf: IsLeaf | None, leaves: list[Any]) -> TreeSpec:
    kind, items, context = (None, [], None) if is_leaf is not None and is_leaf(tree) else _parts(tree)
    if kind is None:
        leaves.append(tree)
        return _LEAF
    return TreeSpec(kind, context, tuple([_collect(item, is_leaf, leaves) for item in items]))


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> Any:
    """The tree of this structure with these leaves.

    Raises:
        ValueRangeError: there are more or fewer leaves than the structure has.
    """
    given = list(leaves)
    if len(given) != treespec.num_leaves:
        raise ValueRangeError(f"tree_unflatten: {len(given)} leaves for a structure of {treespec.num_leaves}")
    return _made(treespec, given, 0)


def _made(spec: TreeSpec, leaves: Sequence[Any], start: int) -> Any:
    if spec.type is None:
        return leaves[start]
    items = []
    for child in spec.children_specs:
        items.append(_made(child, leaves, start))
        start += child.num_leaves
    if spec.type in _CONTAINERS:
        return _CONTAINERS[spec.type][1](items, spec.context)
    return spec.type(*items)


def tree_leaves(tree: Any, is_leaf: IsLeaf | None = None) -> list[Any]:
    """The leaves of a tree in order."""
    return tree_flatten(tree, is_leaf)[0]


def tree_structure(tree: Any, is_leaf: IsLeaf | None = None) -> TreeSpec:
    """The structure of a tree."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: IsLeaf | None = None) -> Any:
    """A tree of `func` of every leaf, and of those at the same place of the other trees.

    Raises:
        ArgumentError: another tree does not have the structure of the first.
    """
    leaves, spec = tree_flatten(tree, is_leaf)
    others = [_up_to(spec, rest) for rest in rests]
    return _made(spec, [func(*together) for together in zip(leaves, *others, strict=True)], 0)


def _up_to(spec: TreeSpec, tree: Any) -> list[Any]:
    """The parts of a tree at the places of the leaves of `spec`."""
    if spec.type is None:
        return [tree]
    kind, items, context = _parts(tree)
    if kind is not spec.type or len(items) != len(spec.children_specs):
        raise ArgumentError(f"trees differ: {spec.type.__name__} of {spec.num_children} items, and {tree!r:.60}")
    if issubclass(kind, dict) and context != spec.context:
        try:
            items = [tree[key] for key in spec.keys]
        except KeyError as error:
            raise ArgumentError(f"trees differ: a dict has no key {error}") from None
    found: list[Any] = []
    for child, item in zip(spec.children_specs, items, strict=True):
        found += _up_to(child, item)
    return found


def tree_map_(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: IsLeaf | None = None) -> Any:
    """Call `func` of every leaf for what it does; the tree itself."""
    tree_map(func, tree, *rests, is_leaf=is_leaf)
    return tree


def tree_map_only(types: Any, func: Callable[[Any], Any], tree: Any, is_leaf: IsLeaf | None = None) -> Any:
    """A tree of `func` of the leaves that are of these types, and the others as they are."""
    return tree_map(lambda leaf: func(leaf) if isinstance(leaf, types) else leaf, tree, is_leaf=is_leaf)


def tree_all(pred: Callable[[Any], bool], tree: Any, is_leaf: IsLeaf | None = None) -> bool:
    """Whether `pred` holds for all leaves."""
    return all(pred(leaf) for leaf in tree_leaves(tree, is_leaf))


def tree_any(pred: Callable[[Any], bool], tree: Any, is_leaf: IsLeaf | None = None) -> bool:
    """Whether `pred` holds for a leaf."""
    return any(pred(leaf) for leaf in tree_leaves(tree, is_leaf))
