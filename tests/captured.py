"""Programs run eagerly and captured, side by side: results, side effects, printed text and exceptions must agree.

`check(program, make_args, ...)` is the comparison; `capture_of(program)` gives the compiled function for a closer look.
The backend replays graphs op by op on eager tensors, so nothing but capture is under test.
"""

from __future__ import annotations

import collections
import contextlib
import io
import pathlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from agreement import assert_zeros_agree

from tracegraph.autograd import grad
from tracegraph.capture.compiled_function import CaptureOptions, CompiledFunction, compiled, family_of
from tracegraph.ir import Graph
from tracegraph.ops.functional import full_like
from tracegraph.ops.graphs.graph_module import GraphModule
from tracegraph.tensor import Tensor, tensor

MakeArgs = Callable[[], tuple[Any, ...]]


def replay(graph: Graph, example_inputs: list[Any]) -> Callable[[list[Any]], Sequence[Any]]:
    """A backend that runs the graph op by op."""
    graph.lint()
    module = GraphModule(graph, Tensor)
    return lambda inputs: module(*inputs)


def capture_of(program: Any, **options: Any) -> Any:
    """`program`, captured and replayed."""
    return compiled(program, replay, CaptureOptions(**options))


def ramp(*shape: int, requires_grad: bool = False) -> Tensor:
    """A float tensor of small distinct numbers."""
    shape = shape or (2, 3)
    values = np.arange(1, int(np.prod(shape)) + 1, dtype=np.float32).reshape(shape)
    return tensor(values, requires_grad=requires_grad)


@dataclass
class Outcome:
    """What a call did: result, arguments afterwards, printed text, exception."""

    result: Any
    args: tuple[Any, ...]
    printed: str
    error: tuple[type, str] | None


def observe(function: Callable[..., Any], args: tuple[Any, ...]) -> Outcome:
    """Call, and take down everything that can be seen of it."""
    printed = io.StringIO()
    result, error = None, None
    with contextlib.redirect_stdout(printed):
        try:
            result = function(*args)
        except Exception as e:
            error = (type(e), str(e))
    return Outcome(result, args, printed.getvalue(), error)


def gradient(function: Callable[..., Any]) -> Tensor | None:
    """The gradient of the sum of all results at a 2x3 tensor; None if none depends on it, or the call raises."""
    x = ramp(requires_grad=True)
    parts = [t.sum() for t in _tensors_in(observe(function, (x,)).result) if t.requires_grad]
    if not parts:
        return None
    sum(parts[1:], parts[0]).backward()
    return x.grad


