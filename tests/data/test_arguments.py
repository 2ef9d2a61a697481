"""Datasets, samplers and collation refuse what makes no batch, and name it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tracegraph as tg
from tracegraph import data


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: data.TensorDataset(tg.ones(2), 3), TypeError, r"argument 1 must be a Tensor .* got 3 \(int\)"),
        (lambda: data.TensorDataset(tg.tensor(1.0)), TypeError, r"at least one dimension, got Tensor of shape \[\]"),
        (lambda: data.DataLoader([1, 2], batch_size="a"), TypeError, r"batch_size must be an int, got 'a' \(str\)"),
        (lambda: list(data.DataLoader([(1, 2), (1,)], batch_size=2)), RuntimeError, r"items of lengths \[1, 2\]"),
    ],
)
def test_refusals(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_what_says_nothing_on_one_device_is_accepted() -> None:
    loader = data.DataLoader(
        [1, 2, 3], 2, False, None, None, 0, None, True, True, prefetch_factor=None, persistent_workers=False
    )
    assert loader.pin_memory and [batch.tolist() for batch in loader] == [[1, 2]]
