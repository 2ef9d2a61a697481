"""The number of threads of matrix products."""

import pytest

import tracegraph as tg
from tracegraph.errors import ArgumentError, ValueRangeError


def test_the_number_is_kept():
    before = tg.get_num_threads()
    try:
        tg.set_num_threads(1)
        assert tg.get_num_threads() == 1
        assert (tg.ones(64, 64) @ tg.ones(64, 64)).sum().item() == 64**3
    finally:
        tg.set_num_threads(before)


def test_bad_numbers_are_named():
    with pytest.raises(ValueRangeError, match="num=0 must be at least 1"):
        tg.set_num_threads(0)
    with pytest.raises(ArgumentError, match="'num' must be an int, got"):
        tg.set_num_threads(2.0)
