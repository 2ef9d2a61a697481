"""Python functions that native code can call.

An `ExternFunction` has the address of a native function `i32 f(ptr buffers, ptr sizes)`: an array of buffer
pointers and an array of i64 sizes, in the order of the declaration. It wraps the buffers as numpy arrays and calls
the Python function with them; results are written in place. It returns 0, or `FAILED` after the function raised.
The exception is kept for the calling thread, and whoever made the native call raises it with `raise_pending`.

The callback takes the GIL itself, so native code may call it with or without holding it.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Sequence

import numpy as np

from tracegraph.codegen.loop_interpret import shape_of
from tracegraph.codegen.loop_ir import Buffer, Mode

# a status that no kernel check has: those count from 1
FAILED = -1

_SIGNATURE = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p)


class _Pending(threading.local):
    """The first exception of this thread's native call."""

    error: BaseException | None = None


_PENDING = _Pending()


def raise_pending() -> None:
    """Raise what a callback of this thread raised since the last call, with its own traceback; else do nothing."""
    error, _PENDING.error = _PENDING.error, None
    if error is not None:
        raise error


class ExternFunction:
    """A Python function as a native one. Keep the object alive for as long as native code may call it.

    Args:
        name: the symbol native code knows it by.
        function: called with one numpy array for each buffer; `in` arrays are read-only. The arrays are views that
            die with the call.
        buffers: what the pointers stand for.
        sizes: names of the sizes that shapes mention, in the order they are passed.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., object],
        buffers: Sequence[Buffer],
        sizes: Sequence[str] = (),
    ) -> None:
        self.name = name
        self._function = function
        self._buffers = tuple(buffers)
        self._sizes = tuple(sizes)
        self._callback = _SIGNATURE(self._call)

    @property
    def address(self) -> int:
        """Where native code finds the function."""
        return int(ctypes.cast(self._callback, ctypes.c_void_p).value or 0)

    def _call(self, pointers: int | None, sizes: int | None) -> int:
        try:
            values = _integers(sizes, len(self._sizes))
            named = dict(zip(self._sizes, values, strict=True))
            addresses = _integers(pointers, len(self._buffers))
            arrays = [_view(b, p, named) for b, p in zip(self._buffers, addresses, strict=True)]
            self._function(*arrays)
        except BaseException as error:  # ctypes would print it and go on
            if _PENDING.error is None:
                _PENDING.error = error
            return FAILED
        return 0


def _integers(address: int | None, count: int) -> list[int]:
    if count == 0 or address is None:
        return []
    return list((ctypes.c_int64 * count).from_address(address))


def _view(buffer: Buffer, address: int, sizes: dict[str, int]) -> np.ndarray:
    """The memory at an address as an array."""
    shape = shape_of(buffer, sizes)
    strides = tuple(stride.evaluate(lambda atom: sizes[atom.name]) for stride in buffer.effective_strides)
    item = buffer.dtype.itemsize
    if 0 in shape:
        return np.empty(shape, buffer.dtype.np)
    length = item * (1 + sum((dim - 1) * stride for dim, stride in zip(shape, strides, strict=True)))
    memory = memoryview((ctypes.c_char * length).from_address(address)).cast("B")
    flat = np.frombuffer(memory, buffer.dtype.np)
    writeable = buffer.mode is not Mode.IN
    return np.lib.stride_tricks.as_strided(flat, shape, [item * s for s in strides], writeable=writeable)
