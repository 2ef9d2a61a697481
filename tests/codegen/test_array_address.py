"""Addresses of arrays, by the quick and by the slow way."""

from __future__ import annotations

import numpy as np
import pytest

from tracegraph import dtypes
from tracegraph.codegen import array_address


@pytest.mark.parametrize("dtype", dtypes.ALL, ids=lambda d: d.name)
def test_address(dtype: dtypes.DType, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.zeros((4, 6), dtype.np)
    for array in (whole, whole[1:, ::2], whole.T, np.zeros((), dtype.np), np.zeros((0, 3), dtype.np)):
        assert array_address.address_of(array) == array.ctypes.data
    monkeypatch.setattr(array_address, "_OFFSET", None)
    assert array_address.address_of(whole[2:]) == whole.ctypes.data + 12 * dtype.itemsize


def test_the_quick_way_works_here() -> None:
    assert array_address._OFFSET is not None
