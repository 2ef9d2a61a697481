"""Broadcasting and type promotion, as in PyTorch.

A Python scalar operand is weakly typed: it changes the result's category (bool < integer < floating) and nothing
else. A 0-d tensor is weak against tensors with dimensions of its own category.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tracegraph import dtypes
from tracegraph.dtypes import DType
from tracegraph.errors import ShapeError
from tracegraph.ir import TensorType
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim
from tracegraph.ops.core.arguments import is_number


def broadcast_shapes(*shapes: Sequence[Dim], op: str = "broadcast") -> tuple[Dim, ...]:
    """The shape all `shapes` broadcast to, aligned at the last dimension.

    Raises:
        ShapeError: two sizes differ and neither is 1; names the op, the shapes and the dimension.
    """
    rank = max((len(s) for s in shapes), default=0)
    result: list[Dim] = [1] * rank
    for shape in shapes:
        for i, size in enumerate(shape, rank - len(shape)):
            if dims.same(result[i], size) or (isinstance(size, int) and size == 1):
                continue
            if isinstance(result[i], int) and result[i] == 1:
                result[i] = size
            elif size == 1 or result[i] != size:
                if result[i] == 1:
                    result[i] = size
                elif size != 1:
                    listed = " and ".join(str(list(s)) for s in shapes)
                    raise ShapeError(
                        f"{op}: shapes {listed} do not broadcast: sizes {result[i]} and {size} differ at dimension "
                        f"{i}; sizes must be equal, or one of them 1"
                    )
            elif isinstance(size, int):
                result[i] = size
    return tuple(result)


def result_type(*operands: object) -> DType:
    """PyTorch's result dtype of tensor types and Python scalars."""
    dimensioned = [o.dtype for o in operands if isinstance(o, TensorType) and o.shape]
    zero_d = [o.dtype for o in operands if isinstance(o, TensorType) and not o.shape]
    result = _promote(dimensioned)
    candidate = _promote(zero_d)
    if candidate is not None and (result is None or candidate.category > result.category):
        result = candidate
    scalars = [o for o in operands if is_number(o)]
    if scalars and (result is None or max(map(dtypes.category_of_scalar, scalars)) > result.category):
        result = _promote(map(dtypes.of_scalar, scalars))
    return result or dtypes.DEFAULT.dtype


def _promote(found: Iterable[DType]) -> DType | None:
    result: DType | None = None
    for d in found:
        result = d if result is None else dtypes.promote_types(result, d)
    return result
