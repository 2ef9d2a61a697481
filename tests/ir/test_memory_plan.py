"""Arena layouts: what lives together never overlaps, what does not may share."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tracegraph import dtypes
from tracegraph.ir import dim as dims
from tracegraph.ir.memory_plan import ALIGNMENT, Placement, Space, Storage, lay_out, whole

S = dims.sym("s0")


@st.composite
def storages(draw: st.DrawFn) -> list[Storage]:
    found = []
    for number in range(draw(st.integers(0, 12))):
        first = draw(st.integers(0, 20))
        last = first + draw(st.integers(0, 8))
        size = draw(st.integers(0, 300)) * draw(st.sampled_from([1, S]))
        found.append(Storage(Space.ARENA, number, draw(st.sampled_from(dtypes.ALL)), size, first, last))
    return found


@given(storages(), st.integers(1, 5))
def test_no_two_live_storages_overlap(made: list[Storage], size: int) -> None:
    layout = lay_out(made, {"s0": size})
    ends = [o + int(dims.evaluate(s.nbytes, {"s0": size})) for o, s in zip(layout.offsets, made, strict=True)]
    for i, a in enumerate(made):
        assert layout.offsets[i] % ALIGNMENT == 0 and ends[i] <= layout.total
        for j, b in enumerate(made[:i]):
            if a.first <= b.last and b.first <= a.last:
                assert ends[i] <= layout.offsets[j] or ends[j] <= layout.offsets[i]


def test_storages_that_follow_one_another_share() -> None:
    made = [Storage(Space.ARENA, n, dtypes.float32, 16, 2 * n, 2 * n + 1) for n in range(5)]
    assert lay_out(made, {}).total == 64


def test_whole() -> None:
    storage = Storage(Space.ARENA, 0, dtypes.float32, S * 4)
    assert whole(storage, (S, 4)).is_whole((S, 4))
    assert Placement(storage, 0, (4, 7, 1)).is_whole((S, 1, 4))
    assert not Placement(storage, 0, (1, S)).is_whole((4, S))
    assert not Placement(storage, 4, (4, 1)).is_whole((S - 1, 4))
