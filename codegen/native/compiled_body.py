"""A graph that a node holds (a branch, a loop body), compiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tracegraph.codegen.native.executable import Executable
from tracegraph.ir.graph import Graph


@dataclass(frozen=True)
class CompiledBody:
    """Runs `executable` in the place of `graph` (an `ir.subgraphs.Body`)."""

    graph: Graph
    executable: Executable

    def __call__(self, inputs: Sequence[np.ndarray], sizes: Mapping[str, int]) -> Sequence[np.ndarray]:
        shown = self.executable.plan.shown_sizes
        return self.executable([*inputs, *(np.empty((sizes[s], 0), np.float32) for s in shown)])
