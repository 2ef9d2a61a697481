"""The collector rests while compiling, and only then."""

import gc
from collections.abc import Iterator

import pytest

import tracegraph as tg
from tracegraph.compiler.paused_collection import paused_collection


@pytest.fixture(autouse=True)
def collecting() -> Iterator[None]:
    was = gc.isenabled()
    gc.enable()
    yield
    (gc.enable if was else gc.disable)()


def test_pauses_nest() -> None:
    with paused_collection():
        with paused_collection():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_pauses_end_with_an_error() -> None:
    with pytest.raises(ZeroDivisionError), paused_collection():
        raise ZeroDivisionError
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    with paused_collection():
        assert not gc.isenabled()
    assert not gc.isenabled()


def test_forward_and_backward_compile_without_it_and_run_with_it() -> None:
    seen: list[bool] = []

    def watch(graph: tg.ir.Graph) -> tg.ir.Graph:
        seen.append(gc.isenabled())
        return graph

    x = tg.randn(3, requires_grad=True)
    tg.compile(lambda x: (x * x).sum(), options={"custom_passes": (watch,)})(x).backward()
    assert seen == [False, False]
    assert gc.isenabled()
