"""Calls of ops as their samples describe them: with arrays drawn, eagerly, and recorded as graphs."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

import tracegraph as tg
from tracegraph import ir
from tracegraph.dtypes import DType
from tracegraph.ir import Builder, Graph, Rebuilder, ShapeEnv, TensorType, Value
from tracegraph.ir.dim import Dim
from tracegraph.ops import REGISTRY
from tracegraph.ops.core.definition import Definition
from tracegraph.ops.core.samples import A, Sample, draw
from tracegraph.ops.graphs.recording import Recorder, Traced, record_into

#: changes an array that was drawn for the description
Change = Callable[[np.ndarray, A], np.ndarray]


def all_ops() -> list[Definition]:
    """Every op with samples, by name. Fused ops, and those whose result types depend on data, have none."""
    return [op for _, op in sorted(REGISTRY.items()) if isinstance(op, Definition) and cases_of(op)]


@dataclass(frozen=True, eq=False)
class Case:
    """One sample of one op."""

    op: Definition
    sample: Sample
    index: int

    def __str__(self) -> str:
        return f"{self.op.name}, sample {self.index}"

    @property
    def dtype(self) -> DType:
        """The dtype to test if one will do."""
        return tg.float32 if tg.float32 in self.sample.dtypes else self.sample.dtypes[0]

    def drawn(self, dtype: DType, change: Change | None = None) -> Call:
        """The call with arrays drawn, the same ones every time, and changed if asked."""
        rng = np.random.default_rng(self.index)
        args, kwargs = draw(self.sample, rng, dtype)
        if change is not None:
            args = tuple(_changed(a, d, change) for a, d in zip(args, self.sample.args, strict=True))
            kwargs = {k: _changed(v, self.sample.kwargs[k], change) for k, v in kwargs.items()}
        return Call(self.op, args, kwargs)


@functools.cache
def cases_of(op: Definition) -> list[tuple[Case, DType]]:
    """Every sample of the op with its one dtype, and the first to take another dtype with that too."""
    found: list[tuple[Case, DType]] = []
    seen: set[DType] = set()
    for index, sample in enumerate(op.samples() if op.samples is not None else ()):
        case = Case(op, sample, index)
        chosen = [d for d in sample.dtypes if d is case.dtype or d not in seen]
        seen.update(chosen)
        found += [(case, d) for d in chosen]
    return found


def _changed(value: Any, description: Any, change: Change) -> Any:
    if isinstance(description, A):
        return change(value, description)
    if isinstance(description, list):
        return [_changed(v, d, change) for v, d in zip(value, description, strict=True)]
    return value


@dataclass(frozen=True)
class Call:
    """An op and concrete arguments, numpy arrays where tensors go."""

    op: Definition
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def arrays(self) -> list[np.ndarray]:
        """The arrays among the arguments, in order."""
        found: list[np.ndarray] = []
        self._with(found.append)
        return found

    def _with(self, make: Callable[[np.ndarray], Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with `make(array)` for every array."""

        def one(value: Any) -> Any:
            if isinstance(value, np.ndarray):
                return make(value)
            return [one(v) for v in value] if isinstance(value, list) else value

        return tuple(map(one, self.args)), {k: one(v) for k, v in self.kwargs.items()}

    def eager(self) -> list[np.ndarray]:
        """The results on eager tensors."""
        return [r.detach().numpy() for r in self.on_tensors([tg.Tensor(a) for a in self.arrays])]

    def on_tensors(self, tensors: Sequence[Any]) -> list[Any]:
        """The results, as handles, of the call on these handles in place of the arrays."""
        remaining = iter(tensors)
        args, kwargs = self._with(lambda _: next(remaining))
        return flattened(self.op(*args, **kwargs))

    def record(self, types: Sequence[TensorType] | None = None) -> Graph:
        """The graph of the call, for inputs of the arrays' types or of `types`."""
        builder = Builder("call")
        recorder = Recorder(builder)
        wanted = [type_of(a) for a in self.arrays] if types is None else types
        inputs = [recorder.traced(builder.placeholder(t)) for t in wanted]
        with recorder.active():
            results = self.on_tensors(inputs)
        return ir.verify(builder.output(*(r.value if isinstance(r, Traced) else r for r in results)))


def flattened(results: Any) -> list[Any]:
    """Results as a list: of one handle, of a tuple, of tuples within."""
    if isinstance(results, list | tuple):
        return [r for result in results for r in flattened(result)]
    return [] if results is None else [results]


def type_of(array: np.ndarray) -> TensorType:
    return TensorType(tg.dtypes.from_numpy(array.dtype), array.shape)


def symbolic_types(arrays: Sequence[np.ndarray], env: ShapeEnv) -> list[TensorType]:
    """The arrays' types with one symbol for all sizes that are equal; 0 and 1 stay numbers."""
    symbols: dict[int, Dim] = {}

    def symbol(size: int) -> Dim:
        if size < 2:
            return size
        if size not in symbols:
            symbols[size] = env.fresh(size)
        return symbols[size]

    return [TensorType(type_of(a).dtype, tuple(map(symbol, a.shape))) for a in arrays]


def decomposed(graph: Graph) -> Graph:
    """The graph with every op that has a decomposition replaced by it, all the way down."""

    def expand(rebuilder: Rebuilder, node: ir.Node) -> bool:
        op = node.target if node.op == "call" else None
        if not isinstance(op, Definition) or op.decompose is None:
            return False
        decompose, attrs = op.decompose, node.attrs
        results = record_into(rebuilder.builder, lambda *xs: decompose(*xs, **attrs), *rebuilder.operands(node))
        assert all(isinstance(r, Value) for r in results)
        rebuilder.replace(node, *results)
        return True

    return ir.verify(ir.rebuild(graph, expand))


# --------------------------------------------------------------------------------------------- changes of inputs


def dense(layout: Change) -> Change:
    """The elements `layout` gives, in row-major order."""
    return lambda array, description: np.array(layout(array, description), order="C")


def strided(array: np.ndarray, _: A) -> np.ndarray:
    """The same elements with gaps between them, the last dimension backwards."""
    if not array.ndim:
        return array
    base = np.zeros([2 * n for n in array.shape], array.dtype)
    view = base[tuple(slice(None, None, 2) for _ in array.shape)][..., ::-1]
    view[...] = array
    return view


def column_major(array: np.ndarray, _: A) -> np.ndarray:
    """The same elements in column-major order."""
    return np.asfortranarray(array) if array.ndim else array


def repeated(array: np.ndarray, _: A) -> np.ndarray:
    """The first row (column, ...) in place of all, by strides of 0."""
    return np.broadcast_to(array[:1], array.shape) if array.ndim and array.shape[0] > 1 else array


def extraordinary(array: np.ndarray, description: A) -> np.ndarray:
    """nan, infinities, zeros of both signs, and extreme numbers among the elements; integers only if untyped."""
    dtype = type_of(array).dtype
    if not array.size or dtype.is_bool or (dtype.is_integer and description.dtype is not None):
        return array
    if dtype.is_floating:
        info = ml_dtypes.finfo(dtype.np)
        values = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, info.max, -info.max, info.tiny]
    else:
        limits = np.iinfo(dtype.np)
        values = [0, 1, limits.max, limits.min, limits.max - 1]
    rng = np.random.default_rng(array.size)
    chosen = np.array(values, dtype.np)[rng.integers(0, len(values), array.shape)]
    return np.where(rng.random(array.shape) < 0.6, chosen, array).astype(dtype.np)
