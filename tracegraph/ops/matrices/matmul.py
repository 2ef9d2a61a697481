"""The matrix product: one primitive, `matmul`, with all of PyTorch's rank cases."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracegraph import dtypes
from tracegraph.errors import DTypeError, ShapeError
from tracegraph.ir import TensorType
from tracegraph.ir import dim as dims
from tracegraph.ir.rules import Contract, OperandTypes, operand_shape
from tracegraph.ops.core.autocast import Autocast
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.promotion import broadcast_shapes
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import equal, type_of
from tracegraph.ops.kinds import Contraction
from tracegraph.ops.kinds.batching import Batch, with_ones
from tracegraph.ops.numerics.scalar import cast_array

NUMERIC = tuple(d for d in dtypes.ALL if not d.is_bool)


@define_op
class Matmul(Contraction):
    """Matrix product with PyTorch's rank rules.

    Two matrices multiply; a vector on the left is a row, on the right a column, and the added dimension is dropped
    from the result; leading dimensions are batches and broadcast. float16 and bfloat16 accumulate in float32.
    """

    signature = "(input: Tensor, other: Tensor)"
    operators = ("__matmul__",)
    autocast = Autocast.LOW
    samples = samples(
        call(A((3, 4)), A((4, 5)), dtypes=NUMERIC),
        call(A((4,)), A((4,)), dtypes=NUMERIC),
        call(A((3, 4)), A((4,)), dtypes=NUMERIC),
        call(A((4,)), A((4, 5)), dtypes=NUMERIC),
        call(A((2, 3, 4)), A((4, 5)), dtypes=NUMERIC),
        call(A((3, 4)), A((2, 4, 5)), dtypes=NUMERIC),
        call(A((2, 1, 3, 4)), A((3, 4, 5)), dtypes=NUMERIC),
        call(A((4,)), A((2, 4, 5)), dtypes=NUMERIC),
        call(A((2, 3, 4)), A((4,)), dtypes=NUMERIC),
        call(A((3, 0)), A((0, 5)), dtypes=NUMERIC),
        call(A((0, 4)), A((4, 5)), dtypes=NUMERIC),
    )

    def infer(self, *operands: object, **attrs: object) -> tuple[TensorType, ...]:
        return (product_type(self.name, *operands),)

    def eager(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return product(self.name, a, b)

    def contract(self, types: OperandTypes, attrs: dict[str, object]) -> Contract:
        """Rows `i`, columns `j`, the summed dimension `k`, and a letter per batch dimension, aligned at the last."""
        a, b = (len(operand_shape(t)) for t in types)
        batch = "abcdefghlmnopqrstuvwxyz"[: max(a, b, 2) - 2]
        left, right = batch[len(batch) - max(a - 2, 0) :], batch[len(batch) - max(b - 2, 0) :]
        row, column = "i" * (a > 1), "j" * (b > 1)
        return Contract(f"{left}{row}k", f"{right}k{column}", f"{batch}{row}{column}")

    def batched(self, batch: Batch) -> Handle:
        """Samples are one more batch dimension; of a tensor times a matrix for all, they are further rows."""
        (a, b), (left, right) = batch.operands, (batch.rank(0), batch.rank(1))
        if batch.only(0) and right < 3 and left:
            return batch.call([a, b])
        if batch.only(1) and right == 1 and left == 2:
            return batch.call([b, a.transpose(0, 1)])
        rank = max(left, right, 2)
        a = self._as_matrices(batch, 0, rank, -2)
        b = self._as_matrices(batch, 1, rank, -1)
        result = batch.call([a, b])
        result = result.squeeze(-1) if right == 1 else result
        return result.squeeze(-1 if right == 1 else -2) if left == 1 else result

    def _as_matrices(self, batch: Batch, position: int, rank: int, added: int) -> Handle:
        """An operand as stacks of matrices, all of `rank` dimensions; a vector gets dimension `added`."""
        x = batch.operands[position]
        x = x.unsqueeze(added) if batch.rank(position) == 1 else x
        return with_ones(x, 1, rank + 1 - x.ndim) if batch.varies[position] else x

    def vjp(self, g: Handle, y: Handle, a: Handle, b: Handle) -> Gradient:
        return lambda: _left_gradient(g, a, b), lambda: _right_gradient(g, a, b)


def _matrix_form(g: Handle, a: Handle, b: Handle) -> tuple[Handle, Handle, Handle]:
    """Result cotangent and operands with vectors made matrices."""
    if b.ndim == 1:
        g = g.unsqueeze(-1)
    if a.ndim == 1:
        g = g.unsqueeze(-2)
    return g, (a.unsqueeze(0) if a.ndim == 1 else a), (b.unsqueeze(1) if b.ndim == 1 else b)


def _left_gradient(g: Handle, a: Handle, b: Handle) -> Handle:
    """da = g @ b^T, summed over the dimensions `a` was broadcast along."""
    if a.ndim == 1 and b.ndim == 1:
        return g * b
    g, left, right = _matrix_form(g, a, b)
    gradient = g.matmul(right.transpose(-2, -1)).sum_to_size(tuple(left.shape))
    return gradient.squeeze(0) if a.ndim == 1 else gradient


def _right_gradient(g: Handle, a: Handle, b: Handle) -> Handle:
    """db = a^T @ g, summed over the dimensions `b` was broadcast along."""
    if a.ndim == 1 and b.ndim == 1:
        return g * a
    g, left, right = _matrix_form(g, a, b)
    if right.ndim == 2 and left.ndim > 2:
        # batches of one weight: one tall product rather than a product per batch and a sum
        rows = dims.product(tuple(left.shape[:-1]))
        left, g = left.reshape((rows, left.shape[-1])), g.reshape((rows, g.shape[-1]))
    gradient = left.transpose(-2, -1).matmul(g).sum_to_size(tuple(right.shape))
    return gradient.squeeze(1) if b.ndim == 1 else gradient


# ------------------------------------------------------------------------------------------------ types and values


def product_type(op: str, a: Any, b: Any) -> TensorType:
    """Type of the matrix product of two TensorTypes.

    Raises:
        ShapeError: the sizes do not fit, or an operand is 0-d.
        DTypeError: the dtypes differ, or are bool.
    """
    _check_product(op, a, b)
    batch = broadcast_shapes(a.shape[:-2], b.shape[:-2], op=f"{op}({a}, {b}): batch dimensions")
    return TensorType(a.dtype, (*batch, *a.shape[-2:-1], *(b.shape[-1:] if b.ndim > 1 else ())))


def product(op: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The matrix product of two arrays, 16-bit floats computed in float32; errors as `product_type`."""
    if a.dtype != b.dtype or a.dtype.kind == "b" or not a.ndim or not b.ndim:
        _check_product(op, type_of(a), type_of(b))
    dtype = dtypes.from_numpy(a.dtype)
    try:
        result = multiply(cast_array(a, dtype.compute), cast_array(b, dtype.compute))
    except ValueError as error:
        raise _explained(op, error, a, b) from None
    return cast_array(np.asarray(result), dtype)


