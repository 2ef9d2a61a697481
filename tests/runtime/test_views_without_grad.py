"""Views made outside grad mode, as results of compiled code: what eager execution refuses with them is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tracegraph as tg

Results = tuple[tg.Tensor, ...]
Program = Callable[[tg.Tensor, tg.Tensor], Results]


def without_grad(program: Callable[[tg.Tensor, tg.Tensor], Any]) -> Program:
    def run(x: tg.Tensor, y: tg.Tensor) -> Results:
        with tg.no_grad():
            found = program(x, y)
        return tuple(found) if isinstance(found, list | tuple) else (found,)

    return run


def with_base(h: tg.Tensor) -> Results:
    return h, h.view(-1)


def of_a_result(x: tg.Tensor, y: tg.Tensor) -> Results:
    h = x * 2
    with tg.no_grad():
        v = h[0]
    return h, v


def viewed_again(x: tg.Tensor, y: tg.Tensor) -> Results:
    with tg.no_grad():
        v = x[0]
    return v, v[1:]


def viewed_before(x: tg.Tensor, y: tg.Tensor) -> Results:
    v = x.view(-1)
    with tg.no_grad():
        w = v[1:]
    return v, w * 2, w


def beside_views_with_history(x: tg.Tensor, y: tg.Tensor) -> Results:
    h = y * 1
    with tg.no_grad():
        w = h[1:]
    return h.t(), h, w


def detached(x: tg.Tensor, y: tg.Tensor) -> Results:
    d = x.detach()
    return d, x.detach()[0], d[0]


PROGRAMS: dict[str, Program] = {
    "of a leaf": without_grad(lambda x, y: x.view(-1)),
    "of a leaf, not row-major": without_grad(lambda x, y: x.t()),
    "of a leaf, several": without_grad(lambda x, y: x.chunk(2)),
    "of a leaf, twice": without_grad(lambda x, y: x.view(-1)[1:]),
    "of a leaf, written": without_grad(lambda x, y: x.view(-1).mul_(1)),
    "of a leaf, detached": without_grad(lambda x, y: x.view(-1).detach()),
    "of data": without_grad(lambda x, y: y.view(-1)),
    "of what is not returned": without_grad(lambda x, y: (x * 2).view(-1)),
    "of what is not returned, not row-major": without_grad(lambda x, y: (y * 2).t()),
    "of data that is not returned": without_grad(lambda x, y: (y * 2).view(-1)),
    "of what is returned": without_grad(lambda x, y: with_base(x * 2)),
    "of data that is returned": without_grad(lambda x, y: with_base(y * 2)),
    "of a result": of_a_result,
    "viewed again": viewed_again,
    "viewed before": viewed_before,
    "beside views with history": beside_views_with_history,
    "detached": detached,
}


def add(r: Results, x: tg.Tensor, y: tg.Tensor, z: tg.Tensor) -> Any:
    r[-1].add_(1)


def add_without_grad(r: Results, x: tg.Tensor, y: tg.Tensor, z: tg.Tensor) -> Any:
    with tg.no_grad():
        r[-1].mul_(3)
    return r[-1] * z


def multiply(r: Results, x: tg.Tensor, y: tg.Tensor, z: tg.Tensor) -> Any:
    r[-1].mul_(z)


def multiply_part(r: Results, x: tg.Tensor, y: tg.Tensor, z: tg.Tensor) -> Any:
    r[-1][:1].mul_(z[0])


def multiply_argument(r: Results, x: tg.Tensor, y: tg.Tensor, z: tg.Tensor) -> Any:
    y.mul_(z)
    return r[-1] * 2


def multiply_first(r: Results, x: tg.Tensor, y: tg.Tensor, z: tg.Tensor) -> Any:
    r[0].mul_(z)
    return r[-1] * 2


def make_leaf(r: Results, x: tg.Tensor, y: tg.Tensor, z: tg.Tensor) -> Any:
    (r[-1].requires_grad_() * 2).sum().backward()
    return r[-1].grad


def require_grad_of_data(r: Results, x: tg.Tensor, y: tg.Tensor, z: tg.Tensor) -> Any:
    y.requires_grad_()
    r[-1].add_(1)


def freeze(r: Results, x: tg.Tensor, y: tg.Tensor, z: tg.Tensor) -> Any:
    x.requires_grad_(False)
    return r[-1].add_(1)


def multiply_detached(r: Results, x: tg.Tensor, y: tg.Tensor, z: tg.Tensor) -> Any:
    r[-1].detach().mul_(z)
    return r[-1] * 2


USES = [
    add, add_without_grad, multiply, multiply_part, multiply_argument, multiply_first, make_leaf, require_grad_of_data,
    freeze, multiply_detached,
]  # fmt: skip


def asked(question: Callable[[], Any]) -> Any:
    try:
        return question()
    except tg.TracegraphError as e:
        return type(e), str(e)


def state(tensor: tg.Tensor) -> tuple[Any, ...]:
    elements = tensor.detach().tolist()
    return elements, tensor._version, tensor.stride(), asked(lambda: (tensor.requires_grad, tensor.is_leaf))


@pytest.mark.parametrize("backend", ["interpreter", "llvm"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_as_in_eager_code(name: str, backend: str) -> None:
    program = PROGRAMS[name]
    compiled = tg.compile(program, fullgraph=True, backend=backend, options={"strict": True})
    for use in USES:
        seen = []
        for run in (program, compiled):
            x = tg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
            y, z = tg.tensor([[5.0, 6.0], [7.0, 8.0]]), tg.tensor([2.0], requires_grad=True)
            results = run(x, y)
            found = asked(lambda: use(results, x, y, z))  # noqa: B023 - called at once
            found = state(found) if isinstance(found, tg.Tensor) else found
            seen.append((found, [state(t) for t in (*results, x, y, z)]))
        assert seen[0] == seen[1], use.__name__
