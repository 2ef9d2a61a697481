"""Random graphs of all pure ops, for property tests: ops are called as their samples say, on values of earlier calls.

`random_graphs()` is a hypothesis strategy; `same_results` the comparison that goes with it.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from agreement import assert_agree, assert_zeros_agree, has_zero_signs
from hypothesis import reject
from hypothesis import strategies as st

from tracegraph import dtypes, ir
from tracegraph.errors import TracegraphError
from tracegraph.ir import Builder, Graph, TensorType, Value
from tracegraph.ir.op import REGISTRY
from tracegraph.ops.core.definition import Definition
from tracegraph.ops.core.samples import A, Sample
from tracegraph.ops.graphs.recording import Recorder, Traced

Wanted = Callable[[Definition], bool]


@cache
def usable_samples(dtype: dtypes.DType) -> dict[Definition, tuple[Sample, ...]]:
    """Pure ops with those of their samples that take tensors of this dtype."""
    found = {}
    for op in REGISTRY.values():
        writes = op.name.endswith("_")
        if isinstance(op, Definition) and op.is_pure and op.samples and not writes and not op.gradient_is_error:
            listed = tuple(s for s in op.samples() if dtype in s.dtypes and any(True for _ in _arrays(s)))
            if listed:
                found[op] = listed
    return found


def _arrays(sample: Sample) -> Iterable[A]:
    for arg in (*sample.args, *sample.kwargs.values()):
        yield from (a for a in (arg if isinstance(arg, list) else [arg]) if isinstance(a, A))


class Grower:
    """Grows one graph; operands are drawn from the values there are, or become new inputs."""

    def __init__(self, rng: random.Random, dtype: dtypes.DType) -> None:
        self.rng = rng
        self.dtype = dtype
        self.recorder = Recorder(Builder("random"))
        self.values: dict[tuple[str, tuple[Any, ...]], list[Value]] = {}

    def operand(self, wanted: Any) -> Any:
        """A handle for a described array; a list of them for a list; anything else as it is."""
        if isinstance(wanted, list):
            return [self.operand(w) for w in wanted]
        if not isinstance(wanted, A):
            return wanted
        dtype = wanted.dtype or self.dtype
        pool = self.values.setdefault((dtype.name, wanted.shape), [])
        # indices must stay in range, so integers are inputs
        if not pool or dtype.is_integer or self.rng.random() < 0.1:
            pool.append(self.recorder.builder.placeholder(TensorType(dtype, wanted.shape)))
            return self.recorder.traced(pool[-1])
        return self.recorder.traced(self.rng.choice(pool[-6:]))

    def call(self, op: Definition, samples: tuple[Sample, ...]) -> None:
        sample = self.rng.choice(samples)
        # prefer operands that exist: the graph shall hang together
        known = [s for s in samples if all(((a.dtype or self.dtype).name, a.shape) in self.values for a in _arrays(s))]
        if known and self.rng.random() < 0.8:
            sample = self.rng.choice(known)
        args = tuple(map(self.operand, sample.args))
        kwargs = {k: self.operand(v) for k, v in sample.kwargs.items()}
        with self.recorder.active():
            results = op(*args, **kwargs)
        for result in results if isinstance(results, list | tuple) else (results,):
            if isinstance(result, Traced):
                self.values.setdefault((result.dtype.name, tuple(result.shape)), []).append(result.value)

    def finish(self) -> Graph:
        graph = self.recorder.builder.graph
        values = [v for node in graph.calls for v in node.values] or list(graph.placeholders)
        unused = [v for v in values if not v.users]
        outputs = (unused if self.rng.random() < 0.7 else self.rng.sample(unused, max(1, len(unused) // 2)))[:6]
        outputs += self.rng.sample(values, self.rng.randrange(2))
        return self.recorder.builder.output(*outputs)


def grow(
    rng: random.Random, calls: int = 12, wanted: Wanted = lambda op: True, dtype: dtypes.DType = dtypes.float32
) -> Graph:
    """A graph of about `calls` calls of ops that `wanted` accepts."""
    grower = Grower(rng, dtype)
    ops = [(op, samples) for op, samples in usable_samples(dtype).items() if wanted(op)]
    made = 0
    while made < calls:
        try:
            grower.call(*rng.choice(ops))
        except TracegraphError:  # a sample's shapes meet values for which the op is not defined
            continue
        made += 1
    return ir.verify(grower.finish())


@st.composite
def random_graphs(
    draw: st.DrawFn, calls: int = 12, wanted: Wanted = lambda op: True, dtype: dtypes.DType = dtypes.float32
) -> Graph:
    """Hypothesis strategy of `grow`; only graphs that run on `inputs_for` them."""
    graph = grow(random.Random(draw(st.integers(0, 2**32))), draw(st.integers(1, calls)), wanted, dtype)
    try:
        run(graph, inputs_for(graph))
    except TracegraphError:  # an index drawn at random that its op does not take
        reject()
    return graph


def inputs_for(graph: Graph, seed: int = 0, sizes: dict[str, int] | None = None) -> list[np.ndarray]:
    """Arrays that fit the placeholders; integers are 0 or 1, so that they serve as indices."""
    from golden import random_array

    rng = np.random.default_rng(seed)
    return [random_array(rng, p.type, sizes or {}) for p in graph.placeholders]


@contextmanager
def unwarned() -> Iterator[None]:
    """No warnings about nan, infinities and means of nothing: random graphs are full of them."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


def run(graph: Graph, inputs: Iterable[np.ndarray]) -> list[Any]:
    """Interpret."""
    with unwarned():
        return list(ir.interpret(graph, *(a.copy() for a in inputs)))


def assert_same_results(before: Graph, after: Graph, exact: bool = True) -> None:
    """Both graphs give the same on random inputs, to the bit (nan equals nan) or up to rounding."""
    inputs = inputs_for(before)
    wanted, found = run(before, inputs), run(after, inputs)
    assert len(wanted) == len(found)
    for a, b in zip(found, wanted, strict=True):
        assert_same(a, b, exact, has_zero_signs(before))


def assert_same(found: Any, wanted: Any, exact: bool = True, zero_signs: bool = True) -> None:
    """Equal types and values, those of zeros with their signs unless these are unspecified."""
    if not isinstance(wanted, np.ndarray):
        assert type(found) is type(wanted) and found == wanted
        return
    if not exact:
        assert_agree(found, wanted, zero_signs=zero_signs)
        return
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    found, wanted = (np.asarray(a, dtype=np.float64) for a in (found, wanted))
    np.testing.assert_array_equal(found, wanted)
    if zero_signs:
        assert_zeros_agree(found, wanted)
