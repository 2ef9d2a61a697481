"""What programs put around parts of a model for PyTorch's profiler, which does not exist here."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


class record_function:
    """A context manager and decorator that names a part of a program, and does nothing else."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name
        self.args = args

    def __enter__(self) -> record_function:
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def __call__(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(fn)
        def named(*args: Any, **kwargs: Any) -> Any:
            with self:
                return fn(*args, **kwargs)

        return named
