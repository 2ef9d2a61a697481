"""What control flow asks of the graphs it runs, on numpy arrays and on tensor handles alike."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from tracegraph.dtypes import from_numpy
from tracegraph.ir import Graph
from tracegraph.ir.subgraphs import Body, Interpreted, symbols_of
from tracegraph.ops import functional as F
from tracegraph.ops.control.untaken import inputs_of, joined
from tracegraph.ops.core.definition import Handle
from tracegraph.ops.graphs.graph_module import GraphModule


class Runner(ABC):
    """Runs the graphs among the attributes of one call."""

    def __init__(self, attrs: Mapping[str, Any]) -> None:
        self.attrs = attrs

    @cached_property
    def sizes(self) -> dict[str, int]:
        """The values of the size symbols in the graphs."""
        values = self.attrs["sizes"]
        if not values:
            return {}
        held = [a if isinstance(a, Graph) else getattr(a, "graph", None) for a in self.attrs.values()]
        return dict(zip(symbols_of(g for g in held if g is not None), values, strict=True))

    @abstractmethod
    def run(self, body: str, inputs: Sequence[Any]) -> Sequence[Any]:
        """The outputs of a graph; they share memory with nothing."""

    @abstractmethod
    def fresh(self, tensors: Sequence[Any]) -> Sequence[Any]:
        """Copies."""

    @abstractmethod
    def item(self, tensor: Any, position: int) -> Any:
        """The tensor at `position` of the first dimension."""

    @abstractmethod
    def stack(self, tensors: Sequence[Any]) -> Any:
        """Tensors of one shape along a new first dimension."""

    def joined_to(self, results: Sequence[Any], untaken: str, inputs: Sequence[Any]) -> Sequence[Any]:
        """`results`, which have a history that leads to what a graph that is not run would have read."""
        return results


class ArrayRunner(Runner):
    """On numpy arrays; graphs that are not compiled are interpreted."""

    def run(self, body: str, inputs: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        held = self.attrs[body]
        runnable: Body = Interpreted(held) if isinstance(held, Graph) else held
        return runnable(inputs, self.sizes)

    def fresh(self, tensors: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        return [np.array(t, order="C") for t in tensors]

    def item(self, tensor: np.ndarray, position: int) -> np.ndarray:
        return tensor[position, ...]

    def stack(self, tensors: Sequence[np.ndarray]) -> np.ndarray:
        return np.stack(tensors)


class HandleRunner(Runner):
    """On tensor handles, op by op; `like` is a handle of the kind."""

    def __init__(self, attrs: Mapping[str, Any], like: Handle) -> None:
        super().__init__(attrs)
        self.like = like

    def run(self, body: str, inputs: Sequence[Handle]) -> Sequence[Handle]:
        return self.fresh(self.module(body).run(inputs, self.sizes))

    def joined_to(self, results: Sequence[Handle], untaken: str, inputs: Sequence[Handle]) -> Sequence[Handle]:
        graph = self.attrs[untaken]
        read = ([inputs[i] for i in inputs_of(output, graph)] for output in graph.outputs)
        return [joined(result, others) for result, others in zip(results, read, strict=True)]

    def module(self, body: str) -> GraphModule:
        """A graph as a callable on handles; its outputs may be its inputs."""
        return GraphModule(self.attrs[body], self._tensor)

    def _tensor(self, array: np.ndarray) -> Handle:
        return self.like.new_tensor(array, dtype=from_numpy(array.dtype))

    def fresh(self, tensors: Sequence[Handle]) -> Sequence[Handle]:
        return [t.clone() for t in tensors]

    def item(self, tensor: Handle, position: int) -> Handle:
        return tensor[position]

    def stack(self, tensors: Sequence[Handle]) -> Handle:
        return F.stack(list(tensors))
