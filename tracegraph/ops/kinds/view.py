"""Views: results that share the storage of their operand."""

from __future__ import annotations

from typing import Any, ClassVar

from tracegraph.ir import Kind
from tracegraph.ir.dim import Dim
from tracegraph.ir.rules import Index, Load, OperandTypes, Scalar
from tracegraph.ops.core.definition import Definition, Reads


class View(Definition):
    """A result that aliases its operand.

    Rules:
        eager(self, array, **attrs): a numpy view of the array (never a copy).
        strides(self, strides, types, attrs): the result's strides in elements, from the operand's.
        index_map(self, index, types, attrs): the operand's index of each output element.
        scatter(self, base, source, **attrs): `base` with the viewed region replaced by `source`, in tensor
            arithmetic; how a write through the view reaches the base once mutation is gone from the graph.

    Class attributes:
        shares_history: gradients of the view are gradients of what it shows; else it has a history of its own, or none.
        is_recorded: the result may follow its operand to another history; not if it was made outside grad mode.
        broadcasts: the result is the operand as broadcasting repeats it, so pointwise ops need not be told.
        shares_version: writes through the result count as writes to the operand.

    The gradient of a view never depends on elements, so a tape keeps nothing of the operand and of the result.
    """

    kind = Kind.VIEW
    index_map: ClassVar[Any] = None
    strides: ClassVar[Any] = None
    scatter: ClassVar[Any] = None
    shares_history: ClassVar[bool] = True
    is_recorded: ClassVar[bool] = True
    broadcasts: ClassVar[bool] = False
    shares_version: ClassVar[bool] = True

    def compose(self, shape: tuple[Dim, ...], first: Any, second: Any) -> dict[str, Any] | None:
        """Attributes of the one call that does `first` and then `second`, on an operand of `shape`; None if there is
        none.
        """
        return None

    def incomplete(self) -> list[str]:
        rules = ("eager", "strides", "index_map", "scatter")
        return [f"a view needs {rule}" for rule in rules if not getattr(self, rule)] + super().incomplete()

    def vjp_reads(self, operands: int) -> Reads:
        return Reads((False,) * operands, False)

    def element(
        self, k: Any, load: Load, index: tuple[Index, ...], types: OperandTypes, attrs: dict[str, object]
    ) -> Scalar:
        """The element rule: read the operand through the index map."""
        return load(0, self.index_map(index, types, attrs))
