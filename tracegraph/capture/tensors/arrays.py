"""numpy in the trace: arrays computed from plain data are computed once; arrays from outside enter the graph as inputs.

Eager tensors and numpy arrays meet only where the program converts one into the other, and so they do here.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tracegraph.capture.guards.guard import GuardKind
from tracegraph.capture.guards.sources import Computed, Reference, Slot, constant_source
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.values import STAND_INS, is_constant
from tracegraph.capture.tensors import computed_arrays
from tracegraph.capture.trace.safety import flatten, specialised
from tracegraph.ir import Role, TensorType
from tracegraph.ops.graphs.recording import Traced
from tracegraph.tensor import from_numpy, tensor

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer

#: parts of numpy that depend on nothing but their arguments
_PURE_MODULES = ("numpy", "numpy.linalg", "numpy.lib", "numpy.fft", "numpy._core", "numpy.core", "numpy.linalg.linalg")
#: functions of those modules that act on files or on numpy's settings
_ACTING = frozenset({
    "save", "savez", "savez_compressed", "savetxt", "load", "loadtxt", "genfromtxt", "fromfile", "fromregex", "memmap",
    "set_printoptions", "get_printoptions", "printoptions", "seterr", "geterr", "seterrcall", "geterrcall", "errstate",
    "setbufsize", "getbufsize", "show_config", "show_runtime", "info", "tofile", "dump", "dumps", "setflags",
})  # fmt: skip
#: attributes that never change unless the array is replaced, or its guard fails
_FACTS = frozenset({"shape", "ndim", "size", "dtype", "itemsize", "nbytes", "strides", "T", "real", "imag"})


#: longer arrays are not unrolled
MAX_ROWS = 10_000


def is_pure(function: Any) -> bool:
    """Whether `function` is numpy's and computes from its arguments alone."""
    if isinstance(function, np.ufunc):
        return True
    module = getattr(function, "__module__", None) or ""
    if getattr(function, "__name__", "") in _ACTING:
        return False
    return module in _PURE_MODULES or module.startswith(("numpy.lib.", "numpy._core.", "numpy.core.", "numpy.linalg."))


def may_compute(tracer: Tracer, args: Any) -> bool:
    """Whether all of `args` are plain data, or arrays that the trace itself has computed."""
    return all(_is_known(tracer, part) for part in flatten(args))


def _is_known(tracer: Tracer, part: Any) -> bool:
    is_own = isinstance(part, np.ndarray) and part.dtype != object and not tracer.is_outside(part)
    return is_own or is_constant(part) or isinstance(part, np.dtype | type)


