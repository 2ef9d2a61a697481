"""Contractions as matrix products: from labelled axes and strides to the arguments of BLAS.

    bmk,bkn->bmn   -->  for each b: C[m, n] = A[m, k] @ B[k, n]

Labels in both operands and the result are batches, those of one operand and the result are rows or columns, the rest
is summed. Labels of one sort that memory walks as one are merged, so a stack of rows times one matrix is a single
product. A matrix whose columns rather than rows are contiguous is passed as transposed. What does not fit (other
dtypes, odd strides, tiny sizes) gets a generated kernel instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tracegraph import dtypes
from tracegraph.codegen.emission.blas_call import is_available
from tracegraph.dtypes import DType
from tracegraph.ir import dim as dims
from tracegraph.ir.bounds import at_most
from tracegraph.ir.dim import Dim, is_one
from tracegraph.ir.graph import Node, Value
from tracegraph.ir.memory_plan import Placement
from tracegraph.ir.node_rules import contract_rule, label_sizes
from tracegraph.ir.rules import Contract

BLAS_DTYPES = (dtypes.float32, dtypes.float64)
#: products of at most this many multiplications are cheaper in a kernel of their own than a call of BLAS
SMALL_PRODUCT = 512


@dataclass(frozen=True)
class Matrix:
    """A row-major matrix in a storage, or a column-major one if `transposed`; `leading` is the long stride.

    `steps` are the strides of the batch loops.
    """

    place: Placement
    transposed: bool
    leading: Dim
    steps: tuple[Dim, ...]


@dataclass(frozen=True)
class Gemm:
    """For every index of `batch`: c = a @ b, of m x k and k x n; c is not transposed."""

    dtype: DType
    batch: tuple[Dim, ...]
    m: Dim
    n: Dim
    k: Dim
    a: Matrix
    b: Matrix
    c: Matrix

    def __str__(self) -> str:
        names = [f"{x.place.storage.name}{'^T' if x.transposed else ''}" for x in (self.a, self.b, self.c)]
        batch = f" for each of [{', '.join(map(str, self.batch))}]" if self.batch else ""
        return f"gemm {self.dtype.name} [{self.m}, {self.k}] @ [{self.k}, {self.n}]: {' '.join(names)}{batch}"


@dataclass(frozen=True)
class _Axis:
    """A label, or several merged: its size and its stride in each of lhs, rhs and out (0 where it is absent)."""

    size: Dim
    strides: tuple[Dim, Dim, Dim]


def gemm_of(node: Node, places: Mapping[Value, Placement]) -> Gemm | None:
    """The call of BLAS that executes a contraction; None if a generated kernel should."""
    dtype = node.value.type.dtype
    lhs, rhs = node.args[0], node.args[1]
    assert isinstance(lhs, Value) and isinstance(rhs, Value)
    if not is_available() or dtype not in BLAS_DTYPES or lhs.type.dtype is not dtype or rhs.type.dtype is not dtype:
        return None
    rule = contract_rule(node)
    operands = (places[lhs], places[rhs], places[node.value])
    axes = _axes(rule, node, operands)
    if axes is None:
        return None
    batch, rows, columns, summed = axes
    if len(summed) > 1:
        return None
    m, n = _last(rows), _last(columns)
    (k,) = summed or [_Axis(1, (0, 0, 0))]
    loops = [*batch, *rows[:-1], *columns[:-1]]
    work = m.size * n.size * k.size
    if isinstance(work, int) and work <= SMALL_PRODUCT:
        return None
    return _arranged(dtype, loops, m, n, k, operands)


def _arranged(
    dtype: DType, loops: Sequence[_Axis], m: _Axis, n: _Axis, k: _Axis, places: Sequence[Placement]
) -> Gemm | None:
    """Find out which matrices are transposed; a transposed result is the product of the transposed operands."""
    out = _matrix(places[2], m, n, 2, loops)
    if out is None:
        return None
    order, rows, columns = (0, 1), m, n
    if out.transposed:
        order, rows, columns = (1, 0), n, m
        out = Matrix(out.place, False, out.leading, out.steps)
    a = _matrix(places[order[0]], rows, k, order[0], loops)
    b = _matrix(places[order[1]], k, columns, order[1], loops)
    if a is None or b is None:
        return None
    return Gemm(dtype, tuple(x.size for x in loops), rows.size, columns.size, k.size, a, b, out)


def _axes(
    rule: Contract, node: Node, places: Sequence[Placement]
) -> tuple[list[_Axis], list[_Axis], list[_Axis], list[_Axis]] | None:
    """Batch, row, column and summed axes; None where a label occurs twice in an operand (a diagonal)."""
    labels = (rule.lhs, rule.rhs, rule.out)
    if any(len(set(text)) != len(text) for text in labels):
        return None
    sizes = label_sizes(rule, node)
    shapes = (*(a.type.shape for a in node.args[:2] if isinstance(a, Value)), node.value.type.shape)
    strides = [
        {label: 0 if is_one(size) else stride for label, size, stride in zip(text, shape, place.strides, strict=True)}
        for text, shape, place in zip(labels, shapes, places, strict=True)
    ]
    sorts: dict[str, list[_Axis]] = {}
    for label in dict.fromkeys(rule.out + rule.lhs + rule.rhs):
        if not is_one(sizes[label]):
            # an axis that broadcasts counts as absent
            sort = "".join(
                name
                for name, text, shape in zip("abc", labels, shapes, strict=True)
                if label in text and not is_one(shape[text.index(label)])
            )
            lhs, rhs, out = (s.get(label, 0) for s in strides)
            sorts.setdefault(sort, []).append(_Axis(sizes[label], (lhs, rhs, out)))
    if not set(sorts) <= {"abc", "ac", "bc", "ab"}:
        return None
    batch, rows, columns, summed = (_merged(sorts.get(sort, [])) for sort in ("abc", "ac", "bc", "ab"))
    return batch, rows, columns, summed


def _merged(axes: Sequence[_Axis]) -> list[_Axis]:
    """Neighbouring axes as one where memory walks them as one."""
    merged: list[_Axis] = []
    for axis in axes:
        if merged and all(dims.same(a, b * axis.size) for a, b in zip(merged[-1].strides, axis.strides, strict=True)):
            merged[-1] = _Axis(merged[-1].size * axis.size, axis.strides)
        else:
            merged.append(axis)
    return merged


def _last(axes: Sequence[_Axis]) -> _Axis:
    return axes[-1] if axes else _Axis(1, (0, 0, 0))


def _matrix(place: Placement, rows: _Axis, columns: _Axis, operand: int, loops: Sequence[_Axis]) -> Matrix | None:
    """The matrix of two axes in an operand; None if neither is contiguous, or one stands still."""
    steps = tuple(loop.strides[operand] for loop in loops)
    along, down = columns.strides[operand], rows.strides[operand]
    if is_one(rows.size) and is_one(columns.size):
        return Matrix(place, False, 1, steps)
    if is_one(rows.size) and dims.same(along, 1):
        return Matrix(place, False, columns.size, steps)
    if (is_one(columns.size) or dims.same(along, 1)) and _reaches(down, columns.size):
        return Matrix(place, False, down, steps)
    if (is_one(rows.size) or dims.same(down, 1)) and _reaches(along, rows.size):
        return Matrix(place, True, along, steps)
    return None


def _reaches(leading: Dim, length: Dim) -> bool:
    """Whether consecutive rows of `length` elements provably do not overlap."""
    return at_most(length, leading)
