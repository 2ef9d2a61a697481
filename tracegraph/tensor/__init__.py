"""Eager tensors: a thin strided handle on a numpy array, executing ops as they are called."""

from tracegraph.tensor import eager as _eager  # registers the handler of eager tensors
from tracegraph.tensor.factory import as_tensor, from_numpy, tensor
from tracegraph.tensor.printing import set_printoptions
from tracegraph.tensor.tensor import Tensor

del _eager

__all__ = ["Tensor", "as_tensor", "from_numpy", "set_printoptions", "tensor"]
