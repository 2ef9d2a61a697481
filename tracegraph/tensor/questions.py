"""Questions about values and dtypes that are functions in PyTorch: `is_tensor`, `numel`, `finfo`, `result_type`, ..."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from tracegraph import dtypes
from tracegraph.dtypes import DType
from tracegraph.errors import DTypeError
from tracegraph.ir import TensorType
from tracegraph.ops.core import promotion
from tracegraph.ops.core.arguments import described
from tracegraph.ops.core.size import Size, size_of
from tracegraph.tensor.tensor import Tensor


def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a tensor."""
    return isinstance(obj, Tensor)


def is_floating_point(input: Any) -> bool:
    """Whether the elements of a tensor are floating-point numbers."""
    return input.dtype.is_floating


def is_complex(input: Any) -> bool:
    """False: there are no complex tensors."""
    return False


def is_signed(input: Any) -> bool:
    """Whether the dtype of a tensor has negative numbers."""
    return input.dtype.is_signed


def is_nonzero(input: Any) -> bool:
    """Whether the only element of a tensor is not zero.

    Raises:
        ArgumentError: the tensor does not have exactly one element.
    """
    return bool(input)


def numel(input: Any) -> int:
    """Number of elements of a tensor."""
    return input.numel()


def get_default_dtype() -> DType:
    """The dtype of tensors made from Python floats: float32, unless set."""
    return dtypes.DEFAULT.dtype


def set_default_dtype(d: DType) -> None:
    """Choose the dtype of tensors made from Python floats, and of what divides integers, until further notice.

    Raises:
        DTypeError: `d` is no floating dtype.
    """
    if not isinstance(d, DType) or not d.is_floating:
        raise DTypeError(f"set_default_dtype: expected a floating dtype such as tracegraph.float64, got {described(d)}")
    dtypes.DEFAULT.dtype = d


def can_cast(from_: DType, to: DType) -> bool:
    """Whether in-place operations may store elements of one dtype in a tensor of the other."""
    return from_.category <= to.category


def result_type(tensor1: Any, tensor2: Any) -> DType:
    """The dtype that an operation on two tensors or numbers computes in."""
    return promotion.result_type(*(TensorType(t.dtype, t.shape) if is_tensor(t) else t for t in (tensor1, tensor2)))


def broadcast_shapes(*shapes: Any) -> Size:
    """The shape that `shapes` broadcast to.

    Raises:
        ShapeError: they do not broadcast.
    """
    return size_of(promotion.broadcast_shapes(*((s,) if isinstance(s, int) else tuple(s) for s in shapes)))


class FloatInfo:
    """Limits of a floating dtype, with the attributes of `torch.finfo`."""

    def __init__(self, dtype: DType) -> None:
        found: Any = ml_dtypes.finfo(dtype.np)  # type: ignore[no-untyped-call, unused-ignore]
        self.bits = 8 * dtype.itemsize
        self.eps = float(found.eps)
        self.max = float(found.max)
        self.min = float(found.min)
        self.tiny = self.smallest_normal = float(found.tiny)
        self.resolution = float(found.resolution)
        self.dtype = dtype.long_name

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution}, min={self.min}, max={self.max}, eps={self.eps}, "
            f"smallest_normal={self.smallest_normal}, tiny={self.tiny}, dtype={self.dtype})"
        )


class IntegerInfo:
    """Limits of an integer dtype, with the attributes of `torch.iinfo`."""

    def __init__(self, dtype: DType) -> None:
        found = np.iinfo(dtype.np)
        self.bits, self.max, self.min, self.dtype = 8 * dtype.itemsize, int(found.max), int(found.min), dtype.long_name

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


_FLOATS = {d: FloatInfo(d) for d in dtypes.FLOATING_DTYPES}
_INTEGERS = {d: IntegerInfo(d) for d in dtypes.INTEGER_DTYPES}


def finfo(type: DType = dtypes.float32) -> FloatInfo:
    """Limits of a floating dtype: `eps`, `min`, `max`, `tiny`, `bits`.

    Raises:
        DTypeError: `type` is no floating dtype.
    """
    if type not in _FLOATS:
        raise DTypeError(f"finfo: {type} is not a floating dtype; use iinfo for integers")
    return _FLOATS[type]


def iinfo(type: DType) -> IntegerInfo:
    """Limits of an integer dtype: `min`, `max`, `bits`.

    Raises:
        DTypeError: `type` is no integer dtype.
    """
    if type not in _INTEGERS:
        raise DTypeError(f"iinfo: {type} is not an integer dtype; use finfo for floating ones")
    return _INTEGERS[type]
