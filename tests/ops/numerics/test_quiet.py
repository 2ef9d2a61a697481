"""Calculation without warnings, by numpy's context variable and by `errstate`."""

from __future__ import annotations

import threading
import warnings

import numpy as np
import pytest

import tracegraph as tg
from tracegraph.ops.numerics import quiet as module
from tracegraph.ops.numerics.quiet import enter_quiet, leave_quiet, quiet

SWITCHES = {"fast": (enter_quiet, leave_quiet), "errstate": (module._enter_errstate, module._leave_errstate)}


def warns() -> bool:
    """Whether numpy reports an overflow just now."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        np.exp(np.full(1, 1000.0))
    return bool(seen)


@pytest.mark.parametrize("way", SWITCHES)
def test_nested_and_restored(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    enter, leave = SWITCHES[way]
    monkeypatch.setattr(module, "enter_quiet", enter)
    monkeypatch.setattr(module, "leave_quiet", leave)
    with np.errstate(all="warn"):
        assert warns()
        outer = enter()
        with quiet():
            assert not warns()
        assert not warns()
        leave(outer)
        assert warns()
        with pytest.raises(ZeroDivisionError), quiet():
            raise ZeroDivisionError
        assert warns()


def test_the_fast_way_works_here() -> None:
    assert enter_quiet is not module._enter_errstate


def test_without_the_variable_errstate_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    from numpy._core import umath

    monkeypatch.delattr(umath, "_extobj_contextvar")
    assert module._switches() == SWITCHES["errstate"]


def test_other_threads_keep_their_own_state() -> None:
    seen: list[bool] = []
    token = enter_quiet()
    thread = threading.Thread(target=lambda: seen.append(warns()))
    thread.start()
    thread.join()
    leave_quiet(token)
    assert seen == [True]


def test_ops_leave_the_users_state_alone() -> None:
    with np.errstate(all="raise"):
        assert tg.tensor([1e30, 1.0]).square().tolist() == [np.inf, 1.0]
        with pytest.raises(tg.TracegraphError):
            tg.ones(2) + tg.ones(3)
        with pytest.raises(FloatingPointError):
            np.exp(np.full(1, 1000.0))
