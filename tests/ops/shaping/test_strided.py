"""Views by strides, and bytes seen as another dtype."""

from __future__ import annotations

import pytest

import tracegraph as tg


def test_windows_share_memory() -> None:
    x = tg.arange(6)
    windows = x.as_strided((2, 3), (2, 1), 1)
    assert windows.tolist() == [[1, 2, 3], [3, 4, 5]]
    assert windows.stride() == (2, 1)
    x[3] = 9
    assert windows.tolist() == [[1, 2, 9], [9, 4, 5]]


def test_offsets_count_from_the_start_of_the_memory() -> None:
    x = tg.arange(6)
    assert x[2:].as_strided((2,), (1,)).tolist() == [2, 3]
    assert x[2:].as_strided((2,), (1,), 3).tolist() == [3, 4]


def test_writes_through_the_view() -> None:
    w = tg.ones(2, requires_grad=True)
    x = w.repeat(3)
    x.as_strided((3,), (2,)).mul_(2)
    assert x.tolist() == [2, 1] * 3
    x.sum().backward()
    assert w.grad.tolist() == [6, 3]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: x.as_strided((3, 3), (2, 1)), "reach from element 0 to 6 of a tensor of shape"),
        (lambda x: x[1:].as_strided((2,), (1,), 0), "reach from element -1"),
        (lambda x: x[::2].as_strided((2,), (1,)), "not contiguous"),
        (lambda x: x.as_strided((2,), (1, 1)), "differ in length"),
        (lambda x: x.as_strided((2,), (-1,)), "must not be negative"),
        (lambda x: (x * w()).as_strided((2, 2), (1, 1)).mul_(2), "share one place in memory"),
        (lambda x: x.float()[:3].view(tg.float64), "cannot be seen as tracegraph.float64"),
    ],
)
def test_refused(call: object, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        call(tg.arange(6))


def w() -> tg.Tensor:
    return tg.ones(6, requires_grad=True)


def test_in_place() -> None:
    x = tg.arange(6)
    assert x.as_strided_((3, 2), (1, 3)) is x
    assert x.tolist() == [[0, 3], [1, 4], [2, 5]]


def test_bytes_as_another_dtype() -> None:
    x = tg.tensor([1.0, -2.0])
    bits = x.view(tg.int32)
    assert bits.tolist() == [0x3F800000, -0x40000000]
    bits[1] = 0
    assert x.tolist() == [1, 0]
    assert x.view(tg.uint8).shape == (8,)
    assert x.view(dtype=tg.float32).tolist() == x.tolist()


def test_captured() -> None:
    f = tg.compile(lambda x: x.as_strided((2, 2), (2, 1)) * 2, fullgraph=True)
    assert f(tg.arange(4)).tolist() == [[0, 2], [4, 6]]
    g = tg.compile(lambda x: (x + 0).view(tg.int32) + 1)
    assert g(tg.zeros(2)).tolist() == [1, 1]
