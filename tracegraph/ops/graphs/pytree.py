"""Nested containers of tensors, as control flow takes and returns them: dict, list, tuple, namedtuple.

What is no such container and no tensor (None, a number, an object) belongs to the structure.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from tracegraph.ir import SymExpr, TensorType
from tracegraph.ir import dim as dims
from tracegraph.ops.core.arguments import is_tensor
from tracegraph.ops.core.definition import Handle

#: a tensor, or containers of trees
Tree: TypeAlias = Any


@dataclass(frozen=True)
class Leaf:
    """The place of a tensor."""


@dataclass(frozen=True, eq=False)
class Static:
    """Something that is no tensor."""

    value: object

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Static) or type(self.value) is not type(other.value):
            return False
        if self.value is other.value:
            return True
        if isinstance(self.value, SymExpr):
            return dims.same(self.value, other.value)
        return isinstance(self.value, bool | int | float | str) and self.value == other.value

    def __hash__(self) -> int:
        return hash(type(self.value))


@dataclass(frozen=True)
class Container:
    """A container: its type, the keys of a dict, and its items."""

    type: type
    keys: tuple[Any, ...]
    items: tuple[Structure, ...]


Structure: TypeAlias = Leaf | Static | Container


def flatten(tree: Tree) -> tuple[list[Handle], Structure]:
    """The tensors of a tree in order, and its structure."""
    leaves: list[Handle] = []
    return leaves, _structure(tree, leaves)


def _structure(tree: Tree, leaves: list[Handle]) -> Structure:
    if is_tensor(tree):
        leaves.append(tree)
        return Leaf()
    kind = type(tree)
    if kind in (dict, OrderedDict):
        return Container(kind, tuple(tree), tuple([_structure(v, leaves) for v in tree.values()]))
    if kind in (list, tuple) or is_namedtuple(tree):
        return Container(kind, (), tuple([_structure(v, leaves) for v in tree]))
    return Static(tree)


def is_namedtuple(value: object) -> bool:
    """Whether `value` is of a class that `collections.namedtuple` or `typing.NamedTuple` made."""
    return isinstance(value, tuple) and hasattr(type(value), "_fields")


def unflatten(structure: Structure, leaves: Sequence[Handle]) -> Tree:
    """The tree of this structure with these tensors."""
    return _tree(structure, iter(leaves))


def _tree(structure: Structure, leaves: Iterator[Handle]) -> Tree:
    if isinstance(structure, Leaf):
        return next(leaves)
    if isinstance(structure, Static):
        return structure.value
    items = [_tree(item, leaves) for item in structure.items]
    if issubclass(structure.type, dict):
        return structure.type(zip(structure.keys, items, strict=True))
    return tuple.__new__(structure.type, items) if issubclass(structure.type, tuple) else items


def static_parts(structure: Structure) -> list[object]:
    """What is no tensor in a tree of this structure."""
    if isinstance(structure, Container):
        return [part for item in structure.items for part in static_parts(item)]
    return [structure.value] if isinstance(structure, Static) else []


def described(structure: Structure, types: Sequence[TensorType]) -> str:
    """`(f32[3], {'a': i64[]})`: a structure with the types of its tensors."""
    return _text(structure, iter(types))


def _text(structure: Structure, types: Iterator[TensorType]) -> str:
    if isinstance(structure, Leaf):
        return str(next(types))
    if isinstance(structure, Static):
        return repr(structure.value)
    items = [_text(item, types) for item in structure.items]
    if issubclass(structure.type, dict):
        return "{" + ", ".join(f"{k!r}: {v}" for k, v in zip(structure.keys, items, strict=True)) + "}"
    if issubclass(structure.type, tuple):
        name = "" if structure.type is tuple else structure.type.__name__
        return f"{name}({', '.join(items)}{',' if len(items) == 1 and not name else ''})"
    return f"[{', '.join(items)}]"
