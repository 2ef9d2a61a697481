"""Which tensors lie in one memory, and where in it."""

from __future__ import annotations

import numpy as np
import pytest

import tracegraph as tg
from tracegraph.ops.core.shared_memory import Member
from tracegraph.tensor.sharing import row_of, seen_by, shared_memories


def test_tensors_that_overlap_make_a_memory() -> None:
    base, other = tg.arange(8.0), tg.arange(3.0)
    first, second, third = base[6:], base[1:5].view(2, 2), base[::2]
    tensors = [first, other, second, third]
    (memory,) = shared_memories(tensors, [2])
    assert memory.refusal == ""
    assert memory.members == (
        Member(3, 0, (2,), 3, False),
        Member(2, 1, (2, 1), 3, False),
        Member(0, 6, (1,), 3, False),
    )
    row = row_of(memory, tensors)
    np.testing.assert_array_equal(row, base.numpy())
    for member in memory.members:
        tensor = tensors[member.position]
        np.testing.assert_array_equal(seen_by(member, row, tensor.shape), tensor.numpy())


def test_only_what_is_written_to_matters() -> None:
    base, other = tg.arange(8.0), tg.arange(4.0)
    tensors = [base[:4], base[2:], other[:2], other[1:], base[8:]]
    assert [m.positions for m in shared_memories(tensors, [3])] == [{2, 3}]
    assert [m.positions for m in shared_memories(tensors, [0, 2])] in ([{0, 1}, {2, 3}], [{2, 3}, {0, 1}])
    assert shared_memories(tensors, [4]) == ()  # it has no elements
    assert shared_memories([base[:4], base[4:]], [0, 1]) == ()


def test_version_counters() -> None:
    leaf = tg.arange(4.0).requires_grad_()
    view, data, array = leaf.detach()[1:], leaf.data, leaf.detach().numpy()[:3]
    (memory,) = shared_memories([leaf, view, data, array], [1])
    counters = {m.position: m.counter for m in memory.members}
    assert (counters[0] == counters[1], counters[2], counters[3]) == (True, 2, 3)
    assert not memory.is_countable
    (memory,) = shared_memories([leaf, data], [1])
    assert memory.counter == 1
    assert memory.is_countable


@pytest.mark.parametrize(
    ("first", "second", "refusal"),
    [
        (np.zeros(4, np.float32), lambda a: a.view(np.int32), "dtypes"),
        (np.zeros(4, np.float32), lambda a: a[::-1], "negative"),
        (np.zeros(9, np.uint8), lambda a: a[:8].view(np.float32), "dtypes"),
        (np.zeros(4, np.float32), lambda a: np.broadcast_to(a[:1], (3,)), ""),
    ],
)
def test_refusals(first: np.ndarray, second, refusal: str) -> None:
    (memory,) = shared_memories([first, second(first)], [0])
    assert refusal in memory.refusal
    assert bool(refusal) == bool(memory.refusal)


def test_a_write_to_what_overlaps_itself_is_refused() -> None:
    base = tg.arange(4.0)
    tensors = [base, base.as_strided((2, 2), (1, 1))]
    assert shared_memories(tensors, [0])[0].refusal == ""
    assert "overlaps itself" in shared_memories(tensors, [1])[0].refusal
