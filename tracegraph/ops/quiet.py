"""Floating-point exceptions without warnings: tensors follow IEEE silently, as PyTorch's do.

`numpy.errstate` costs more than adding two small arrays. numpy keeps the error state in a context variable; where
that variable can be reached, setting it directly costs a tenth, and `numpy.errstate` remains for everywhere else.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

import numpy as np

_state: Any = None
_IGNORE: Any = None
try:
    from numpy._core import umath

    _state, _IGNORE = umath._extobj_contextvar, umath._make_extobj(all="ignore")
except (ImportError, AttributeError, TypeError):
    _state = None


class _Quiet:
    """Reusable and re-entrant: every `with` block keeps its own token on a stack."""

    __slots__ = ("_tokens",)

    def __init__(self) -> None:
        self._tokens: list[Any] = []

    def __enter__(self) -> None:
        self._tokens.append(_state.set(_IGNORE))

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None) -> None:
        _state.reset(self._tokens.pop())


def quiet() -> AbstractContextManager[Any]:
    """A context manager inside which numpy reports no floating-point exception."""
    return _Quiet() if _state is not None else np.errstate(all="ignore")
