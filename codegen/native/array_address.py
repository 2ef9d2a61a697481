"""Where an array's elements are, quickly.

`array.ctypes.data` takes longer than a small kernel. numpy's array object holds the address in a field of its own:
`FIELD` bytes after the start of the object, which in CPython is its `id`. The position is not taken for granted: it is
found on examples when this module loads, and where they do not agree on one it is None and the slow way is taken.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable

import numpy as np

_Word = ctypes.c_size_t
_WORD = ctypes.sizeof(_Word)


def find_field(arrays: Iterable[np.ndarray]) -> int | None:
    """The distance from the start of each array object to its data pointer; None unless there is exactly one."""
    positions = set(range(object.__basicsize__, np.ndarray.__basicsize__, _WORD))
    for array in arrays:
        address = array.ctypes.data
        positions = {p for p in positions if _Word.from_address(id(array) + p).value == address}
    return positions.pop() if len(positions) == 1 else None


def _examples() -> list[np.ndarray]:
    """Arrays of several ranks and layouts; in the views, the data pointer differs from that of the base."""
    base = np.zeros((4, 6), np.float32)
    return [base, base[1:, ::2], base.T[3:], np.zeros((), np.int64), np.zeros((2, 0, 3), np.int8)]


#: bytes from the start of an array object to its data pointer; None where that is not known
FIELD: int | None = find_field(_examples())


def address_of(array: np.ndarray) -> int:
    """The address of the first element. The array must stay alive for as long as the address is used."""
    if FIELD is None:
        return array.ctypes.data
    return _Word.from_address(id(array) + FIELD).value
