"""The op that a user's function becomes if it writes to arguments. In a graph it is a pure op that returns the new
elements, and one `copy_` per argument:

    lib::fill(%x, 2.0)      -->      %0: f32[4] = lib::fill.functional(%x, value=2.0)
                                     copy_(%x, %0)
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tracegraph.autograd.grad_mode import STATE
from tracegraph.errors import AutogradError
from tracegraph.ir import TensorType
from tracegraph.library.custom_op import CustomOp, read_only
from tracegraph.ops.graphs.recording import Traced
from tracegraph.tensor import Tensor


class MutatingOp(CustomOp):
    """An op that writes to arguments: executed in place on eager tensors, recorded in its functional form."""

    functional: FunctionalForm

    def apply(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        traced = next((o for o in operands if isinstance(o, Traced)), None)
        is_recorded = STATE.enabled if traced is None else traced.recorder.grad_enabled
        if is_recorded and any(getattr(o, "requires_grad", False) for o in operands):
            raise AutogradError(
                f"{self.name} writes to its arguments and so has no gradient, but an argument requires grad; call it "
                "under no_grad(), or on detached tensors"
            )
        return self._write(operands, attrs) if traced is None else self._record(operands, attrs)

    def positions(self, count: int) -> list[int]:
        """Which of `count` operands are written to."""
        return [position for p, position in self.grouped(range(count)) if p.is_mutated]

    def _write(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        mutated = set(self.positions(len(operands)))
        inputs = [o if i in mutated or not isinstance(o, Tensor) else Tensor(read_only(o._np))
                  for i, o in enumerate(operands)]  # fmt: skip
        results = self.execute(inputs, attrs)
        for i in mutated:
            operands[i].storage.version += 1
        return self.pack([Tensor(r) for r in results]) if results else None

    def _record(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        packed = self.functional.apply(operands, attrs)
        every = packed if isinstance(packed, tuple) else (packed,)
        results, new = every[: self.schema.returns], every[self.schema.returns :]
        for position, elements in zip(self.positions(len(operands)), new, strict=True):
            operands[position].copy_(elements)
        return self.pack(results) if results else None


class FunctionalForm(CustomOp):
    """A mutating op as a pure one: returns its results, and new elements for every argument it would write to."""

    origin: ClassVar[MutatingOp]

    def __init__(self) -> None:
        super().__init__()
        self.is_differentiable = False

    def infer(self, *operands: Any, **attrs: Any) -> tuple[TensorType, ...]:
        results = self.origin.infer(*operands, **attrs) if self.origin.schema.returns else ()
        return (*results, *(operands[i] for i in self.origin.positions(len(operands))))

    def run(self, *operands: Any, **attrs: Any) -> tuple[np.ndarray, ...]:
        mutated = self.origin.positions(len(operands))
        inputs = [
            Tensor(o.copy() if i in mutated else read_only(o)) if isinstance(o, np.ndarray) else o
            for i, o in enumerate(operands)
        ]
        results = self.origin.execute(inputs, attrs)
        return (*results, *(inputs[i]._np for i in mutated))
