"""Kernels as Python callables on numpy arrays: compile, link, check the arguments, call.

For tests, tuning and running a kernel on its own; whole graphs go through a native driver instead.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping

import numpy as np

from tracegraph.codegen.emission.emit import entry_symbol, kernel_module
from tracegraph.codegen.llvm import jit
from tracegraph.codegen.loops.loop_interpret import check_array
from tracegraph.codegen.loops.loop_ir import Kernel
from tracegraph.codegen.loops.scalar_numpy import literal

_ENTRY = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


class NativeKernel:
    """A compiled kernel. Calling it takes what `interpret_kernel` takes and gives the same status."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.text = kernel_module(kernel)
        symbol = entry_symbol(kernel)
        self._library = jit.load(self.text, [symbol])
        self._entry = _ENTRY(self._library.address(symbol))

    def __call__(
        self,
        buffers: Mapping[str, np.ndarray],
        sizes: Mapping[str, int] | None = None,
        scalars: Mapping[str, float | int | bool] | None = None,
    ) -> int:
        """Run on arrays, which are written in place. The status: 0, or the number of the failed check.

        Raises:
            ShapeError: an array does not have its parameter's dtype and shape.
        """
        sizes, scalars = sizes or {}, scalars or {}
        arrays = [buffers[param.name] for param in self.kernel.buffers]
        for param, array in zip(self.kernel.buffers, arrays, strict=True):
            check_array(self.kernel, param, array, sizes)
        pointers = np.array([array.ctypes.data for array in arrays], np.uint64)
        lengths = np.array([sizes[param.name] for param in self.kernel.sizes], np.int64)
        slots = np.zeros(len(self.kernel.scalars), np.uint64)
        for i, scalar in enumerate(self.kernel.scalars):
            value = np.array([literal(scalars[scalar.name], scalar.dtype)]).view(np.uint8)
            slots.view(np.uint8)[8 * i : 8 * i + value.size] = value
        return int(self._entry(pointers.ctypes.data, lengths.ctypes.data, slots.ctypes.data))
