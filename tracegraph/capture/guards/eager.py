"""What capture knows of eager tensors and of the library's thread state, in one place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from tracegraph.autograd.grad_mode import STATE
from tracegraph.capture.guards.sources import Entry, Item, Source
from tracegraph.ir import Role
from tracegraph.ops.core.arguments import is_tensor as is_any_tensor
from tracegraph.ops.graphs.recording import Traced
from tracegraph.tensor import Tensor

#: the object whose attribute `enabled` is the grad mode of a thread
GRAD_STATE = STATE
#: the attribute of a tensor that is its array; guards ask the array, which answers faster
ARRAY = "_np"
#: whether a tensor requires grad, without the cost of a property for tensors that are no views
REQUIRES_GRAD = "({0}._requires_grad if {0}._view is None else {0}.requires_grad)"


def is_tensor(value: Any) -> bool:
    """Whether `value` is an eager tensor."""
    return is_any_tensor(value) and type(value) is not Traced


def is_grad_enabled() -> bool:
    """Grad mode of this thread."""
    return STATE.enabled


def set_grad_enabled(mode: bool) -> None:
    """Set grad mode of this thread."""
    STATE.enabled = mode


def layout_of(tensor: Any) -> Any:
    """The word "contiguous", or the strides of any other layout, in elements."""
    return "contiguous" if tensor.is_contiguous() else tensor.stride()


def strides_of(tensor: Any) -> Any:
    """Strides in elements."""
    return tensor.stride()


def derived_classes(cls: type) -> list[type]:
    """The bases of a tensor class that the library does not define."""
    return [base for base in cls.__mro__ if issubclass(base, Tensor) and not base.__module__.startswith("tracegraph.")]


def redefined(cls: type) -> str:
    """The name of something that tensors have and `cls` has its own of; empty if there is nothing."""
    names = (name for name in vars(cls) if hasattr(Tensor, name) or name == "__getattr__")
    return next((name for name in names if name not in _OF_EVERY_CLASS), "")


#: what a class statement defines, and what makes and shows instances
_OF_EVERY_CLASS = frozenset({
    "__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__slots__", "__annotations__", "__init__",
    "__new__", "__init_subclass__", "__repr__", "__str__", "__static_attributes__", "__firstlineno__",
})  # fmt: skip


def role_of(tensor: Any, source: Source) -> Role:
    """What the graph input stands for: a module's parameter or buffer, or plain data."""
    if isinstance(source, Item) and isinstance(source.parent, Entry):
        store = {"_parameters": Role.PARAMETER, "_buffers": Role.BUFFER}.get(source.parent.name)
        if store is not None:
            return store
    return Role.PARAMETER if type(tensor).__name__ == "Parameter" else Role.PRIMAL


def input_name(source: Source) -> str:
    """A readable placeholder name: `L['self'].fc.weight` becomes `self_fc_weight`."""
    text = re.sub(r"_modules|_parameters|_buffers|^[LGC]\[", "", str(source))
    return re.sub(r"\W+", "_", text).strip("_") or "input"


def may_overlap(written: Sequence[Any], others: Sequence[Any]) -> bool:
    """Whether a tensor or array of `written` may lie in memory of another one, of `written` or of `others`.

    Compares the ranges of addresses, in order: a training step writes to hundreds of tensors among hundreds.
    """
    arrays = [t if isinstance(t, np.ndarray) else t._np for t in (*written, *others)]
    if len({id(a) for a in arrays}) == len(arrays) and all(a.flags.owndata for a in arrays):
        return False  # each has memory of its own
    from numpy.lib.array_utils import byte_bounds

    ranges = sorted((*byte_bounds(a), i < len(written)) for i, a in enumerate(arrays) if a.size)
    end = end_of_written = 0
    for start, stop, is_written in ranges:
        if start < (end if is_written else end_of_written):
            return True
        end = max(end, stop)
        end_of_written = max(end_of_written, stop) if is_written else end_of_written
    return False
