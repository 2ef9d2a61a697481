"""Orders with ties and nan, ranks out of range."""

from __future__ import annotations

import math

import pytest

import tracegraph as tg
from tracegraph.errors import IndexRangeError


def test_equal_elements_keep_their_order() -> None:
    x = tg.tensor([2, 1, 2, 1])
    assert x.sort().indices.tolist() == [1, 3, 0, 2]
    assert x.sort(descending=True).indices.tolist() == [0, 2, 1, 3]
    assert x.argsort(stable=True).tolist() == [1, 3, 0, 2]


def test_nan_is_greater_than_everything() -> None:
    x = tg.tensor([math.nan, 1.0, math.inf])
    assert x.argsort().tolist() == [1, 2, 0]
    assert x.argsort(descending=True).tolist() == [0, 2, 1]
    assert x.topk(1).indices.tolist() == [0]
    assert math.isnan(x.median().item())
    assert x.median(0).indices.item() == 0


def test_ranks() -> None:
    x = tg.tensor([[3.0, 1.0, 2.0]])
    assert x.topk(2).values.tolist() == [[3.0, 2.0]]
    assert x.topk(2, largest=False).values.tolist() == [[1.0, 2.0]]
    assert x.kthvalue(2, keepdim=True).values.tolist() == [[2.0]]
    assert tg.tensor([4, 1, 3, 2]).median().item() == 2  # the lower of the middle two
    assert tg.tensor([4, 1, 3, 2]).median(0).indices.item() == 3
    for call in (lambda: x.topk(4), lambda: x.kthvalue(0), lambda: x.kthvalue(4)):
        with pytest.raises(IndexRangeError, match="out of range for size 3 of dim=1"):
            call()


def test_gradients_go_where_the_elements_came_from() -> None:
    x = tg.tensor([3.0, 1.0, 2.0], requires_grad=True)
    (x.sort().values * tg.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [100.0, 1.0, 10.0]
