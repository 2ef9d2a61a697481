"""Equations and factorisations: what they promise, gradients by finite differences, eager and compiled alike."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import tracegraph as tg
from tracegraph import linalg
from tracegraph.autograd import gradcheck
from tracegraph.errors import ShapeError


def matrices(*shape: int, seed: int = 0) -> tg.Tensor:
    return tg.randn(*shape, generator=tg.Generator().manual_seed(seed), dtype=tg.float64)


def symmetric(x: tg.Tensor) -> tg.Tensor:
    return (x + x.mT) / 2


def definite(x: tg.Tensor) -> tg.Tensor:
    return x @ x.mT + tg.eye(x.shape[-1], dtype=x.dtype)


def rebuilt(factors: tuple[tg.Tensor, tg.Tensor, tg.Tensor]) -> tg.Tensor:
    u, s, vh = factors
    return u @ tg.diag_embed(s) @ vh


X, TALL, WIDE = matrices(2, 3, 3), matrices(4, 3), matrices(3, 4)
CASES: dict[str, tuple[Callable[..., tg.Tensor], tuple[tg.Tensor, ...]]] = {
    "inv": (linalg.inv, (X,)),
    "det": (linalg.det, (X,)),
    "logdet": (lambda x: tg.logdet(definite(x)), (X,)),
    "slogdet": (lambda x: linalg.slogdet(x).logabsdet, (X,)),
    "solve": (linalg.solve, (X, matrices(2, 3, 2, seed=1))),
    "solve-vector": (linalg.solve, (X[0], matrices(3, seed=1))),
    "solve-right": (lambda a, b: linalg.solve(a, b, left=False), (X, matrices(2, 2, 3, seed=1))),
    "triangular": (lambda a, b: linalg.solve_triangular(a, b, upper=True), (X, matrices(2, 3, 2, seed=1))),
    "unitriangular": (
        lambda a, b: linalg.solve_triangular(a, b, upper=False, unitriangular=True),
        (X, matrices(2, 3, 1, seed=1)),
    ),
    "cholesky": (lambda x: linalg.cholesky(definite(x)), (X,)),
    "cholesky-solve": (tg.cholesky_solve, (matrices(3, 2), matrices(3, 3, seed=2) + 4 * tg.eye(3))),
    "qr": (lambda x: linalg.qr(x).R + linalg.qr(x).Q.mean(), (TALL,)),
    "eigh": (lambda x: linalg.eigh(symmetric(x)).eigenvectors.abs(), (X,)),
    "eigvalsh": (lambda x: linalg.eigvalsh(symmetric(x)), (X,)),
    "svd-tall": (lambda x: linalg.svd(x, full_matrices=False).U.abs(), (TALL,)),
    "svd-wide": (lambda x: linalg.svd(x, full_matrices=False).Vh.abs(), (WIDE,)),
    "svdvals": (linalg.svdvals, (WIDE,)),
    "pinv": (linalg.pinv, (TALL,)),
    "nuclear": (lambda x: linalg.matrix_norm(x, "nuc"), (TALL,)),
    "spectral": (lambda x: linalg.matrix_norm(x, 2, keepdim=True), (WIDE,)),
    "power": (lambda x: linalg.matrix_power(x, -2), (X,)),
}


@pytest.mark.parametrize("case", CASES)
def test_gradients_and_compilation(case: str) -> None:
    f, operands = CASES[case]
    leaves = [x.clone().requires_grad_() for x in operands]
    assert gradcheck(f, leaves)
    assert tg.allclose(tg.compile(f, fullgraph=True)(*operands), f(*operands))


def test_promises() -> None:
    identity = tg.eye(3, dtype=tg.float64)
    assert tg.allclose(X @ linalg.inv(X), identity.expand(2, 3, 3))
    factor = linalg.cholesky(definite(X))
    assert tg.allclose(factor @ factor.mT, definite(X))
    assert tg.allclose(tg.cholesky(definite(X), upper=True), factor.mT)
    q, r = linalg.qr(TALL)
    assert tg.allclose(q @ r, TALL)
    assert tg.allclose(q.mT @ q, identity)
    values, vectors = linalg.eigh(symmetric(X))
    assert tg.allclose(vectors @ tg.diag_embed(values) @ vectors.mT, symmetric(X))
    for x in (TALL, WIDE):
        assert tg.allclose(rebuilt(linalg.svd(x, full_matrices=False)), x)
    assert linalg.svd(TALL).U.shape == (4, 4)
    assert linalg.qr(TALL, "complete").Q.shape == (4, 4)
    assert linalg.matrix_rank(TALL @ TALL.mT).item() == 3
    assert tg.allclose(linalg.pinv(TALL) @ TALL, identity)
    assert tg.logdet(-identity).isnan()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: linalg.inv(tg.zeros(2, 2)), r"inverse: Singular matrix, in f32\[2, 2\]"),
        (lambda: linalg.solve(tg.zeros(2, 2), tg.ones(2)), "Singular matrix"),
        (lambda: linalg.cholesky(-tg.eye(2)), "not positive definite"),
        (lambda: linalg.inv(tg.ones(2, 3)), "must be square matrices"),
        (lambda: linalg.svd(tg.ones(3)), "must be matrices"),
        (lambda: linalg.inv(tg.eye(2).half()), "only defined for float32 and float64"),
        (lambda: linalg.solve(tg.eye(3), tg.ones(2, 2)), "do not fit"),
        (lambda: linalg.qr(tg.eye(2), "raw"), "mode='raw'"),
        (lambda: linalg.eigh(tg.eye(2), "X"), "UPLO='X'"),
        (lambda: linalg.matrix_norm(tg.eye(2), "two"), "ord='two'"),
        (lambda: linalg.svd(tg.eye(2, requires_grad=True)).U.sum().backward(), "full_matrices=False only"),
        (lambda: linalg.qr(tg.ones(2, 3, requires_grad=True)).R.sum().backward(), "tall matrices"),
    ],
)
def test_errors(call: Callable[[], object], message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        call()


def test_singular_matrices_are_told_apart() -> None:
    with pytest.raises(linalg.LinAlgError):
        linalg.inv(tg.zeros(2, 2))


def test_one_matrix_may_stand_for_many_right_hand_sides() -> None:
    """B [3, 3] of A [3, 3, 3] are vectors for solve, one matrix for those that take no vectors."""
    lower, b = linalg.cholesky(X[0] @ X[0].mT + tg.eye(3, dtype=X.dtype)), matrices(3, 3, seed=1)
    many = lower.expand(3, 3, 3)
    for found, a in (
        (linalg.solve_triangular(many, b, upper=False), lower),
        (tg.cholesky_solve(b, many), lower @ lower.mT),
    ):
        assert found.shape == (3, 3, 3)
        assert tg.allclose(a @ found, b.expand(3, 3, 3))
    with pytest.raises(ShapeError, match="left=False"):
        linalg.solve(many, b, left=False)
