"""Borders against numpy, in every mode and on every side; and what does not fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tracegraph as tg
from tracegraph.ops import functional as F

NUMPY_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


@pytest.mark.parametrize("mode", NUMPY_MODES)
@given(data=st.data())
def test_pad_agrees_with_numpy(mode: str, data: st.DataObject) -> None:
    limits = [n - 1 if mode == "reflect" else n for n in X.shape]
    pairs = [(data.draw(st.integers(0, n)), data.draw(st.integers(0, n))) for n in limits]
    pairs = pairs[data.draw(st.integers(0, 2)) :]
    found = F.pad(tg.tensor(X), [w for pair in reversed(pairs) for w in pair], mode)
    wanted = np.pad(X, [(0, 0)] * (3 - len(pairs)) + pairs, mode=NUMPY_MODES[mode])
    np.testing.assert_array_equal(found.numpy(), wanted)


@given(st.lists(st.integers(-3, 3), min_size=2, max_size=2), st.lists(st.integers(-1, 2), min_size=2, max_size=2))
def test_negative_widths_cut_off(last: list[int], middle: list[int]) -> None:
    if sum(last) < -4:
        with pytest.raises(RuntimeError, match="cuts off more"):
            F.pad(tg.tensor(X), [*last, *middle])
        return
    found = F.pad(tg.tensor(X), [*last, *middle], value=7.0)
    grown = [(max(a, 0), max(b, 0)) for a, b in ((0, 0), middle, last)]
    cut = tuple(
        slice(max(-a, 0), n + p + q - max(-b, 0))
        for n, (p, q), (a, b) in zip(X.shape, grown, ((0, 0), middle, last), strict=True)
    )
    np.testing.assert_array_equal(found.numpy(), np.pad(X, grown, constant_values=7.0)[cut])


def test_the_value_takes_the_tensors_dtype() -> None:
    assert F.pad(tg.tensor([1, 2]), (1, 0), value=3.9).tolist() == [3, 1, 2]


@pytest.mark.parametrize(
    ("pad", "mode", "error", "message"),
    [
        ((1,), "constant", RuntimeError, "a width before and one after"),
        ((1,) * 8, "constant", RuntimeError, "for 4 dimensions, the tensor has 3"),
        ((4, 0), "reflect", RuntimeError, "reflect border of width 4 does not fit dimension 2 of size 4"),
        ((0, 5), "circular", RuntimeError, "circular border of width 5 does not fit dimension 2 of size 4"),
        ((1, 1), "mirror", ValueError, "mode must be constant, reflect, replicate, circular, got 'mirror'"),
    ],
)
def test_refusals(pad, mode, error, message) -> None:
    with pytest.raises(error, match=message):
        F.pad(tg.tensor(X), pad, mode)
