"""Views: results that share the storage of their operand."""

from __future__ import annotations

from typing import Any, ClassVar

from tracegraph.ir import Kind
from tracegraph.ir.rules import Index, Load, OperandTypes, Scalar
from tracegraph.ops.definition import Definition


class View(Definition):
    """A result that aliases its operand.

    Rules:
        eager(self, array, **attrs): a numpy view of the array (never a copy).
        index_map(self, index, types, attrs): the operand's index of each output element.
        scatter(self, base, source, **attrs): `base` with the viewed region replaced by `source`, in tensor
            arithmetic; how a write through the view reaches the base once mutation is gone from the graph.
    """

    kind = Kind.VIEW
    index_map: ClassVar[Any] = None
    scatter: ClassVar[Any] = None

    def incomplete(self) -> list[str]:
        problems = [
            f"a view needs {rule}" for rule in ("eager", "index_map", "scatter") if not getattr(self, rule)
        ]
        return problems + super().incomplete()

    def element(
        self, k: Any, load: Load, index: tuple[Index, ...], types: OperandTypes, attrs: dict[str, object]
    ) -> Scalar:
        """The element rule: read the operand through the index map."""
        return load(0, self.index_map(index, types, attrs))
