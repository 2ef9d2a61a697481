"""Every way to execute a graph. What one of them computes, all must: tests run a graph through each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracegraph import ir
from tracegraph.ir import Graph

#: a graph and its inputs to its outputs
Execution = Callable[[Graph, Sequence[np.ndarray]], Sequence[Any]]


def interpreted(graph: Graph, inputs: Sequence[np.ndarray]) -> Sequence[Any]:
    """Node by node with the eager rules."""
    return ir.interpret(graph, *inputs)


EXECUTIONS: dict[str, Execution] = {
    "interpreted": interpreted,
}
