"""Common divisors and multiples, against Python's."""

from __future__ import annotations

import math

import pytest

import tracegraph as tg

PAIRS = [(12, 18), (-12, 18), (0, 5), (0, 0), (1, -1), (2**62, 3 * 2**40), (7540113804746346429, 4660046610375530309)]


@pytest.mark.parametrize("compiled", [False, True])
def test_integers_of_all_sizes(compiled: bool) -> None:
    """The last pair are neighbours among Fibonacci's numbers, which take the most steps."""
    x, y = (tg.tensor(column) for column in zip(*PAIRS, strict=True))
    gcd = tg.compile(tg.gcd, fullgraph=True) if compiled else tg.gcd
    assert gcd(x, y).tolist() == [math.gcd(*pair) for pair in PAIRS]
    assert gcd(x, 6).tolist() == [math.gcd(a, 6) for a, _ in PAIRS]
    assert tg.lcm(x[:5], y[:5]).tolist() == [math.lcm(*pair) for pair in PAIRS[:5]]


def test_multiples_wrap_around_behind_the_absolute_value() -> None:
    assert tg.lcm(tg.tensor([65], dtype=tg.int8), tg.tensor([43], dtype=tg.int8)).tolist() == [-21]
