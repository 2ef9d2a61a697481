"""Padding layers."""

from __future__ import annotations

from typing import Any

from tracegraph.nn import functional as F
from tracegraph.nn.module import Module


class _Pad(Module):
    """Pads the last `rank` dimensions: one int for every side, or (left, right[, top, bottom])."""

    rank: int
    mode: str

    def __init__(self, padding: int | tuple[int, ...]) -> None:
        super().__init__()
        self.padding = (padding,) * (2 * self.rank) if isinstance(padding, int) else tuple(padding)

    def forward(self, input: Any) -> Any:
        return F.pad(input, self.padding, mode=self.mode)

    def extra_repr(self) -> str:
        return str(self.padding)


class ReflectionPad1d(_Pad):
    """Mirrors signals at their first and last element."""

    rank, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """Mirrors images at their border elements."""

    rank, mode = 2, "reflect"


class ReplicationPad1d(_Pad):
    """Repeats the first and last element of signals."""

    rank, mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """Repeats the border elements of images."""

    rank, mode = 2, "replicate"


class ReflectionPad3d(_Pad):
    """Mirrors volumes at their border elements."""

    rank, mode = 3, "reflect"


class ReplicationPad3d(_Pad):
    """Repeats the border elements of volumes."""

    rank, mode = 3, "replicate"


class CircularPad1d(_Pad):
    """Continues signals with their other end."""

    rank, mode = 1, "circular"


class CircularPad3d(_Pad):
    """Continues volumes on their opposite side."""

    rank, mode = 3, "circular"


class CircularPad2d(_Pad):
    """Continues images on their opposite side."""

    rank, mode = 2, "circular"


class _ConstantPad(_Pad):
    """Pads with `value`."""

    mode = "constant"

    def __init__(self, padding: int | tuple[int, ...], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Any) -> Any:
        return F.pad(input, self.padding, value=self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """Pads signals with a value."""

    rank = 1


class ConstantPad2d(_ConstantPad):
    """Pads images with a value."""

    rank = 2


class ConstantPad3d(_ConstantPad):
    """Pads volumes with a value."""

    rank = 3


class _ZeroPad(_ConstantPad):
    """Pads with zeros."""

    def __init__(self, padding: int | tuple[int, ...]) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return str(self.padding)


class ZeroPad1d(_ZeroPad):
    """Pads signals with zeros."""

    rank = 1


class ZeroPad2d(_ZeroPad):
    """Pads images with zeros."""

    rank = 2


class ZeroPad3d(_ZeroPad):
    """Pads volumes with zeros."""

    rank = 3
