"""Ways to execute a graph that are quick to set up: what one of them computes, all must.

Native code takes longer to make; tests/test_compiled_ops.py compiles all calls of an op at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracegraph import ir
from tracegraph.ir import Graph
from tracegraph.passes import optimise

#: a graph and its inputs to its outputs
Execution = Callable[[Graph, Sequence[np.ndarray]], Sequence[Any]]


def interpreted(graph: Graph, inputs: Sequence[np.ndarray]) -> Sequence[Any]:
    """Node by node with the eager rules."""
    return ir.interpret(graph, *inputs)


def optimised(graph: Graph, inputs: Sequence[np.ndarray]) -> Sequence[Any]:
    """Interpreted after the optimising passes: decomposed, simplified. (They take graphs without effects only.)"""
    pure = all(node.is_pure for node in graph.nodes)
    return ir.interpret(ir.verify(optimise(graph)) if pure else graph, *inputs)


EXECUTIONS: dict[str, Execution] = {
    "interpreted": interpreted,
    "optimised": optimised,
}
