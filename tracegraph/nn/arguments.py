"""What constructors of layers ask of their arguments before they make anything of them.

All raise ArgumentError (a TypeError) for a value of the wrong type and ValueRangeError (a ValueError) for one that no
layer can have; the message names the layer, the argument and its value.
"""

from __future__ import annotations

from typing import Any

from tracegraph.errors import ArgumentError, ValueRangeError
from tracegraph.ops.core.arguments import described


def check_sizes(layer: object, at_least: int = 0, **sizes: Any) -> None:
    """Each argument is an int of at least `at_least`."""
    for name, size in sizes.items():
        _check_int(layer, name, size, at_least, "an int")


def check_windows(layer: object, at_least: int = 1, rank: int | None = None, **windows: Any) -> None:
    """Each argument is an int of at least `at_least`, or a list or tuple of them, one for each of `rank` dimensions."""
    for name, window in windows.items():
        if rank is not None and isinstance(window, list | tuple) and len(window) != rank:
            raise ValueRangeError(f"{_name(layer)}: {name}={window} must be one int or {rank} of them")
        for size in window if isinstance(window, list | tuple) else (window,):
            _check_int(layer, name, size, at_least, "an int or a tuple of ints", window)


def check_probabilities(layer: object, **probabilities: Any) -> None:
    """Each argument is a number in [0, 1]."""
    for name, p in probabilities.items():
        if isinstance(p, bool) or not isinstance(p, int | float):
            raise ArgumentError(f"{_name(layer)}: {name} must be a probability in [0, 1], got {described(p)}")
        if not 0 <= p <= 1:
            raise ValueRangeError(f"{_name(layer)}: {name}={p} must be a probability in [0, 1]")


def check_choice(layer: object, choices: tuple[str, ...], **values: Any) -> None:
    """Each argument is one of `choices`."""
    for name, value in values.items():
        if value not in choices:
            allowed = ", ".join(map(repr, choices[:-1]))
            raise ValueRangeError(f"{_name(layer)}: {name}={value!r} must be {allowed} or {choices[-1]!r}")


def _check_int(layer: object, name: str, size: Any, at_least: int, expected: str, given: Any = None) -> None:
    if isinstance(size, bool) or not hasattr(size, "__index__"):
        found = described(size if given is None else given)
        raise ArgumentError(f"{_name(layer)}: {name} must be {expected}, got {found}")
    if size < at_least:
        value = size if given is None else given
        raise ValueRangeError(f"{_name(layer)}: {name}={value} must be at least {at_least}")


def _name(layer: object) -> str:
    return layer if isinstance(layer, str) else type(layer).__name__
