"""Einstein summation against the sum over all names, and malformed equations."""

import itertools

import numpy as np
import pytest

import tracegraph as tg


def naive(equation, *arrays):
    """Sum the product over every assignment of the names."""
    left, output = equation.split("->")
    inputs = left.split(",")
    sizes = {n: s for names, a in zip(inputs, arrays, strict=True) for n, s in zip(names, a.shape, strict=True)}
    result = np.zeros([sizes[n] for n in output])
    for values in itertools.product(*(range(s) for s in sizes.values())):
        at = dict(zip(sizes, values, strict=True))
        term = np.prod([a[tuple(at[n] for n in names)] for names, a in zip(inputs, arrays, strict=True)])
        result[tuple(at[n] for n in output)] += term
    return result


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk->ik", [(2, 3), (3, 4)]),
        ("ij,kj->ki", [(2, 3), (4, 3)]),
        ("bij,bkj->bik", [(2, 3, 4), (2, 5, 4)]),
        ("ijk->ki", [(2, 3, 4)]),
        ("ii->i", [(3, 3)]),
        ("iij->j", [(3, 3, 2)]),
        ("iji->j", [(3, 2, 3)]),
        ("i,j->ij", [(2,), (3,)]),
        ("ij,ij->", [(2, 3), (2, 3)]),
        ("ij,j,jk->k", [(2, 3), (3,), (3, 2)]),
        ("bn,anm,bm->ba", [(2, 3), (4, 3, 2), (2, 2)]),
        ("ab,cd->", [(2, 3), (2, 2)]),
    ],
)
def test_values(rng, equation, shapes):
    arrays = [rng.standard_normal(s) for s in shapes]
    found = tg.einsum(equation, *map(tg.tensor, arrays))
    np.testing.assert_allclose(found.numpy(), naive(equation, *arrays), atol=1e-12)


def test_without_an_arrow_names_that_occur_once_remain_in_order(rng):
    a, b = rng.standard_normal((2, 3)), rng.standard_normal((3, 4))
    found = tg.einsum("ba,ac", tg.tensor(a), tg.tensor(b))
    np.testing.assert_allclose(found.numpy(), a @ b)


def test_ellipsis_stands_for_dimensions_that_broadcast(rng):
    a, b = rng.standard_normal((2, 1, 3, 5)), rng.standard_normal((4, 1, 5))
    found = tg.einsum("...d,...d->...", [tg.tensor(a), tg.tensor(b)])
    np.testing.assert_allclose(found.numpy(), (a * b).sum(-1))


@pytest.mark.parametrize(
    ("equation", "shapes", "message"),
    [
        ("ij,jk->ik", [(2, 3)], "names 2 operands, got 1"),
        ("ij->i", [(2, 3, 4)], "write ... for further dimensions"),
        ("ijk->i", [(2, 3)], "names 3 dimensions of operand 0, which has 2"),
        ("ij->k", [(2, 3)], "output dimension 'k', which no operand has"),
        ("ij->ii", [(2, 2)], "'i' twice"),
        ("i1->i", [(2, 3)], "malformed at 'i1'"),
        ("ij,jk->ik", [(2, 3), (4, 5)], "'j' has sizes 3 and 4"),
        ("ii->i", [(2, 3)], "sizes 2 and 3"),
    ],
)
def test_what_is_wrong_is_named(equation, shapes, message):
    with pytest.raises(tg.TracegraphError, match=message):
        tg.einsum(equation, *(tg.zeros(s) for s in shapes))
