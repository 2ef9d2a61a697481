"""Where an array's elements are, quickly.

`array.ctypes.data` takes microseconds. The address is the first field of numpy's array struct after the object head;
its position is found on an example when this module loads, and where that fails the slow way is taken.
"""

from __future__ import annotations

import ctypes

import numpy as np

_Word = ctypes.c_size_t


def _offset_of_data() -> int | None:
    """The distance of the data pointer from the start of an array object, found on two arrays."""
    examples = (np.empty(3, np.float32), np.empty((2, 2), np.int8))
    head = object.__basicsize__
    agrees = all(_Word.from_address(id(a) + head).value == a.ctypes.data for a in examples)
    return head if agrees else None


_OFFSET = _offset_of_data()


def address_of(array: np.ndarray) -> int:
    """The address of the first element. The array must stay alive for as long as the address is used."""
    if _OFFSET is None:
        return array.ctypes.data
    return _Word.from_address(id(array) + _OFFSET).value
