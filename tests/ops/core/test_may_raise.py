"""Ops that fail on elements say so: graphs execute them even if nothing uses their results."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np
import pytest
from op_cases import all_ops, cases_of

from tracegraph.errors import ElementError, IndexRangeError, TracegraphError
from tracegraph.ir import Graph, Node, Rebuilder, interpret, rebuild
from tracegraph.ops import REGISTRY
from tracegraph.ops.core.samples import A
from tracegraph.passes import optimise, run_passes
from tracegraph.passes.decompose import decompose

# what integers, and matrices of floats, make operations fail if anything does
BAD: dict[str, Callable[[np.ndarray, A], np.ndarray]] = {
    "too large": lambda array, _: np.full_like(array, 100) if array.dtype.kind in "iu" else array,
    "too small": lambda array, _: np.full_like(array, -100) if array.dtype.kind == "i" else array,
    "zero": lambda array, _: np.zeros_like(array),
}


def without_results(graph: Graph) -> Graph:
    """The graph with nothing to return."""

    def drop(rebuilder: Rebuilder, node: Node) -> bool:
        if node.op == "output":
            rebuilder.builder.output()
        return node.op == "output"

    return rebuild(graph, drop)


def error_of(function: Callable[..., object], *args: object) -> str | None:
    """How a call fails because of elements; None if it does not."""
    try:
        function(*args)
    except (ElementError, IndexRangeError) as error:
        return str(error)
    return None


@pytest.mark.parametrize(("bad", "least"), [("too large", 10), ("too small", 10), ("zero", 5)])
def test_what_fails_fails_without_users(bad: str, least: int) -> None:
    failing = set()
    for op in all_ops():
        for case in dict.fromkeys(case for case, _ in cases_of(op)):
            call = case.drawn(case.dtype, BAD[bad])
            with contextlib.suppress(TracegraphError):
                expected = error_of(call.eager)
                if expected is None:
                    continue
                graph = run_passes(call.record(), [decompose])
                expected = error_of(interpret, graph, *call.arrays)
                lone = optimise(without_results(graph))
                assert error_of(interpret, lone, *call.arrays) == expected, str(case)
                failing.add(op.name)
    assert len(failing) >= least, failing


def test_few_ops_may_raise() -> None:
    """What does not look at elements is dropped."""
    raising = {name for name, op in REGISTRY.items() if op.checks_elements}
    assert {"gather", "index", "embedding", "cholesky_factor"} <= raising
    assert len(raising) < 30
