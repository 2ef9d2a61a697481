"""Philox4x32-10, the counter-based random bits behind every random op, on numpy arrays.

A block of four 32-bit words is a pure function of a seed, the number of a draw, and a position; so an element's random
number depends on nothing but these, whatever the order and the number of threads that compute it, and whoever computes
it: this file, or the same rounds in generated code. (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as
1, 2, 3. SC 2011.)
"""

from __future__ import annotations

import numpy as np

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_MASK = 0xFFFFFFFF
_LOW, _SHIFT = np.uint64(_MASK), np.uint64(32)
_ROUNDS = 10


def words(seed: int, draw: int, positions: np.ndarray) -> tuple[np.ndarray, ...]:
    """The four words at each of `positions`, as uint64 arrays of 32-bit values.

    Args:
        seed, draw: 64 bits each, signed or not; key and upper half of the counter.
        positions: non-negative integers; the lower half of the counter.
    """
    p = np.asarray(positions).astype(np.uint64)
    c0, c1 = p & _LOW, p >> _SHIFT
    c2, c3 = (np.full_like(p, part) for part in _halves(draw))
    key = _halves(seed)
    for _ in range(_ROUNDS):
        first, second = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0 = (second >> _SHIFT) ^ c1 ^ np.uint64(key[0])
        c2 = (first >> _SHIFT) ^ c3 ^ np.uint64(key[1])
        c1, c3 = second & _LOW, first & _LOW
        key = ((key[0] + _WEYL[0]) & _MASK, (key[1] + _WEYL[1]) & _MASK)
    return c0, c1, c2, c3


def _halves(number: int) -> tuple[int, int]:
    """Low and high 32 bits."""
    return int(number) & _MASK, (int(number) >> 32) & _MASK
