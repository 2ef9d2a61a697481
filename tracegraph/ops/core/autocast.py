"""Autocasting: the floating dtype that an op computes in, chosen per op where a thread asks for it (`amp.autocast`).

An op's definition says what becomes of its floating operands (`Definition.autocast`). It applies to the ops that a
program calls, not to those that an op is made of: a decomposition or a gradient formula computes in what it is given.
(Derived ops are no more than a way to call others, to which it applies.)
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Any

from tracegraph import dtypes
from tracegraph.dtypes import DType
from tracegraph.ops.core.arguments import is_tensor
from tracegraph.settings import Settings

if TYPE_CHECKING:
    from tracegraph.ops.core.definition import Definition


class Autocast(Enum):
    """What becomes of an op's floating operands; float64 ones stay what they are, and decide nothing.

    Attributes:
        LOW: they get the low-precision dtype of the block. For what is made of products and sums, and is large.
        FLOAT32: those of 16 bits become float32. For what would lose too much in 16 bits.
        WIDEST: they get the widest dtype among them. For what only brings several tensors together.
    """

    LOW = "low precision"
    FLOAT32 = "float32"
    WIDEST = "widest operand"


#: the threads on which autocasting is on, and perhaps some that have ended: empty almost always, which is quickly seen
CASTING: set[int] = set()


class _Autocasting(Settings, threading.local):
    """Of a thread: whether ops are cast, and to which dtype."""

    questions = {
        "enabled": 'is_autocast_enabled("cpu")',
        "dtype": 'get_autocast_dtype("cpu")',
        "cache_enabled": "is_autocast_cache_enabled()",
    }
    enabled: bool = False
    dtype: DType = dtypes.bfloat16
    cache_enabled: bool = True

    @property
    def implicit(self) -> tuple[str, ...]:
        return ("enabled", "dtype") if self.enabled else ("enabled",)

    def __setattr__(self, name: str, value: Any) -> None:
        # wherever an interrupt falls, a thread that casts is in the set
        if name == "enabled" and value:
            CASTING.add(threading.get_ident())
        super().__setattr__(name, value)
        if name == "enabled" and not value:
            CASTING.discard(threading.get_ident())


AUTOCASTING = _Autocasting.register()


def casting_state() -> tuple[bool, DType]:
    """Whether this thread casts, and to which dtype; see `casting`."""
    return AUTOCASTING.enabled, AUTOCASTING.dtype


@contextmanager
def casting(state: tuple[bool, DType]) -> Iterator[None]:
    """Cast in the block as a thread did when it gave `casting_state`."""
    before = casting_state()
    AUTOCASTING.enabled, AUTOCASTING.dtype = state
    try:
        yield
    finally:
        AUTOCASTING.enabled, AUTOCASTING.dtype = before


def is_casting() -> bool:
    """Whether ops called on this thread are cast."""
    return AUTOCASTING.enabled


def apply_cast(op: Definition, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
    """`op.apply` on operands cast as the op wants it, and nothing cast inside."""
    with not_casting():
        if op.autocast is not None:
            dtype = _dtype_for(op.autocast, operands)
            operands = tuple(o.to(dtype) if _is_eligible(o) and o.dtype is not dtype else o for o in operands)
        return op.apply(operands, attrs)


@contextmanager
def not_casting() -> Iterator[None]:
    """Leave operands alone in the block: library code at work."""
    was_enabled = AUTOCASTING.enabled
    if was_enabled:
        AUTOCASTING.enabled = False
    try:
        yield
    finally:
        if was_enabled:
            AUTOCASTING.enabled = True


def _is_eligible(operand: Any) -> bool:
    return is_tensor(operand) and operand.dtype.is_floating and operand.dtype is not dtypes.float64


def _dtype_for(rule: Autocast, operands: tuple[Any, ...]) -> DType:
    if rule is Autocast.LOW:
        return AUTOCASTING.dtype
    if rule is Autocast.FLOAT32:
        return dtypes.float32
    found = {o.dtype for o in operands if _is_eligible(o)}
    return found.pop() if len(found) == 1 else dtypes.float32
