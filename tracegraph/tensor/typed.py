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


class BoolTensor(metaclass=_TypeOfTensors):
    """Tensors of bools."""

    dtype = dtypes.bool_


class ByteTensor(metaclass=_TypeOfTensors):
    """Tensors of uint8."""

    dtype = dtypes.uint8


class CharTensor(metaclass=_TypeOfTensors):
    """Tensors of int8."""

    dtype = dtypes.int8


class ShortTensor(metaclass=_TypeOfTensors):
    """Tensors of int16."""

    dtype = dtypes.int16


class IntTensor(metaclass=_TypeOfTensors):
    """Tensors of int32."""

    dtype = dtypes.int32


class LongTensor(metaclass=_TypeOfTensors):
    """Tensors of int64."""

    dtype = dtypes.int64


class HalfTensor(metaclass=_TypeOfTensors):
    """Tensors of float16."""

    dtype = dtypes.float16


class BFloat16Tensor(metaclass=_TypeOfTensors):
    """Tensors of bfloat16."""

    dtype = dtypes.bfloat16


class FloatTensor(metaclass=_TypeOfTensors):
    """Tensors of float32."""

    dtype = dtypes.float32


class DoubleTensor(metaclass=_TypeOfTensors):
    """Tensors of float64."""

    dtype = dtypes.float64
