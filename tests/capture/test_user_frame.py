"""Warnings of the package point at the line of the user that led to them."""

import inspect

import pytest

import tracegraph as tg
from tracegraph.capture.reporting.user_frame import warn_user


def here() -> int:
    frame = inspect.currentframe()
    assert frame is not None and frame.f_back is not None
    return frame.f_back.f_lineno


def test_the_caller_of_the_package_is_named():
    line = here() + 2
    with pytest.warns(RuntimeWarning, match="look here") as caught:
        warn_user("look here")
    assert (caught[0].filename, caught[0].lineno) == (__file__, line)


def broken_backend(module, example_inputs):
    raise RuntimeError("no such luck")


@pytest.mark.parametrize("dynamic", [None, True])
def test_a_fallback_of_the_backend_points_at_the_call(dynamic):
    compiled = tg.compile(lambda x: x + 1, backend=broken_backend, dynamic=dynamic)
    line = here() + 2
    with pytest.warns(RuntimeWarning, match="no such luck") as caught:
        compiled(tg.ones(3))
    assert (caught[0].filename, caught[0].lineno) == (__file__, line)


@pytest.mark.usefixtures("native")
def test_a_fallback_of_a_stage_points_at_the_call(monkeypatch):
    from tracegraph.compiler import pipeline

    monkeypatch.setattr(pipeline, "plan_memory", lambda graph: 1 / 0)
    compiled = tg.compile(lambda x: x + 1)
    line = here() + 2
    with pytest.warns(RuntimeWarning, match="stage plan failed") as caught:
        compiled(tg.ones(3))
    assert (caught[0].filename, caught[0].lineno) == (__file__, line)


def test_running_into_the_recompile_limit_points_at_the_call():
    compiled = tg.compile(lambda x, name: x * len(name), options={"recompile_limit": 1})
    compiled(tg.ones(3), "a")
    line = here() + 2
    with pytest.warns(RuntimeWarning, match="recompile_limit") as caught:
        compiled(tg.ones(3), "bb")
    assert (caught[0].filename, caught[0].lineno) == (__file__, line)
