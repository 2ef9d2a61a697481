"""Text of tensors, in PyTorch's layout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tracegraph import dtypes

if TYPE_CHECKING:
    from tracegraph.tensor.tensor import Tensor

_OPTIONS: dict[str, int] = {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80}


def set_printoptions(**options: int) -> None:
    """Set `precision`, `threshold`, `edgeitems` or `linewidth` of printed tensors.

    Raises:
        TypeError: an unknown option.
    """
    unknown = set(options) - set(_OPTIONS)
    if unknown:
        raise TypeError(f"unknown print options {sorted(unknown)}; one of {', '.join(_OPTIONS)}")
    _OPTIONS.update(options)


def format_tensor(tensor: Tensor) -> str:
    """`tensor([1., 2.], requires_grad=True)`, long tensors abbreviated."""
    prefix = "Parameter containing:\ntensor(" if type(tensor).__name__ == "Parameter" else "tensor("
    body = _body(tensor._np, len("tensor("))
    suffixes = []
    if tensor._np.size == 0 and tensor.ndim != 1:
        suffixes.append(f"size={tuple(tensor.shape)}")
    if tensor.dtype not in (dtypes.DEFAULT.dtype, dtypes.int64, dtypes.bool_):
        suffixes.append(f"dtype={tensor.dtype!r}")
    if tensor.grad_fn is not None:
        suffixes.append(f"grad_fn={tensor.grad_fn!r}")
    elif tensor.requires_grad:
        suffixes.append("requires_grad=True")
    return prefix + ", ".join([body, *suffixes]) + ")"


def _body(array: np.ndarray, indent: int) -> str:
    if array.dtype == dtypes.bfloat16.np:
        array = array.astype(np.float32)
    formatter: Any = {"bool_kind": lambda b: "True" if b else "False"}
    return np.array2string(
        array,
        separator=", ",
        prefix=" " * indent,
        formatter=formatter if array.dtype.kind == "b" else None,
        precision=_OPTIONS["precision"],
        threshold=_OPTIONS["threshold"],
        edgeitems=_OPTIONS["edgeitems"],
        max_line_width=_OPTIONS["linewidth"],
    )
