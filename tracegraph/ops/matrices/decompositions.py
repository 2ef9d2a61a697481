"""Linear equations and factorisations of matrices, by LAPACK through numpy; the last two dimensions are the matrix.

Gradients follow Giles (2008), "Collected matrix derivative results for forward and reverse mode algorithmic
differentiation", and Townsend (2016), "Differentiating the singular value decomposition".
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tracegraph.dtypes import float32, float64
from tracegraph.errors import AutogradError, DTypeError, ElementError, ShapeError, ValueRangeError
from tracegraph.ir import TensorType
from tracegraph.ir import dim as dims
from tracegraph.ops import functional as F
from tracegraph.ops.core.autocast import Autocast
from tracegraph.ops.core.definition import Gradient, Handle, define_op
from tracegraph.ops.core.promotion import broadcast_shapes
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import describe, equal, equal_shapes, type_of
from tracegraph.ops.kinds import Derived, Library
from tracegraph.ops.kinds.batching import passed

_NONE = samples()  # samples cannot say "invertible": tests/ops/matrices/test_decompositions.py


class Factorisation(Library):
    """Base: checks the operand, and names the op where LAPACK finds no answer.

    Rules:
        compute(self, *arrays, **attrs): the results, as numpy gives them.
    """

    checks_elements = True
    autocast = Autocast.FLOAT32
    compute: ClassVar[Any] = None
    method = False
    samples = _NONE
    is_square: ClassVar[bool] = True
    batched = passed

    def check(self, x: Any) -> None:
        if x.dtype not in (float32, float64):
            raise DTypeError(f"{self.name}: only defined for float32 and float64, got {describe(x)}; convert the input")
        if len(x.shape) < 2 or (self.is_square and not equal(x.shape[-1], x.shape[-2])):
            raise ShapeError(
                f"{self.name}: input {describe(x)} must be {'square matrices' if self.is_square else 'matrices'}"
            )

    def infer(self, *operands: Any, **attrs: Any) -> tuple[TensorType, ...]:
        self.check(operands[0])
        return self.types(*operands, **attrs)

    def types(self, *operands: Any, **attrs: Any) -> tuple[TensorType, ...]:
        """Types of the results, of checked operands."""
        return operands[:1]

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> Any:
        self.infer(*map(type_of, arrays), **attrs)
        try:
            found = self.compute(*arrays, **attrs)
        except np.linalg.LinAlgError as e:
            raise ElementError(f"{self.name}: {e}, in {describe(type_of(arrays[0]))}") from None
        return tuple(map(np.asarray, found)) if isinstance(found, tuple) else np.asarray(found)


def _filled(gradients: tuple[Handle | None, ...], results: tuple[Handle, ...]) -> list[Handle]:
    """Zeros for the results that have no gradient."""
    return [F.zeros_like(y) if g is None else g for g, y in zip(gradients, results, strict=True)]


@define_op
class Inverse(Factorisation):
    """The inverse of each matrix.

    Raises:
        ElementError: a matrix is singular.
        ShapeError, DTypeError: the input is no square matrix of float32 or float64.
    """

    method = True

    def compute(self, x: np.ndarray) -> Any:
        return np.linalg.inv(x)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return -(y.mT @ g @ y.mT)


@define_op
class SolveMatrix(Factorisation):
    """The matrices X with A X = B, for equally many matrices A and B.

    Raises:
        ElementError: a matrix A is singular.
    """

    signature = "(A: Tensor, B: Tensor)"

    def types(self, *operands: Any, **attrs: Any) -> tuple[TensorType, ...]:
        a, b = operands
        if a.dtype is not b.dtype or a.ndim != b.ndim or not equal(a.shape[-1], b.shape[-2]):
            raise ShapeError(f"linalg.solve: A {describe(a)} and B {describe(b)} do not fit")
        return (b,)

    def compute(self, a: np.ndarray, b: np.ndarray) -> Any:
        return np.linalg.solve(a, b)

    def vjp(self, g: Handle, y: Handle, a: Handle, b: Handle) -> Gradient:
        of_b = F.solve_matrix(a.mT, g)
        return -(of_b @ y.mT), of_b


@define_op
class LinalgSolve(Derived):
    """X with A X = B (X A = B unless `left`), B being matrices or, with one dimension less than A, vectors.

    Raises:
        ElementError: a matrix A is singular.
    """

    method = False
    signature = "(A: Tensor, B: Tensor, *, left: bool = True)"
    samples = _NONE

    def decompose(self, a: Handle, b: Handle, *, left: bool) -> Handle:
        is_vector = b.ndim == 1 or (a.ndim - 1 == b.ndim and equal_shapes(tuple(a.shape[:-1]), tuple(b.shape)))
        if not is_vector:
            return _solved("linalg.solve", a, b, left)
        if not left:
            raise ShapeError(f"linalg.solve: B {describe(b)} is vectors for A {describe(a)}, which left=False excludes")
        return _solved("linalg.solve", a, b.unsqueeze(-1)).squeeze(-1)


def _solved(op: str, a: Handle, b: Handle, left: bool = True) -> Handle:
    """X with A X = B, or X A = B, for matrices alone, of which one may solve many."""
    if not left:
        return _solved(op, a.mT, b.mT).mT
    outer = broadcast_shapes(tuple(a.shape[:-2]), tuple(b.shape[:-2]), op=op)
    return F.solve_matrix(*(F.expand(t, (*outer, *t.shape[-2:])) for t in (a, b)))


@define_op
class SolveTriangular(Derived):
    """X with A X = B, reading only the upper or lower triangle of A; `unitriangular` takes its diagonal for ones.

    Raises:
        ElementError: a diagonal element is 0.
    """

    name = "linalg_solve_triangular"
    method = False
    signature = "(A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False)"
    samples = _NONE

    def decompose(self, a: Handle, b: Handle, *, upper: bool, left: bool, unitriangular: bool) -> Handle:
        if unitriangular:
            a = (F.triu(a, 1) if upper else F.tril(a, -1)) + F.eye(a.shape[-1], dtype=a.dtype)
        else:
            a = F.triu(a) if upper else F.tril(a)
        return _solved("linalg.solve_triangular", a, b, left)


@define_op
class CholeskyFactor(Factorisation):
    """The lower triangular L with L L^T = A; reads the lower triangle of A.

    Raises:
        ElementError: a matrix is not positive definite.
    """

    def compute(self, x: np.ndarray) -> Any:
        return np.linalg.cholesky(x)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        middle = F.tril(y.mT @ g)
        middle = middle - 0.5 * F.diag_embed(F.diagonal(middle, 0, -2, -1))
        inverse = F.inverse(y)
        half = inverse.mT @ middle @ inverse
        return 0.5 * (half + half.mT)


@define_op
class Cholesky(Derived):
    """The triangular factor of symmetric positive definite matrices: lower, L L^T = A, or `upper`, U^T U = A.

    Raises:
        ElementError: a matrix is not positive definite.
    """

    signature = "(input: Tensor, upper: bool = False)"
    samples = _NONE

    def decompose(self, x: Handle, *, upper: bool) -> Handle:
        factor = F.cholesky_factor(x)
        return factor.mT.contiguous() if upper else factor


@define_op
class CholeskySolve(Derived):
    """X with A X = input, given the Cholesky factor `L` of A (the upper one if `upper`)."""

    signature = "(input: Tensor, L: Tensor, upper: bool = False)"
    samples = _NONE

    def decompose(self, b: Handle, factor: Handle, *, upper: bool) -> Handle:
        lower = F.triu(factor).mT if upper else F.tril(factor)
        return _solved("cholesky_solve", lower.mT, _solved("cholesky_solve", lower, b))


@define_op
class Det(Factorisation):
    """The determinant of each matrix. Its gradient needs the inverse."""

    method = True

    def types(self, *operands: Any, **attrs: Any) -> tuple[TensorType, ...]:
        return (operands[0].with_shape(operands[0].shape[:-2]),)

    def compute(self, x: np.ndarray) -> Any:
        return np.linalg.det(x)

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        return (g * y).unsqueeze(-1).unsqueeze(-1) * F.inverse(x).mT


@define_op
class Slogdet(Factorisation):
    """Sign and logarithm of the absolute value of the determinant of each matrix."""

    method = True
    result_names = ("sign", "logabsdet")

    def types(self, *operands: Any, **attrs: Any) -> tuple[TensorType, ...]:
        return (operands[0].with_shape(operands[0].shape[:-2]),) * 2

    def compute(self, x: np.ndarray) -> Any:
        sign, logarithm = np.linalg.slogdet(x)
        return sign, logarithm

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        if g[1] is None:
            return None
        return g[1].unsqueeze(-1).unsqueeze(-1) * F.inverse(x).mT


@define_op
class Logdet(Derived):
    """The logarithm of the determinant of each matrix: nan where that is negative."""

    samples = _NONE

    def decompose(self, x: Handle) -> Handle:
        sign, logarithm = F.slogdet(x)
        return F.where(sign == -1, float("nan"), logarithm)


@define_op
class LinalgQr(Factorisation):
    """A = Q R with orthonormal columns Q and upper triangular R; `mode` "reduced" or "complete".

    Raises:
        ValueRangeError: another mode.
        AutogradError: a gradient of a complete factorisation, or of one of a wide matrix.
    """

    signature = "(A: Tensor, mode: str = 'reduced')"
    result_names = ("Q", "R")
    is_square = False

    def types(self, *operands: Any, mode: str, **attrs: Any) -> tuple[TensorType, ...]:
        if mode not in ("reduced", "complete"):
            raise ValueRangeError(f"linalg.qr: mode={mode!r} must be 'reduced' or 'complete'")
        (a,) = operands
        *outer, m, n = a.shape
        k = m if mode == "complete" else dims.minimum(m, n)
        return a.with_shape((*outer, m, k)), a.with_shape((*outer, k, n))

    def compute(self, a: np.ndarray, mode: str) -> Any:
        q, r = np.linalg.qr(a, mode)  # type: ignore[call-overload]
        return q, r

    def vjp(self, g: Handle, y: Handle, a: Handle, mode: str) -> Gradient:
        if mode == "complete" or a.shape[-2] < a.shape[-1]:
            raise AutogradError(f"linalg.qr: no gradient for mode={mode!r} of {describe(a)}; it takes tall matrices")
        (q, r), (of_q, of_r) = y, _filled(g, y)
        m = r @ of_r.mT - of_q.mT @ q
        symmetric = F.tril(m, -1)
        symmetric = symmetric + symmetric.mT + F.diag_embed(F.diagonal(m, 0, -2, -1))
        return F.linalg_solve(r, (of_q + q @ symmetric).mT).mT


@define_op
class LinalgEigh(Factorisation):
    """Eigenvalues in ascending order, and eigenvectors as columns, of symmetric matrices, of which one triangle is
    read: `UPLO` "L" or "U".

    The gradient of the eigenvectors is not finite where eigenvalues coincide.

    Raises:
        ValueRangeError: `UPLO` is something else.
    """

    signature = "(A: Tensor, UPLO: str = 'L')"
    result_names = ("eigenvalues", "eigenvectors")

    def types(self, *operands: Any, UPLO: str, **attrs: Any) -> tuple[TensorType, ...]:
        if UPLO not in ("L", "U"):
            raise ValueRangeError(f"linalg.eigh: UPLO={UPLO!r} must be 'L' or 'U'")
        (a,) = operands
        return a.with_shape(a.shape[:-1]), a

    def compute(self, a: np.ndarray, UPLO: Any) -> Any:
        values, vectors = np.linalg.eigh(a, UPLO)
        return values, vectors

    def vjp(self, g: Handle, y: Handle, a: Handle, UPLO: str) -> Gradient:
        (values, vectors), of_values, of_vectors = y, g[0], g[1]
        inner = F.diag_embed(F.zeros_like(values) if of_values is None else of_values)
        if of_vectors is not None:
            inner = inner + (vectors.mT @ of_vectors) / _gaps(values)
        found = vectors @ inner @ vectors.mT
        return 0.5 * (found + found.mT)


def _gaps(values: Handle) -> Handle:
    """Differences values[j] - values[i] for i != j, infinity on the diagonal."""
    gaps = values.unsqueeze(-2) - values.unsqueeze(-1)
    return F.where(F.eye(values.shape[-1], dtype=gaps.dtype) == 1, float("inf"), gaps)


@define_op
class LinalgSvd(Factorisation):
    """A = U diag(S) Vh with orthonormal U and Vh, and the singular values S in descending order.

    `full_matrices` completes U and Vh to square matrices.

    Raises:
        AutogradError: a gradient of U or Vh with `full_matrices`.
    """

    signature = "(A: Tensor, full_matrices: bool = True)"
    result_names = ("U", "S", "Vh")
    is_square = False

    def types(self, *operands: Any, full_matrices: bool, **attrs: Any) -> tuple[TensorType, ...]:
        (a,) = operands
        *outer, m, n = a.shape
        k = dims.minimum(m, n)
        u, v = (m, n) if full_matrices else (k, k)
        return a.with_shape((*outer, m, u)), a.with_shape((*outer, k)), a.with_shape((*outer, v, n))

    def compute(self, a: np.ndarray, full_matrices: bool) -> Any:
        if not np.isfinite(a).all():  # the iterations would not end
            raise np.linalg.LinAlgError("the matrix has elements that are not finite")
        u, s, vh = np.linalg.svd(a, full_matrices)
        return u, s, vh

    def vjp(self, g: Handle, y: Handle, a: Handle, full_matrices: bool) -> Gradient:
        (u, s, vh), (of_u, of_s, of_vh) = y, g
        if full_matrices:
            if of_u is not None or of_vh is not None:
                raise AutogradError("linalg.svd: U and Vh have gradients with full_matrices=False only")
            k = s.shape[-1]
            u, vh = u[..., :k], vh[..., :k, :]
        inner = F.diag_embed(F.zeros_like(s) if of_s is None else of_s)
        outside = None
        row, column = s.unsqueeze(-2), s.unsqueeze(-1)
        gaps = _gaps(s * s)
        if of_u is not None:
            turn = u.mT @ of_u
            inner = inner + (turn - turn.mT) / gaps * row
            outside = ((of_u - u @ turn) / row) @ vh
        if of_vh is not None:
            turn = vh @ of_vh.mT
            inner = inner + column * ((turn - turn.mT) / gaps)
            rest = u @ ((of_vh - turn.mT @ vh) / column)
            outside = rest if outside is None else outside + rest
        found = u @ inner @ vh
        return found if outside is None else found + outside


@define_op
class Pinverse(Derived):
    """The Moore-Penrose inverse, by singular values above `rtol` times the largest."""

    aliases = ("linalg_pinv",)
    signature = "(input: Tensor, rtol: OptionalFloat = None)"
    samples = _NONE

    def decompose(self, x: Handle, *, rtol: float | None) -> Handle:
        u, s, vh = F.linalg_svd(x, full_matrices=False)
        is_kept = s > _tolerance(x, rtol) * s.max(-1, keepdim=True).values
        inverse = F.where(is_kept, 1 / F.where(is_kept, s, 1.0), 0.0)
        return vh.mT @ (inverse.unsqueeze(-1) * u.mT)


@define_op
class MatrixRank(Derived):
    """The number of singular values above `rtol` times the largest."""

    name = "linalg_matrix_rank"
    method = False
    signature = "(A: Tensor, *, rtol: OptionalFloat = None)"
    samples = _NONE

    def decompose(self, x: Handle, *, rtol: float | None) -> Handle:
        s = F.linalg_svd(x.detach(), full_matrices=False)[1]
        return (s > _tolerance(x, rtol) * s.max(-1, keepdim=True).values).sum(-1)


def _tolerance(x: Handle, rtol: float | None) -> float:
    if rtol is not None:
        return rtol
    return max(int(x.shape[-2]), int(x.shape[-1])) * float(np.finfo(x.dtype.np).eps)


@define_op
class MatrixExp(Factorisation):
    """The exponential of each square matrix, by scaling and squaring.

    Where the 1-norm is large the matrix is halved until it is at most 1/2; the Taylor series to the 18th power is then
    exact to rounding, and its square is taken as often.
    """

    aliases = ("linalg_matrix_exp",)
    method = True
    gradient_is_slope = True
    samples = samples(call(A((2, 3, 3)), dtypes=(float32, float64)), call(A((3, 3), -9, 9), dtypes=(float64,)),
                      call(A((0, 2, 2)), dtypes=(float64,)))  # fmt: skip

    def compute(self, x: np.ndarray) -> Any:
        norm = np.abs(x).sum(-2).max(-1, initial=0.0)
        halvings = np.ceil(np.log2(np.maximum(norm, 0.5))) + 1
        halvings = np.where(np.isfinite(halvings), halvings, 0).astype(np.int64)
        scaled = (x * np.exp2(-halvings)[..., None, None]).astype(x.dtype)
        term = total = np.broadcast_to(np.eye(x.shape[-1], dtype=x.dtype), x.shape)
        for k in range(1, 19):
            term = term @ scaled / x.dtype.type(k)
            total = total + term
        for done in range(int(halvings.max(initial=0))):
            total = np.where((halvings > done)[..., None, None], total @ total, total)
        return total

    def vjp(self, g: Handle, y: Handle, x: Handle) -> Gradient:
        # the upper right part of the exponential of [[A^T, G], [0, A^T]] (Najfeld and Havel 1995)
        n, turned = x.shape[-1], x.mT
        upper = F.cat([turned, g], -1)
        lower = F.cat([F.zeros_like(turned), turned], -1)
        return F.matrix_exp(F.cat([upper, lower], -2))[..., :n, n:]
