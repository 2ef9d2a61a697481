"""The functions of `tracegraph.special` that are more than a name."""

from __future__ import annotations

import math

import tracegraph as tg
from tracegraph import special


def test_values() -> None:
    assert special.entr(tg.tensor([-1.0, 0.0, 1.0])).tolist() == [-math.inf, 0, 0]
    assert tg.allclose(special.ndtr(tg.tensor([0.0, 1.959964])), tg.tensor([0.5, 0.975]))
    assert special.xlog1py(tg.tensor([0.0, 2.0]), tg.tensor([-1.0, 0.0])).tolist() == [0, 0]
    assert special.xlog1py(tg.tensor([0.0]), tg.tensor([math.nan])).isnan().all()
    assert special.expit(tg.zeros(1)).item() == 0.5


def test_captured() -> None:
    f = tg.compile(lambda x: special.ndtr(x) + tg.linalg.cross(x, x), fullgraph=True)
    assert tg.allclose(f(tg.zeros(3)), tg.full((3,), 0.5))
