"""Addresses of arrays, by the quick and by the slow way."""

from __future__ import annotations

import numpy as np
import pytest

from tracegraph import dtypes
from tracegraph.codegen.native import array_address


@pytest.mark.parametrize("dtype", dtypes.ALL, ids=lambda d: d.name)
def test_address(dtype: dtypes.DType, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.zeros((4, 6), dtype.np)
    for array in (whole, whole[1:, ::2], whole.T, np.zeros((), dtype.np), np.zeros((0, 3), dtype.np)):
        assert array_address.address_of(array) == array.ctypes.data
    monkeypatch.setattr(array_address, "FIELD", None)
    assert array_address.address_of(whole[2:]) == whole.ctypes.data + 12 * dtype.itemsize


def test_the_quick_way_works_here() -> None:
    assert array_address.FIELD is not None


class _Elsewhere(np.ndarray):
    """An array that claims to have its elements where no field of it points."""

    @property
    def ctypes(self) -> object:
        class Claim:
            data = 12345

        return Claim


def test_a_field_that_examples_do_not_agree_on_is_not_used() -> None:
    good = np.zeros(3)
    assert array_address.find_field([good, np.zeros(4)]) == array_address.FIELD
    assert array_address.find_field([good, np.zeros(4).view(_Elsewhere)]) is None
    # without examples every position would do
    assert array_address.find_field([]) is None