def _tensors_in(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(dict.values(value))
    if not isinstance(value, list | tuple | collections.deque):
        value = list(_public_state(value).values()) if type(value).__module__.startswith("programs.") else []
    return [t for part in value for t in _tensors_in(part)]


def derivatives(function: Callable[..., Any], x: Tensor, order: int) -> list[Tensor | None]:
    """Results, gradient, and the gradient of a function of the gradient."""
    found = function(x)
    results = [r for r in (found if isinstance(found, tuple) else (found,)) if isinstance(r, Tensor)]
    roots = [r for r in results if r.requires_grad]
    cotangents = [full_like(r.detach(), 0.5 + i) for i, r in enumerate(roots)]
    (first,) = grad(roots, x, cotangents, create_graph=order > 1)
    second = None
    if order > 1 and first is not None and first.requires_grad:
        (second,) = grad((first * first.detach().sin()).sum(), x, allow_unused=True)
    return [*(r.detach() for r in results), None if first is None else first.detach(), second]


def assert_close(found: Sequence[Tensor | None], wanted: Sequence[Tensor | None]) -> None:
    """The same up to rounding, None where None is wanted."""
    assert [f is None for f in found] == [w is None for w in wanted]
    for f, w in zip(found, wanted, strict=True):
        if f is not None and w is not None:
            np.testing.assert_allclose(f.numpy(), w.numpy(), rtol=1e-5, atol=1e-5)


def check(
    program: Callable[..., Any],
    *make_args: MakeArgs,
    graphs: int | None = None,
    breaks: tuple[str, ...] | None = (),
    **options: Any,
) -> CompiledFunction:
    """Compare eager and captured calls for each set of arguments, twice.

    Args:
        graphs: number of graphs the first set of arguments must make; None: any.
        breaks: ids of the break reasons to expect, in order of first occurrence; None: any.
    """
    function = capture_of(program, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for turn, make in enumerate(make_args * 2 or (lambda: (ramp(),),) * 2):
            expected, actual = observe(program, make()), observe(function, make())
            assert actual.error == expected.error, f"{actual.error} instead of {expected.error}"
            assert actual.printed == expected.printed
            assert_same(actual.result, expected.result)
            assert_same(actual.args, expected.args)
            if turn == 0 and graphs is not None:
                assert len(graphs_of(function)) == graphs
    if breaks is not None:
        assert tuple(dict.fromkeys(stop.reason.id for _, stop in family_of(function).breaks)) == breaks, [
            stop.describe() for _, stop in family_of(function).breaks
        ]
    return function


def graphs_of(function: CompiledFunction) -> list[Graph]:
    """All graphs captured so far."""
    units = family_of(function).units.values()
    return [s.graph for u in units for s in u.specialisations if s.graph is not None]


def specialisation_count(function: CompiledFunction) -> int:
    """How often the function itself has been captured."""
    return sum(len(u.specialisations) for u in family_of(function).units.values() if u.unit.is_entry)


def assert_same(actual: Any, expected: Any) -> None:
    """Equality of values, types and structure; tensors by dtype, shape, elements and requires_grad.

    Numbers are equal to the sign of a zero; nan equals nan.
    """
    assert type(actual) is type(expected), f"{actual!r} instead of {expected!r}"
    if isinstance(expected, Tensor):
        assert actual.dtype is expected.dtype
        assert actual.shape == expected.shape
        assert actual.requires_grad == expected.requires_grad
        _assert_same_elements(actual._np, expected._np)
    elif isinstance(expected, np.ndarray):
        assert actual.dtype == expected.dtype
        _assert_same_elements(actual, expected)
    elif isinstance(expected, pathlib.PurePath):
        assert actual == expected  # what it remembers of its parts is its own
    elif isinstance(expected, list | tuple | collections.deque):
        assert len(actual) == len(expected), f"{actual!r} instead of {expected!r}"
        for a, e in zip(actual, expected, strict=True):
            assert_same(a, e)
    elif isinstance(expected, dict):
        assert list(actual) == list(expected)
        for key, value in expected.items():
            assert_same(actual[key], value)
    elif _has_state(expected):
        assert_same(_public_state(actual), _public_state(expected))
    elif isinstance(expected, float | complex):
        assert repr(actual) == repr(expected)
    elif isinstance(expected, int | str | bytes | bytearray | set | frozenset | range | slice | type(None)):
        assert actual == expected


def _assert_same_elements(actual: np.ndarray, expected: np.ndarray) -> None:
    if actual.shape == expected.shape and actual.tobytes() == expected.tobytes():
        return  # mostly
    np.testing.assert_array_equal(actual, expected)
    if expected.dtype.kind in "fV" and not expected.all():
        assert_zeros_agree(actual.astype(np.float64), expected.astype(np.float64))


def _has_state(value: Any) -> bool:
    is_object = hasattr(value, "__dict__") or hasattr(type(value), "__slots__")
    return is_object and not callable(value) and not hasattr(value, "__next__")


def _public_state(instance: Any) -> dict[str, Any]:
    slots = (name for cls in type(instance).__mro__ for name in cls.__dict__.get("__slots__", ()))
    state = {name: getattr(instance, name) for name in slots if hasattr(instance, name)}
    state |= getattr(instance, "__dict__", {})
    return {k: v for k, v in state.items() if k != "_changes" and not k.endswith("_hooks")}
