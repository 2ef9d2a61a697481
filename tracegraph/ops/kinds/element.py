"""Ops whose output elements are any function of their index: pads, gathers, one-hot, iota, random numbers."""

from __future__ import annotations

from typing import Any, ClassVar

from tracegraph.ir import Kind
from tracegraph.ir.rules import Index, Load, OperandTypes, Scalar
from tracegraph.ops.core.definition import Definition


class Element(Definition):
    """An op with its own `element` rule (see `ir.rules`), `infer` and `eager`. Fuses into consumers like a view."""

    kind = Kind.GATHER
    element: ClassVar[Any] = None

    def incomplete(self) -> list[str]:
        return super().incomplete() + ([] if self.element is not None else ["it needs an element rule"])


class Rearrangement(Element):
    """A fresh tensor whose elements are those of the operand at other positions.

    Rules:
        index_map(self, index, types, attrs): the operand's index of each output element, as for views.
    """

    index_map: ClassVar[Any] = None

    def element(
        self, k: Any, load: Load, index: tuple[Index, ...], types: OperandTypes, attrs: dict[str, object]
    ) -> Scalar:
        return load(0, self.index_map(index, types, attrs))