def operate(tracer: Tracer, function: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    """An operator one of whose operands is an array from outside, NotImplemented if none is, or the other a tensor."""
    if Traced in (type(a), type(b)) or not (computed_arrays.is_given(tracer, a) or computed_arrays.is_given(tracer, b)):
        return NotImplemented
    return computed_arrays.compute(tracer, function, (a, b), {})


class ArrayIterator:
    """An iterator over an array, which reads one item at a time: a tensor that shares the memory may be written to."""

    def __init__(self, tracer: Tracer, array: np.ndarray, length: Any) -> None:
        self._tracer = tracer
        self.array = array
        self._length = length
        self.position = 0

    def __iter__(self) -> ArrayIterator:
        return self

    def __next__(self) -> Any:
        if self.position >= self._length:
            raise StopIteration
        item = compute(self._tracer, operator.getitem, (self.array, self.position), {})
        self.position += 1
        return item


STAND_INS[ArrayIterator] = type(iter(np.zeros(1)))


def iterate(tracer: Tracer, array: np.ndarray) -> ArrayIterator:
    """`iter(array)`; the length of an array from outside is guarded.

    Raises:
        Observed: it has no dimensions.
        Break: it is too long.
    """
    tracer.native(iter, array)
    length = get_attribute(tracer, array, "shape")[0]
    if tracer.is_outside(array) and length > MAX_ROWS:
        raise Break(reasons.OPAQUE_ITERATOR, f"iteration over an array of {length} rows")
    made: ArrayIterator = tracer.fresh(ArrayIterator(tracer, array, length))
    return made


def compute(tracer: Tracer, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`function(*args, **kwargs)` now, once for all calls.

    Raises:
        Break: an argument is not known yet.
    """
    operands = (args, tuple(kwargs.values()))
    is_given = computed_arrays.is_given(tracer, getattr(function, "__self__", None))
    if is_given or computed_arrays.depends_on_call(tracer, operands):
        return computed_arrays.compute(tracer, function, args, kwargs)
    if getattr(function, "__name__", "") in _ACTING or not may_compute(tracer, operands):
        name = getattr(function, "__name__", type(function).__name__)
        raise Break(reasons.NATIVE_CALL, f"numpy.{name}() of something other than plain data")
    result = tracer.native(function, *args, **kwargs)
    for part in flatten(result):
        if isinstance(part, np.ndarray):
            tracer.fresh(part)
    return result


def get_attribute(tracer: Tracer, array: np.ndarray, name: str) -> Any:
    """`array.name` of an array from outside.

    Raises:
        Break: it depends on the elements.
    """
    source = tracer.source_of(array)
    if source is None or not hasattr(array, name):
        return tracer.native(getattr, array, name)
    if name in computed_arrays.METHODS:
        return getattr(array, name)
    if name not in _FACTS:
        raise Break(reasons.UNTRACKED_ATTRIBUTE, f"ndarray.{name}")
    return tracer.read(getattr(array, name), Slot(source, name))


def share(tracer: Tracer, array: np.ndarray) -> None:
    """Let an array that the trace has made be one from outside, since a tensor is going to share its memory.

    Every call makes its memory anew, as it is now; all that the trace has in it becomes a view of that.

    Raises:
        Break: its elements are objects, or what owns the memory is no plain array.
    """
    memory = array
    while isinstance(memory.base, np.ndarray):
        memory = memory.base
    if memory.base is not None or memory.dtype.hasobject or not (memory.flags.writeable and memory.flags.forc):
        raise Break(reasons.NATIVE_CALL, "a tensor that shares the memory of an array made in the trace")
    source = Computed(Reference(np.ndarray.copy), (constant_source(memory.copy(order="K")), constant_source("K")))
    tracer.adopt(memory, memory, source)
    for other in tracer.fresh_objects(np.ndarray):
        if type(other) is not np.ndarray and np.may_share_memory(other, memory):
            raise Break(reasons.NATIVE_CALL, f"a tensor that shares the memory of a {type(other).__name__}")
        if other is not memory and np.may_share_memory(other, memory):
            offset = other.ctypes.data - memory.ctypes.data
            place = (other.dtype, other.shape, offset, other.strides)
            tracer.adopt(other, other, Computed(Reference(_view), (source, constant_source(place))))


def _view(memory: np.ndarray, place: tuple[Any, ...]) -> np.ndarray:
    dtype, shape, offset, strides = place
    return np.ndarray(shape, dtype, memory.ravel(order="K"), offset, strides)


def as_input(tracer: Tracer, array: np.ndarray) -> Any:
    """An array from outside as an input of the graph that shares its memory.

    Raises:
        Observed: its dtype has no tensor.
        Break: it cannot be written to, which the graph would not know.
    """
    if not array.flags.writeable:
        raise Break(reasons.NATIVE_CALL, "a tensor of a read-only array")
    source = tracer.source_of(array)
    assert source is not None
    shared = tracer.array_inputs.get(id(array))
    if shared is None:
        eager = tracer.native(from_numpy, array)
        tracer.guards.add(GuardKind.TYPE, source, np.ndarray)
        tracer.read(array.dtype, Slot(source, "dtype"))
        shape = tracer.read(array.shape, Slot(source, "shape"))
        if not eager.is_contiguous():
            # strides and sizes together: neither varies without the other
            shape, strides = eager.shape, tracer.read(array.strides, Slot(source, "strides"))
            for varying in (tracer.read(array.shape, Slot(source, "shape")), strides):
                specialised(tracer, varying)
        else:
            tracer.read(array.flags.c_contiguous, Slot(Slot(source, "flags"), "c_contiguous"))
            if tracer.foresight.is_fixed(source):
                shape = specialised(tracer, shape)
        type = TensorType(eager.dtype, tuple(shape))
        shared = tracer.array_inputs[id(array)] = tracer.add_input(source, eager, type, Role.PRIMAL, from_numpy)
        if not eager.is_contiguous():
            tracer.recorder.strides[shared.value] = eager.stride()
    # every conversion makes a tensor with a history of its own, on the same memory
    return tracer.native(shared.detach)


def as_constant(tracer: Tracer, array: np.ndarray) -> Any:
    """An array that the trace has computed, as a constant of the graph."""
    return tracer.recorder.constant(tracer.native(tensor, array).numpy())
