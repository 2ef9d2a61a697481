"""What the IR needs to know of an operation, and the table of all operations by name.

The IR never names an operation. It asks the `Op` on a node for its types, purity and eager rule; the definitions
themselves live in `tracegraph.ops` and register here when that package is imported.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, ClassVar

import numpy as np

from tracegraph.errors import IRError
from tracegraph.ir.abstract import Abstract
from tracegraph.ir.types import TensorType


class Kind(Enum):
    """The family of an op: supplies inference, fusion class and loop template."""

    POINTWISE = "pointwise"
    REDUCTION = "reduction"
    VIEW = "view"
    CONTRACTION = "contraction"
    GATHER = "gather"
    SCATTER = "scatter"
    WINDOWED = "windowed"
    SCAN = "scan"
    RANDOM = "random"
    CREATION = "creation"
    COMPOSITE = "composite"
    LIBRARY = "library"
    EFFECT = "effect"
    CONTROL = "control"
    FUSED = "fused"


class Op(Abstract):
    """One operation, as the IR sees it."""

    name: str
    kind: ClassVar[Kind]
    #: no side effect and no hidden input: may be removed, merged, recomputed
    is_pure: bool = True
    #: whether elements of some operands make it fail: an index out of range, a singular matrix
    checks_elements: bool = False

    def may_raise(self, operands: Sequence[Any], attrs: Mapping[str, Any]) -> bool:
        """Whether elements of these operands, given as to `infer`, can make the op fail.

        A call that can is executed even if nothing uses its results, so that it fails where eager execution does.
        """
        return self.checks_elements

    @abstractmethod
    def infer(self, *operands: Any, **attrs: Any) -> tuple[TensorType, ...]:
        """Result types. A tensor operand is given as its TensorType, a scalar as itself, an absent one as None.

        Raises:
            ShapeError, DTypeError, ArgumentError: the operands do not fit; the message names the op and the types.
        """

    @abstractmethod
    def check_call(self, operands: Sequence[Any], attrs: Mapping[str, Any]) -> None:
        """Raise unless the op takes these operands, given as to `infer`, and these attributes, in canonical form.

        Definitions make their calls so; calls that come as text, or from a pass, are held to it.

        Raises:
            IRError, ArgumentError, IndexRangeError, DTypeError: they are not the op's; the message names what is wrong.
        """

    @abstractmethod
    def run(self, *operands: Any, **attrs: Any) -> tuple[np.ndarray, ...]:
        """Execute eagerly on numpy arrays and scalars; one array per result."""

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def __reduce__(self) -> tuple[object, ...]:
        """Ops pickle and copy as their name: there is one instance of each."""
        return lookup, (self.name,)


REGISTRY: dict[str, Op] = {}


def register(op: Op) -> Op:
    """Enter `op` in the table.

    Raises:
        IRError: the name is taken.
    """
    if op.name in REGISTRY:
        raise IRError(f"an op called {op.name!r} is registered already")
    REGISTRY[op.name] = op
    return op


def lookup(name: str) -> Op:
    """The op called `name`.

    Raises:
        IRError: there is none; the message suggests the nearest names.
    """
    try:
        return REGISTRY[name]
    except KeyError:
        import difflib

        near = difflib.get_close_matches(name, REGISTRY, n=3)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise IRError(f"unknown op {name!r}{hint}") from None
