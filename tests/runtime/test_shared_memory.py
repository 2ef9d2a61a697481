"""Arguments in one memory, of which the compiled function writes to some: elements, versions, aliasing, gradients,
errors are those of eager execution, whatever lies where.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import tracegraph as tg
from tracegraph import compiler, nn
from tracegraph.errors import AutogradError
from tracegraph.tensor import Tensor

LONG = int(os.environ.get("TRACEGRAPH_FUZZ", "0"))
SIZE = 8
Strided = tuple[tuple[int, ...], tuple[int, ...], int]


@dataclass(frozen=True)
class Given:
    """A tensor in the memory of all: where it lies, and how it is related to that."""

    place: Strided
    relation: str

    def of(self, memory: Tensor) -> Tensor:
        size, stride, offset = self.place
        view = memory.as_strided(size, stride, offset)
        if self.relation == "array":
            return tg.from_numpy(view.detach().numpy())
        if self.relation == "leaf":
            return view.detach().requires_grad_()
        return {"view": view, "detached": view.detach(), "data": view.data}[self.relation]


@dataclass(frozen=True)
class Step:
    """A write to a part of a tensor, or a result."""

    kind: str
    target: int
    part: int
    source: int
    in_grad_mode: bool = False


def places() -> st.SearchStrategy[Strided]:
    """Sizes, strides and offsets of tensors within the memory; dimensions may be empty or expanded."""

    def fits(place: Strided) -> bool:
        size, stride, offset = place
        return 0 in size or offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) < SIZE

    dims = st.integers(0, 2).flatmap(
        lambda rank: st.tuples(
            st.tuples(*[st.sampled_from([1, 2, 2, 3, 3, 4, 0])] * rank),
            st.tuples(*[st.sampled_from([1, 1, 2, 3, 4, 0])] * rank),
            st.integers(0, SIZE // 2),
        )
    )
    return dims.filter(fits)


RELATIONS = st.sampled_from(["view", "view", "view", "detached", "data", "array", "leaf"])
STEPS = st.builds(
    Step,
    st.sampled_from(["write", "write", "add", "data", "weigh", "result", "view", "read"]),
    st.integers(0, 2),
    st.integers(0, 3),
    st.integers(0, 2),
    st.booleans(),
)


def part_of(tensor: Tensor, part: int) -> Tensor:
    if part == 1 and tensor.ndim:
        return tensor[: max(tensor.shape[0] - 1, 1)]
    if part == 2 and tensor.ndim == 2:
        return tensor.t()
    if part == 3 and tensor.ndim:
        return tensor[-1] if tensor.shape[0] else tensor
    return tensor


def program(steps: Sequence[Step]) -> Callable[..., Any]:
    """The steps as a function of the tensors and a weight."""

    def run(weight: Tensor, *tensors: Tensor) -> list[Tensor]:
        results = []
        for step in steps:
            target, source = part_of(tensors[step.target], step.part), tensors[step.source]
            with tg.set_grad_enabled(step.in_grad_mode):
                if step.kind == "write":
                    target.copy_(source.sum() + 1)
                elif step.kind == "add":
                    target.mul_(2).add_(source.detach().sum())
                elif step.kind == "data":
                    target.data.add_(1)
                elif step.kind == "weigh":
                    target.mul_(weight)
            if step.kind == "result":
                results.append(source * weight)
            elif step.kind == "view":
                results.append(target)
            elif step.kind == "read":
                results.append((source * source * weight).sum())
        return results

    return run


def seen(function: Callable[..., Any], members: Sequence[Given]) -> list[Any]:
    """All that can be seen of a call, and of what is done with its results."""
    memory = tg.arange(SIZE, dtype=tg.float32) + 1
    tensors = [m.of(memory) for m in members]
    weight = tg.tensor(2.0, requires_grad=True)
    try:
        results = function(weight, *tensors)
    except Exception as e:
        found: list[Any] = [type(e), str(e)]
        results = []
    else:
        found = [(r.shape, r.stride(), r.requires_grad, r.is_leaf) for r in results]
        found += [r.tolist() for r in results]
        found.append([[r is t for t in tensors] for r in results])
        found.append([r._base is t._base or r._base is t for r in results for t in tensors])
    found += [memory.tolist(), [t._version for t in (memory, *tensors)], [t.requires_grad for t in tensors]]
    try:
        losses = [r.sum() for r in results if r.requires_grad]
        if losses:
            sum(losses[1:], losses[0]).backward()
    except Exception as e:
        found.append(type(e))
    found += [None if t.grad is None else t.grad.tolist() for t in (weight, *tensors) if t.is_leaf]
    with tg.no_grad():
        for i, result in enumerate(results):
            if result.numel() and not any(s == 0 and n > 1 for s, n in zip(result.stride(), result.shape, strict=True)):
                result.fill_(100 + i)
    return [*found, memory.tolist()]


def check(members: Sequence[Sequence[Given]], steps: Sequence[Step], **options: Any) -> None:
    """Calls with these tensors, one after another, are as eager ones."""
    run = program(steps)
    compiled = tg.compile(run, **options)
    for group in members:
        assert seen(compiled, group) == seen(run, group)


@settings(
    max_examples=LONG or 25,
    derandomize=not LONG,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate,),
)
@given(
    st.lists(st.tuples(*[st.builds(Given, places(), RELATIONS)] * 3), min_size=1, max_size=3),
    st.lists(STEPS, min_size=1, max_size=5),
    st.sampled_from([None, True]),
)
def test_random_places(members: list[tuple[Given, ...]], steps: list[Step], dynamic: bool | None) -> None:
    check(members, steps, backend="interpreter", dynamic=dynamic)


def row(n: int) -> Tensor:
    return tg.arange(n, dtype=tg.float32)


def writes_first(x: Tensor, y: Tensor) -> Tensor:
    x.add_(1)
    return y * 2


def overlapping(shift: int, n: int = 6) -> tuple[Tensor, Tensor]:
    memory = row(n)
    return memory[: n - 2].view(2, -1), memory[shift : n - 2 + shift]


def apart(n: int = 6) -> tuple[Tensor, Tensor]:
    return row(n - 2).view(2, -1), row(n - 2)


@pytest.mark.parametrize("dynamic", [None, True, False])
def test_arguments_that_lie_otherwise_are_compiled_anew(dynamic: bool | None) -> None:
    calls = [apart, lambda: overlapping(1), lambda: overlapping(2), apart, lambda: overlapping(1, 8), lambda: apart(8)]
    for limit in (8, 2):
        compiled = tg.compile(writes_first, dynamic=dynamic, recompile_limit=limit)
        with pytest.warns(match="share memory") if limit == 2 else warnings.catch_warnings():
            warnings.simplefilter("error" if limit == 8 else "always")
            for make in calls:
                wanted_args, args = make(), make()
                wanted, found = writes_first(*wanted_args), compiled(*args)
                assert found.tolist() == wanted.tolist()
                assert [a.tolist() for a in args] == [a.tolist() for a in wanted_args]
                assert [a._version for a in args] == [a._version for a in wanted_args]


def test_one_graph_serves_all_calls_that_lie_alike() -> None:
    compiled = tg.compile(writes_first, fullgraph=True, recompile_limit=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            assert compiled(*overlapping(1)).tolist() == writes_first(*overlapping(1)).tolist()
    report = compiler.explain(writes_first)(*overlapping(1))
    assert not report.breaks
    assert "x and y share memory, in places as they were" in str(report)


def test_views_of_a_global_buffer() -> None:
    buffer = tg.zeros(2, 3)
    second, flat = buffer[1], buffer.view(-1)

    def step(x: Tensor) -> tuple[Tensor, ...]:
        buffer[0].add_(x)
        second.mul_(2)
        flat[2:4] = 7.0
        return second + x, buffer.sum(), flat[1:]

    compiled = tg.compile(step, fullgraph=True)
    for _ in range(2):
        before, version = buffer.clone(), buffer._version
        wanted = [t.tolist() for t in step(row(3))]
        writes, after = buffer._version - version, buffer.clone()
        buffer.copy_(before)
        version = buffer._version
        found = compiled(row(3))
        assert [t.tolist() for t in found] == wanted
        assert buffer.tolist() == after.tolist()
        assert buffer._version - version == writes
        found[2][0] = 5.0
        assert buffer[0, 1] == 5.0 and found[2]._base is buffer


def test_arrays_and_tensors_in_one_memory() -> None:
    def step(array: np.ndarray, tensor: Tensor) -> Tensor:
        held = tg.from_numpy(array)
        held.mul_(2)
        return tensor + held.sum()

    compiled = tg.compile(step, fullgraph=True)
    outcomes = []
    for run in (step, compiled, compiled):
        array = np.arange(6, dtype=np.float32)
        found = run(array[:4], tg.from_numpy(array[2:]))
        outcomes.append((found.tolist(), array.tolist()))
    assert outcomes[1:] == outcomes[:1] * 2


@pytest.mark.parametrize("dtype", [tg.bool, tg.uint8, tg.int64, tg.float16, tg.bfloat16, tg.float64])
def test_every_width_of_elements(dtype: tg.dtypes.DType) -> None:
    def step(x: Tensor, y: Tensor) -> Tensor:
        x.copy_(y.flip(0)[: x.shape[0]])
        return y.clone()

    compiled = tg.compile(step, fullgraph=True)
    outcomes = []
    for run in (step, compiled):
        memory = (row(7) % 3).to(dtype)
        outcomes.append((run(memory[0:6:2], memory[1:5]).tolist(), memory.tolist()))
    assert outcomes[1] == outcomes[0]


def with_other_dtype(memory: Tensor) -> tuple[Tensor, ...]:
    return memory, memory.view(tg.int32)


def of_one_place(memory: Tensor) -> tuple[Tensor, ...]:
    return memory.as_strided((2, 2), (1, 1)), memory


@pytest.mark.parametrize("make", [with_other_dtype, of_one_place])
def test_what_graphs_cannot_state_runs_eagerly(make: Callable[[Tensor], tuple[Tensor, ...]]) -> None:
    compiled = tg.compile(writes_first)
    assert compiled(*make(row(4))).tolist() == writes_first(*make(row(4))).tolist()
    assert [b.id for b in compiler.explain(writes_first)(*make(row(4))).breaks] == ["aliased-inputs"]


def test_writes_that_gradients_flow_through() -> None:
    def step(x: Tensor, y: Tensor, w: Tensor) -> Tensor:
        x.mul_(w)
        return y.sum()

    gradients = []
    for run in (step, tg.compile(step)):
        w = tg.tensor(3.0, requires_grad=True)
        run(*overlapping(1), w).backward()
        gradients.append(w.grad.tolist())
    assert gradients[1] == gradients[0]


def test_arguments_that_are_only_read_are_not_guarded() -> None:
    compiled = tg.compile(lambda x, y: x + y, fullgraph=True, recompile_limit=1)
    memory = row(6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for x, y in ((row(3), row(3)), (memory[:3], memory[2:5]), (memory[:3], memory[:3])):
            assert compiled(x, y).tolist() == (x + y).tolist()


def test_gradients_taken_in_the_function() -> None:
    def train(flat: Tensor, layer: nn.Linear, optimiser: tg.optim.SGD) -> Tensor:
        loss = layer(flat[4:].clone()).pow(2).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss + flat.sum()

    outcomes = []
    for run in (train, tg.compile(train, fullgraph=True)):
        flat = row(6)
        layer = nn.Linear(2, 2, bias=False)
        layer.weight.data = flat[:4].view(2, 2)
        optimiser = tg.optim.SGD(layer.parameters(), lr=0.1)
        losses = [run(flat, layer, optimiser).item() for _ in range(3)]
        outcomes.append([*losses, *flat.tolist(), layer.weight._version, flat._version])
    np.testing.assert_allclose(outcomes[1], outcomes[0], rtol=1e-5)


def test_a_write_before_gradients_are_taken() -> None:
    def step(x: Tensor, y: Tensor, w: Tensor) -> Tensor:
        product = (y * w).sum()
        x.add_(1)
        (gradient,) = tg.autograd.grad(product, w)
        return gradient

    for run in (step, tg.compile(step)):
        with pytest.raises(AutogradError, match="modified"):
            run(*overlapping(1), tg.ones(4, requires_grad=True))


def test_a_backward_function_that_reads_what_is_written_to() -> None:
    whole = row(6)
    part = whole[2:6]

    class Scaled(tg.autograd.Function):
        @staticmethod
        def forward(ctx: Any, w: Tensor) -> Tensor:
            return w * 2

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Tensor:
            return gradient * part

    def step(w: Tensor) -> Tensor:
        result = Scaled.apply(w)
        whole[:4].add_(1)
        return result.sum()

    gradients = []
    for run in (step, tg.compile(step)):
        whole.copy_(row(6))
        w = tg.ones(4, requires_grad=True)
        loss = run(w)
        whole.mul_(3)
        loss.backward()
        gradients.append(w.grad.tolist())
    assert gradients[1] == gradients[0]
