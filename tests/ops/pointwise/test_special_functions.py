"""Special functions, against scipy's."""

from __future__ import annotations

import pytest
from scipy import special

import tracegraph as tg
from tracegraph.errors import ValueRangeError


def test_gamma_functions_of_several_dimensions() -> None:
    x = tg.tensor([2.0, 3.5], dtype=tg.float64)
    wanted = [special.multigammaln(2.0, 3), special.multigammaln(3.5, 3)]
    assert tg.special.multigammaln(x, 3).tolist() == pytest.approx(wanted)
    assert x.polygamma(1).tolist() == tg.polygamma(1, x).tolist()
    with pytest.raises(ValueRangeError, match="p=0"):
        tg.mvlgamma(x, 0)
