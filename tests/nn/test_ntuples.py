"""One number for all dimensions, or one for each."""

from __future__ import annotations

from captured import capture_of

import tracegraph as tg
from tracegraph.nn.modules.utils import _list_with_default, _ntuple, _pair, _reverse_repeat_tuple, _single, _triple


def test_numbers_are_repeated_and_what_is_iterable_is_not() -> None:
    assert (_single(1), _pair(2), _triple(3), _ntuple(4)("ab")) == ((1,), (2, 2), (3, 3, 3), ("a", "b"))
    assert _pair([1, 2, 3]) == (1, 2, 3)
    assert _reverse_repeat_tuple((1, 2), 2) == (2, 2, 1, 1)
    assert _list_with_default((None, 5), [2, 3, 4]) == [3, 5] and _list_with_default(7, []) == 7


def test_in_compiled_code() -> None:
    pooled = capture_of(lambda x, size: tg.nn.functional.avg_pool2d(x, _pair(size)), fullgraph=True)
    assert pooled(tg.ones(1, 1, 4, 4), 2).shape == pooled(tg.ones(1, 1, 4, 4), (2, 2)).shape == (1, 1, 2, 2)
