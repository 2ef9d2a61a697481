"""Ops whose output elements are any function of their index: pads, gathers, one-hot, iota, random numbers."""

from __future__ import annotations

from typing import Any, ClassVar

from tracegraph.ir import Kind
from tracegraph.ops.definition import Definition


class Element(Definition):
    """An op with its own `element` rule (see `ir.rules`), `infer` and `eager`. Fuses into consumers like a view."""

    kind = Kind.GATHER
    element: ClassVar[Any] = None

    def incomplete(self) -> list[str]:
        return super().incomplete() + ([] if self.element is not None else ["it needs an element rule"])


class Creation(Element):
    """An op without tensor operands; `signature` names shape and dtype."""

    kind = Kind.CREATION
    method = False
    takes_scalars = True