def _explained(op: str, error: ValueError, a: np.ndarray, b: np.ndarray) -> Exception:
    """What inference says of operands that numpy refused."""
    try:
        product_type(op, type_of(a), type_of(b))
    except ShapeError as explained:
        return explained
    return error


def multiply(a: np.ndarray, b: np.ndarray) -> Any:
    """numpy's product; stacks of rows times one matrix go to BLAS as one product instead of one per batch."""
    if a.ndim > 2 and b.ndim == 2 and a.flags.c_contiguous and a.size and a.shape[-1] == b.shape[0]:
        return (a.reshape(-1, a.shape[-1]) @ b).reshape(*a.shape[:-1], b.shape[-1])
    return np.matmul(a, b)


def _check_product(op: str, a: TensorType, b: TensorType) -> None:
    for name, t in (("input", a), ("other", b)):
        if not t.shape:
            raise ShapeError(f"{op}: {name} {t} is 0-d; a matrix product needs 1 or more dimensions, use * instead")
    if a.dtype is not b.dtype:
        raise DTypeError(f"{op}: input {a} and other {b} differ in dtype; convert one of them with .to(...)")
    if a.dtype.is_bool:
        raise DTypeError(f"{op}: not defined for bool operands {a} and {b}; convert them with .to(...)")
    inner, position = b.shape[-2:][0], "next to last" if b.ndim > 1 else "only"
    if not equal(a.shape[-1], inner):
        raise ShapeError(
            f"{op}: the last dimension of input {a} has size {a.shape[-1]}, the {position} dimension of other {b} has "
            f"size {inner}; they must be equal (transpose one of the operands?)"
        )
