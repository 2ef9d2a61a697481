"""Ops whose output elements are any function of their index: pads, gathers, one-hot, iota, random numbers."""

from __future__ import annotations

from typing import Any, ClassVar

from tracegraph.errors import ArgumentError
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

    def __call__(self, *args: Any, device: object = None, requires_grad: bool = False, **kwargs: Any) -> Any:
        """Create; `requires_grad` makes the result a leaf that records."""
        check_device(device)
        result = super().__call__(*args, **kwargs)
        return result.requires_grad_() if requires_grad else result


def check_device(device: object) -> None:
    """Accept what means the CPU.

    Raises:
        ArgumentError: any other device.
    """
    if device is not None and str(device).split(":")[0] != "cpu":
        raise ArgumentError(f"device {device!r} does not exist; tracegraph runs on 'cpu'")
