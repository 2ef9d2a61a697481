"""Nested containers of tensors, as control flow takes and returns them: the containers of `tracegraph.pytree`.

What is no such container and no tensor (None, a number, an object) belongs to the structure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from tracegraph.ir import SymExpr, TensorType
from tracegraph.ir import dim as dims
from tracegraph.ops.core.arguments import is_tensor
from tracegraph.ops.core.definition import Handle
from tracegraph.pytree import TreeSpec, tree_flatten, tree_unflatten

#: a tensor, or containers of trees
Tree: TypeAlias = Any


@dataclass(frozen=True)
class Place:
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
class Structure:
    """All of a tree but its tensors.

    Attributes:
        spec: the containers.
        leaves: what they hold, in order.
    """

    spec: TreeSpec
    leaves: tuple[Place | Static, ...]

    @property
    def items(self) -> tuple[Structure, ...]:
        """The structures of the items of a container; none of what is no container."""
        items, start = [], 0
        for spec in self.spec.children_specs:
            items.append(Structure(spec, self.leaves[start : start + spec.num_leaves]))
            start += spec.num_leaves
        return tuple(items)

    @property
    def is_tensor(self) -> bool:
        return self.spec.is_leaf() and self.leaves == (Place(),)

    @property
    def is_none(self) -> bool:
        return self.spec.is_leaf() and self.leaves == (Static(None),)


def flatten(tree: Tree) -> tuple[list[Handle], Structure]:
    """The tensors of a tree in order, and its structure."""
    found, spec = tree_flatten(tree)
    leaves = tuple([Place() if is_tensor(leaf) else Static(leaf) for leaf in found])
    return [leaf for leaf in found if is_tensor(leaf)], Structure(spec, leaves)


def unflatten(structure: Structure, tensors: Sequence[Handle]) -> Tree:
    """The tree of this structure with these tensors."""
    given = iter(tensors)
    leaves = [leaf.value if isinstance(leaf, Static) else next(given) for leaf in structure.leaves]
    return tree_unflatten(leaves, structure.spec)


def static_parts(structure: Structure) -> list[object]:
    """What is no tensor in a tree of this structure."""
    return [leaf.value for leaf in structure.leaves if isinstance(leaf, Static)]


def described(structure: Structure, types: Sequence[TensorType]) -> str:
    """`(f32[3], {'a': i64[]})`: a structure with the types of its tensors."""
    given = iter(types)
    leaves = [repr(leaf.value) if isinstance(leaf, Static) else str(next(given)) for leaf in structure.leaves]
    return _text(structure.spec, iter(leaves))


def _text(spec: TreeSpec, leaves: Iterator[str]) -> str:
    if spec.is_leaf():
        return next(leaves)
    items = [_text(child, leaves) for child in spec.children_specs]
    if issubclass(spec.type, dict):
        return "{" + ", ".join(f"{k!r}: {v}" for k, v in zip(spec.keys, items, strict=True)) + "}"
    if spec.type is list:
        return f"[{', '.join(items)}]"
    if spec.type is tuple:
        return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
    return f"{spec.type.__name__}({', '.join(items)})"
