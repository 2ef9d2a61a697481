"""What model code asks and says of TorchScript, which does not exist here: marks change nothing."""

from __future__ import annotations

from typing import Any, Final, TypeVar

T = TypeVar("T")

__all__ = ["Final", "annotate", "export", "ignore", "is_scripting", "is_tracing", "script", "unused"]


def is_scripting() -> bool:
    """False: code is never scripted."""
    return False


def is_tracing() -> bool:
    """False: code is not traced by `torch.jit.trace`; see `tracegraph.compiler.is_compiling`."""
    return False


def script(obj: T) -> T:
    """`obj` as it is. Use `tracegraph.compile` to compile it."""
    return obj


def export(fn: T) -> T:
    """`fn` as it is."""
    return fn


def unused(fn: T) -> T:
    """`fn` as it is."""
    return fn


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """The function as it is; used as `@ignore` or `@ignore(drop=...)`."""
    return drop if callable(drop) else lambda fn: fn


def annotate(the_type: Any, the_value: T) -> T:
    """`the_value`; `the_type` is for readers."""
    return the_value
