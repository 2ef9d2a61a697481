"""Predicates answer eagerly, and break a graph."""

import pytest

import tracegraph as tg


def test_allclose_and_equal():
    x = tg.tensor([1.0, float("nan")])
    assert not tg.allclose(x, x)
    assert tg.allclose(x, x, equal_nan=True)
    assert tg.ones(2).allclose(tg.ones(2) + 1e-7)
    assert tg.equal(tg.ones(2), tg.ones(2))
    assert not tg.ones(2).equal(tg.ones(3))


@pytest.mark.parametrize("backend", ["eager", "llvm"])
def test_a_compiled_function_asks_eagerly(backend):
    @tg.compile(backend=backend)
    def f(x, y):
        if tg.allclose(x, y):
            return x + y
        return x - y

    assert f(tg.ones(2), tg.ones(2)).tolist() == [2.0, 2.0]
    assert f(tg.ones(2), tg.zeros(2)).tolist() == [1.0, 1.0]
