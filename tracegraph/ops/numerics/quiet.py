"""Floating-point exceptions without warnings: tensors follow IEEE silently, as PyTorch's do.

`numpy.errstate` costs more than adding two small arrays. numpy keeps the error state in a context variable; where
that variable can be reached, setting it directly costs a tenth, and `numpy.errstate` remains for everywhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any

import numpy as np


def _enter_errstate() -> np.errstate:
    state = np.errstate(all="ignore")
    state.__enter__()
    return state


def _leave_errstate(state: np.errstate) -> None:
    state.__exit__(None, None, None)


def _switches() -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    """How to enter and to leave quiet calculation, the quickest way that this numpy has."""
    try:
        from numpy._core import umath

        variable = umath._extobj_contextvar
        return partial(variable.set, umath._make_extobj(all="ignore")), variable.reset
    except (ImportError, AttributeError, TypeError):
        return _enter_errstate, _leave_errstate


#: `token = enter_quiet()` begins quiet calculation on this thread, `leave_quiet(token)` ends it; where a `with`
#: block would cost as much as what it encloses
enter_quiet, leave_quiet = _switches()


class quiet:
    """A context manager inside which numpy reports no floating-point exception."""

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token = enter_quiet()

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None) -> None:
        leave_quiet(self._token)
