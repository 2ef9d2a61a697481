"""What a Python value is as an argument: a tensor or a number of some kind; and how messages name it."""

from __future__ import annotations

from tracegraph.ir.dim import SymExpr


def is_tensor(value: object) -> bool:
    """Whether `value` is a tensor handle of any kind (eager, traced)."""
    return getattr(type(value), "__tracegraph_tensor__", False) is True  # a metaclass may answer to any name


def is_number(value: object) -> bool:
    """Whether `value` is a Python number, or stands for one."""
    return type(value) in NUMBER_TYPES or isinstance(value, int | float)


def described(value: object) -> str:
    """A value as messages name it: what it is, and as much of its contents as fits on a line."""
    if value is None:
        return "None"
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if isinstance(shape, tuple) and dtype is not None:
        name = getattr(dtype, "long_name", dtype)
        return f"{type(value).__name__} of shape [{', '.join(map(str, shape))}] and dtype {name}"
    text = " ".join(repr(value).split())
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"


#: types whose instances are tensors, learnt as they are met
TENSOR_TYPES: set[type] = set()
#: types whose instances are numbers; recording adds the stand-ins of its numbers
NUMBER_TYPES: set[type] = {bool, int, float, SymExpr}
#: those whose instances are floats
FLOAT_TYPES: set[type] = {float}
