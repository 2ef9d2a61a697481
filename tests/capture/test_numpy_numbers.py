"""Numbers of numpy that vary from call to call: symbols like Python's, of numpy's types."""

from __future__ import annotations

import numpy as np
import pytest
from captured import capture_of, family_of
from varying_numbers import assert_agree, traces, x

import tracegraph as tg

SCHEDULE = np.linspace(0.1, 1.0, 10)


RATE = np.float32(0.5)


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16, np.int64, np.int8])
def test_numpy_numbers_vary_and_keep_their_type(kind):
    def program(x, a):
        decided = x if a > 1 else -x
        numbers = a + 1, 2 - a, a * a, a / 3, a // 2, a % 3, a**2, -a, abs(a), round(a), max(a, 3), sum([a, 1])
        more = (
            type(a),
            isinstance(a, np.floating),
            a.dtype,
            a.item(),
            float(a),
            int(a),
            np.sqrt(a),
            divmod(a, 2),
            a == 3,
        )
        return (
            x * a,
            a - x,
            x.to(tg.int64) * a,
            decided,
            tg.full((2,), a),
            tg.tensor(a),
            tg.tensor([a, 2]),
            numbers,
            more,
        )

    assert traces(program, [(x(), kind(v)) for v in (2, 3, 4, 5, 6)]) <= 3


def test_numpy_integers_as_sizes_and_indices():
    def program(x, n):
        return x[:, :n], x[n], tg.zeros(n, 2), x.narrow(0, 0, n), list(range(n)), x.repeat(n, 1)

    assert traces(program, [(x(), np.int64(n)) for n in (2, 3, 2, 3)]) == 2
    assert traces(lambda x, n: (x[:, :n], tg.arange(n)), [(x(), np.int32(n)) for n in (2, 3, 4, 5)]) == 2


def test_elements_of_arrays_from_outside_vary():
    assert traces(lambda x, i: (x * SCHEDULE[i], SCHEDULE[i + 1]), [(x(), i) for i in range(1, 8)]) == 2
    assert traces(lambda x, a: x * a[0] + a[-1] * a.sum(), [(x(), np.arange(3) * k) for k in range(1, 6)]) == 1
    assert traces(lambda x, a, i: x * a[i], [(x(), np.arange(6.0), i) for i in range(1, 6)], dynamic=False) == 5


def test_a_global_numpy_number(monkeypatch):
    captured = capture_of(lambda x: x * RATE)
    for value in (0.5, 0.25, 0.125, 2.0):
        monkeypatch.setitem(globals(), "RATE", np.float32(value))
        assert_agree(x() * RATE, captured(x()))
    assert sum(len(u.specialisations) for u in family_of(captured).units.values()) == 2


def test_an_index_out_of_an_array_is_numpys_error():
    captured = capture_of(lambda x, a, i: x * a[i])
    for i in (1, 2, 3):
        captured(x(), np.arange(5.0), i)
    with pytest.raises(IndexError, match="out of bounds"):
        captured(x(), np.arange(5.0), 7)


def test_a_varying_number_made_one_of_numpy():
    def program(x, rate):
        return x * np.float32(rate), np.float64(rate * 2), np.float32(rate).dtype, np.int64(rate), np.float16(rate) * 2

    assert traces(program, [(x(), rate) for rate in (0.1, 0.2, 0.3, -1.5, 7.0)]) == 2
