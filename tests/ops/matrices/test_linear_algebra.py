"""Products of fixed ranks: what they add to `matmul`."""

import numpy as np
import pytest

import tracegraph as tg


def test_addmm_scales_both_terms(rng):
    c, a, b = rng.standard_normal(5), rng.standard_normal((3, 4)), rng.standard_normal((4, 5))
    found = tg.addmm(tg.tensor(c), tg.tensor(a), tg.tensor(b), beta=0.5, alpha=2)
    np.testing.assert_allclose(found.numpy(), 0.5 * c + 2 * (a @ b))


def test_beta_zero_ignores_the_input():
    found = tg.addmm(tg.full((2, 2), float("nan")), tg.ones(2, 3), tg.ones(3, 2), beta=0)
    assert found.tolist() == [[3.0, 3.0], [3.0, 3.0]]


def test_outer_products(rng):
    a, b = rng.standard_normal(3), rng.standard_normal(4)
    np.testing.assert_allclose(tg.outer(tg.tensor(a), tg.tensor(b)).numpy(), a[:, None] * b)


@pytest.mark.parametrize(
    ("op", "shapes", "message"),
    [
        ("mm", [(2, 3, 4), (4, 5)], r"mm: input f32\[2, 3, 4\] must have 2 dimensions"),
        ("mv", [(3, 4), (4, 1)], r"mv: vec f32\[4, 1\] must have 1"),
        ("dot", [(3, 4), (4,)], r"dot: input"),
        ("bmm", [(2, 3, 4), (3, 4, 5)], r"bmm: .*number of matrices"),
        ("outer", [(2, 3), (4,)], r"outer: input f32\[2, 3\]"),
    ],
)
def test_ranks_are_checked(op, shapes, message):
    with pytest.raises(RuntimeError, match=message):
        getattr(tg, op)(*(tg.zeros(s) for s in shapes))
