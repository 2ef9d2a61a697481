"""numpy in the trace: arrays computed from plain data are computed once; arrays from outside enter the graph as inputs.

Eager tensors and numpy arrays meet only where the program converts one into the other, and so they do here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tracegraph.capture import break_reasons as reasons
from tracegraph.capture.break_reasons import Break
from tracegraph.capture.guards import GuardKind
from tracegraph.capture.safety import flatten, specialised
from tracegraph.capture.sources import Slot
from tracegraph.capture.values import is_constant, is_varying
from tracegraph.ir import Role, TensorType
from tracegraph.tensor import from_numpy, tensor

if TYPE_CHECKING:
    from tracegraph.capture.tracer import Tracer

#: parts of numpy that depend on nothing but their arguments
_PURE_MODULES = ("numpy", "numpy.linalg", "numpy.lib", "numpy.fft", "numpy._core", "numpy.core", "numpy.linalg.linalg")
#: functions of those modules that act on files or on numpy's settings
_ACTING = frozenset({
    "save", "savez", "savez_compressed", "savetxt", "load", "loadtxt", "genfromtxt", "fromfile", "fromregex", "memmap",
    "set_printoptions", "get_printoptions", "printoptions", "seterr", "geterr", "seterrcall", "geterrcall", "errstate",
    "setbufsize", "getbufsize", "show_config", "show_runtime", "info", "tofile", "dump", "dumps", "setflags",
})  # fmt: skip
#: attributes that never change unless the array is replaced, or its guard fails
_FACTS = frozenset({"shape", "ndim", "size", "dtype", "itemsize", "nbytes", "strides"})


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
    return is_own or is_constant(part) or is_varying(part) or isinstance(part, np.dtype | type)


def compute(tracer: Tracer, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`function(*args, **kwargs)` now, once for all calls.

    Raises:
        Break: an argument is not known yet.
    """
    if getattr(function, "__name__", "") in _ACTING or not may_compute(tracer, (args, tuple(kwargs.values()))):
        name = getattr(function, "__name__", repr(function))
        raise Break(reasons.NATIVE_CALL, f"numpy.{name}() of something other than plain data")
    values = (specialised(tracer, a) for a in args)
    result = tracer.native(function, *values, **{k: specialised(tracer, v) for k, v in kwargs.items()})
    for part in result if isinstance(result, tuple) else (result,):
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
    if name not in _FACTS:
        raise Break(reasons.UNTRACKED_ATTRIBUTE, f"ndarray.{name}")
    return tracer.read(getattr(array, name), Slot(source, name))


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
        for name in ("dtype", "shape", "strides"):
            tracer.read(getattr(array, name), Slot(source, name))
        tracer.guards.add(GuardKind.TYPE, source, np.ndarray)
        type = TensorType(eager.dtype, tuple(eager.shape))
        shared = tracer.array_inputs[id(array)] = tracer.add_input(source, eager, type, Role.PRIMAL, from_numpy)
        if not eager.is_contiguous():
            tracer.recorder.strides[shared.value] = eager.stride()
    # every conversion makes a tensor with a history of its own, on the same memory
    return tracer.native(shared.detach)


def as_constant(tracer: Tracer, array: np.ndarray) -> Any:
    """An array that the trace has computed, as a constant of the graph."""
    return tracer.recorder.constant(tracer.native(tensor, array).numpy())
