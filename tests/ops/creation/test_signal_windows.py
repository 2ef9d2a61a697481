"""Windows against scipy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.signal import windows

import tracegraph as tg
from tracegraph.errors import DTypeError, ValueRangeError


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("length", [0, 1, 2, 7, 16])
@pytest.mark.parametrize(
    ("name", "arguments", "known"),
    [
        ("hann", {}, "hann"),
        ("hamming", {}, "hamming"),
        ("blackman", {}, "blackman"),
        ("bartlett", {}, "bartlett"),
        ("kaiser", {"beta": 12.0}, "kaiser"),
        ("kaiser", {"beta": 40.0}, "kaiser"),
    ],
)
def test_windows(name: str, arguments: dict[str, Any], known: str, length: int, periodic: bool) -> None:
    found = getattr(tg, f"{name}_window")(length, periodic, dtype=tg.float64, **arguments)
    wanted = windows.get_window((known, *arguments.values()), length, fftbins=periodic) if length else np.zeros(0)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-10, atol=1e-15)


def test_errors() -> None:
    with pytest.raises(ValueRangeError, match="must not be negative"):
        tg.hann_window(-1)
    with pytest.raises(DTypeError, match="floating"):
        tg.hann_window(4, dtype=tg.int64)
    assert tg.hann_window(4).dtype is tg.float32 and not tg.hann_window(4).requires_grad
