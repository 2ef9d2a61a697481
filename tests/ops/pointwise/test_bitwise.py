"""Bits of signed and unsigned integers, bools, and shifts out of range."""

from __future__ import annotations

import pytest

import tracegraph as tg
from tracegraph.errors import DTypeError


def test_logic() -> None:
    x = tg.tensor([0b1100, -1])
    assert (x & 0b1010).tolist() == [0b1000, 0b1010]
    assert (x | 0b0011).tolist() == [0b1111, -1]
    assert (1 ^ x).tolist() == [0b1101, -2]
    assert (~x).tolist() == [-13, 0]
    assert (~tg.tensor([0, 255], dtype=tg.uint8)).tolist() == [255, 0]
    assert (~tg.tensor([True, False])).tolist() == [False, True]
    assert (tg.tensor([True]) & tg.tensor([3])).tolist() == [1]
    with pytest.raises(DTypeError, match="not defined for dtype float32"):
        tg.tensor([1.0]) & 1


def test_shifts() -> None:
    x = tg.tensor([1, -8], dtype=tg.int8)
    assert (x << 3).tolist() == [8, -64]
    assert (x >> 1).tolist() == [0, -4]
    assert (x << 8).tolist() == [0, 0]
    assert (x >> 100).tolist() == [0, -1]
    with pytest.raises(DTypeError, match="not defined for dtype bool"):
        tg.tensor([True]) << True
