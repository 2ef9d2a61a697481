"""Real numbers as complex ones."""

from __future__ import annotations

import math

import tracegraph as tg


def test_parts_of_real_numbers() -> None:
    x = tg.tensor([-1.0, 0.0, 2.0, math.nan])
    assert tg.real(x) is x and x.conj() is x and tg.resolve_conj(x) is x and x.real is x
    assert tg.angle(x)[:3].tolist() == [tg.tensor(math.pi).item(), 0.0, 0.0] and tg.angle(x)[3].isnan()
    assert tg.angle(tg.tensor([-3])).dtype is tg.float32
    assert x.isreal().all() and x.isreal().dtype is tg.bool
