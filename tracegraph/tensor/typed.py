"""Tensor types by element type, from before there were dtypes: `FloatTensor([1.0])`, `isinstance(x, LongTensor)`."""

from __future__ import annotations

from typing import Any

from tracegraph import dtypes
from tracegraph.dtypes import DType
from tracegraph.ops import functional as F
from tracegraph.tensor.factory import tensor
from tracegraph.tensor.tensor import Tensor


class _TypeOfTensors(type):
    """The type of these types: their instances are tensors of a dtype."""

    dtype: DType

    def __call__(cls, *args: Any) -> Any:
        """A tensor of the data given, or of the sizes given, then of zeros."""
        if len(args) == 1 and not isinstance(args[0], int):
            return tensor(args[0], cls.dtype)
        return F.zeros(args or (0,), dtype=cls.dtype)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance.dtype is cls.dtype


class _Typed(metaclass=_TypeOfTensors):
    """Base of the types, each of which is made for its dtype."""

    def __init_subclass__(cls, dtype: DType) -> None:
        cls.dtype = dtype


class BoolTensor(_Typed, dtype=dtypes.bool_):
    """Tensors of bools."""


class ByteTensor(_Typed, dtype=dtypes.uint8):
    """Tensors of uint8."""


class CharTensor(_Typed, dtype=dtypes.int8):
    """Tensors of int8."""


class ShortTensor(_Typed, dtype=dtypes.int16):
    """Tensors of int16."""


class IntTensor(_Typed, dtype=dtypes.int32):
    """Tensors of int32."""


class LongTensor(_Typed, dtype=dtypes.int64):
    """Tensors of int64."""


class HalfTensor(_Typed, dtype=dtypes.float16):
    """Tensors of float16."""


class BFloat16Tensor(_Typed, dtype=dtypes.bfloat16):
    """Tensors of bfloat16."""


class FloatTensor(_Typed, dtype=dtypes.float32):
    """Tensors of float32."""


class DoubleTensor(_Typed, dtype=dtypes.float64):
    """Tensors of float64."""
