"""The argument `out` of functions."""

from __future__ import annotations

import pytest

import tracegraph as tg


def test_the_result_is_written_and_returned() -> None:
    x, out = tg.tensor([1.0, 4.0]), tg.zeros(2)
    assert tg.sqrt(x, out=out) is out
    assert out.tolist() == [1, 2]
    assert tg.add(x, 1, out=out.view(2)).tolist() == out.tolist() == [2, 5]
    assert tg.add(x, 1, out=None).tolist() == [2, 5]
    assert tg.arange(2, out=out).tolist() == [0, 1]


def test_several_results() -> None:
    values, indices = tg.zeros(2), tg.zeros(2, dtype=tg.int64)
    result = tg.sort(tg.tensor([3.0, 1.0]), out=(values, indices))
    assert result[0] is values
    assert (values.tolist(), indices.tolist()) == ([1, 3], [1, 0])


def test_gradients_flow_through() -> None:
    w, out = tg.ones(2, requires_grad=True), tg.zeros(2)
    tg.mul(w, 3, out=out).sum().backward()
    assert w.grad.tolist() == [3, 3]


@pytest.mark.parametrize(
    ("out", "message"),
    [
        (tg.zeros(0), "not resized"),
        (3, "must be a Tensor, got int"),
        (tg.zeros(2, dtype=tg.int64), "cannot be stored"),
    ],
)
def test_what_does_not_fit(out: object, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        tg.add(tg.ones(2), tg.ones(2), out=out)


def test_too_few_tensors() -> None:
    with pytest.raises(RuntimeError, match="a Tensor for each of the results"):
        tg.sort(tg.ones(2), out=tg.zeros(2))


def test_captured() -> None:
    out = tg.zeros(2)
    result = tg.compile(lambda x, out: tg.exp(x, out=out) * 2, fullgraph=True)(tg.zeros(2), out)
    assert (out.tolist(), result.tolist()) == ([1, 1], [2, 2])


def test_in_place_methods_are_functions() -> None:
    x = tg.tensor([-1.0, 4.0])
    assert tg.relu_(x) is x
    assert tg.sqrt_(x).tolist() == [0, 2]
    assert not hasattr(tg, "no_such_operation_")
