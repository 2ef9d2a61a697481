"""Which calls of compiled graphs take the straight path, and that it gives what the general one gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tracegraph as tg
from tracegraph.runtime.compiled_graph import CompiledGraph


def written(x: tg.Tensor, y: tg.Tensor) -> Any:
    x.add_(1)
    return x * y


def views(x: tg.Tensor, y: tg.Tensor) -> Any:
    product = x * y
    return product, product[1:]


# function, whether its calls have fresh results and no other effect
CASES: dict[str, tuple[Callable[..., Any], bool]] = {
    "one result": (lambda x, y: x * y + 1, True),
    "several results": (lambda x, y: (x * y, x + y), True),
    # capture itself gives back inputs, and results twice: the graph has one of each
    "a result given twice": (lambda x, y: [x * y] * 2, True),
    "an input": (lambda x, y: (x * y, x), True),
    "a view of a result": (lambda x, y: (x * y)[:2], True),
    "a view and its base": (views, False),
    "a random result": (lambda x, y: x * y + tg.rand(4) * 0, False),
    "a write": (written, False),
}


def compiled_graph(compiled: Any) -> CompiledGraph:
    """The compiled graph behind a compiled function that was called."""
    (specialisation,) = next(iter(compiled.family.units.values())).specialisations
    return specialisation.compiled.__self__


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("requires_grad", [False, True])
def test_results_and_gradients(name: str, requires_grad: bool) -> None:
    function, is_straight = CASES[name]
    compiled = tg.compile(function, fullgraph=True, options={"strict": True})
    seen = []
    for run in (function, compiled, compiled):
        w = tg.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=requires_grad)
        x, y = w * 1, tg.tensor([2.0, 0.5, 1.0, -1.0])
        found = run(x, y)
        results = list(found) if isinstance(found, tuple | list) else [found]
        assert all(r.requires_grad == requires_grad for r in results)
        if requires_grad:
            sum(r.sum() for r in results).backward()
        seen.append(([r.tolist() for r in (*results, x)], w.grad.tolist() if requires_grad else None))
        assert (len({id(r) for r in results}) == len(results)) == (name != "a result given twice")
    assert seen[0] == seen[1] == seen[2]
    assert (compiled_graph(compiled)._fresh is not None) == is_straight


def test_a_graph_takes_its_inputs_one_by_one_or_in_a_list() -> None:
    compiled = tg.compile(lambda x, y: x * y, fullgraph=True)
    x, y = tg.tensor([1.0, 2.0]), tg.tensor([3.0, 4.0])
    compiled(x, y)
    graph = compiled_graph(compiled)
    assert graph(x, y)[0].tolist() == graph.run([x, y])[0].tolist() == [3, 8]


def test_a_graph_called_directly_refuses_what_it_was_not_compiled_for() -> None:
    compiled = tg.compile(lambda x, y: x * y, fullgraph=True, dynamic=False)
    compiled(tg.ones(4), tg.ones(4))
    graph = compiled_graph(compiled)
    for wrong in (tg.ones(5), tg.ones(4, dtype=tg.float64), tg.ones(4, 1), tg.ones(())):
        with pytest.raises(tg.TracegraphError, match=r"the graph was (compiled|built) for"):
            graph.run([tg.ones(4), wrong])
    # strided elements are no mistake
    assert graph.run([tg.ones(4), tg.arange(8.0)[::2]])[0].tolist() == [0, 2, 4, 6]


@pytest.mark.parametrize("dynamic", [False, True])
def test_outputs_that_are_not_gone_back_from(dynamic: bool) -> None:
    """They contribute nothing: no zero times an infinite slope, and no gradient to what only they depend on."""

    def function(x: tg.Tensor, v: tg.Tensor, w: tg.Tensor) -> Any:
        return x * v, x.sqrt() * w

    seen = []
    for run in (function, tg.compile(function, fullgraph=True, dynamic=dynamic, options={"strict": True})):
        for values in ([0.0, 1.0], [1.0, 4.0]):
            x, v, w = (tg.tensor(values, requires_grad=True) for _ in range(3))
            run(x, v, w)[0].sum().backward()
            seen.append((x.grad.tolist(), v.grad.tolist(), w.grad))
    assert seen[:2] == seen[2:]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0), (0, 0), (0, 3), (3, 2, 1, 0), (1, 4, 1), (4, 4)])
def test_results_without_a_common_history_are_gone_back_from_one_by_one(order: tuple[int, ...]) -> None:
    def losses(x: tg.Tensor, w: tg.Tensor, u: tg.Tensor) -> Any:
        a, b = (x * w).exp(), (x + u).sin()
        return a.sum(), b.sum(), (a.detach() * u).sum(), a.mean(), x.sum()

    def passes(f: Any) -> tuple[str, list[Any]]:
        leaves = [tg.full((3,), value, requires_grad=True) for value in (0.5, 0.7, 0.9)]
        found, said = f(*leaves), ""
        try:
            for number in order:
                found[number].backward()
        except RuntimeError as error:
            said = "a second time" if "a second time" in str(error) else str(error)
        return said, [None if t.grad is None else t.grad.tolist() for t in leaves]

    said, gradients = passes(losses)
    compiled_said, compiled_gradients = passes(tg.compile(losses, fullgraph=True))
    assert compiled_said == said
    for one, other in zip(gradients, compiled_gradients, strict=True):
        assert other == (None if one is None else pytest.approx(one, rel=1e-6))


def test_saved_values_go_once_no_pass_can_need_them() -> None:
    def losses(w: tg.Tensor, u: tg.Tensor) -> Any:
        a, b = w.exp(), u.exp()
        return a.sum(), a, b.sum()

    compiled = tg.compile(losses, fullgraph=True)
    first, _, last = compiled(tg.ones(3, requires_grad=True), tg.ones(3, requires_grad=True))
    node = first.grad_fn
    first.backward()
    assert node.saved is not None
    last.backward()
    assert node.saved is None


def test_a_write_that_cannot_be_recorded_is_refused() -> None:
    def function(view: tg.Tensor, other: tg.Tensor) -> tg.Tensor:
        other.add_(1)
        view.mul_(other)
        return view.sum()

    compiled = tg.compile(function, fullgraph=True, options={"strict": True})
    for is_leaf in (True, False):
        leaf, other = tg.ones(4, requires_grad=True), tg.ones(3)
        base = leaf if is_leaf else leaf * 1
        with tg.set_grad_enabled(is_leaf):
            view = base[1:]
        with pytest.raises(tg.errors.AutogradError, match="leaf that requires grad" if is_leaf else "made outside it"):
            compiled(view, other)
        assert (base.tolist(), other.tolist()) == ([1.0] * 4, [2.0] * 3)  # what comes before it is done
