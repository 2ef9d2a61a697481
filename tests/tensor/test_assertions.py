"""`_assert` and `_assert_async`."""

from __future__ import annotations

from captured import check, ramp

import tracegraph as tg


def asserted(x):
    tg._assert(x.shape[1] == 3, "width")
    tg._assert((x > 0).all(), "positive")
    tg._assert_async(x.sum() > 0)
    return x.log()


def asserted_at_the_end(x):
    tg._assert_async(x.sum() > 0, "the sum is negative")


def test_assertions_are_part_of_the_graph() -> None:
    check(asserted, lambda: (ramp(),), lambda: (-ramp(),), graphs=1)
    check(asserted, lambda: (ramp(2, 4),), breaks=("exception",))
    check(asserted_at_the_end, lambda: (ramp(),), lambda: (-ramp(),), graphs=1)
