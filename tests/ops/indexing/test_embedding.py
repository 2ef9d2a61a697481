"""Embeddings: rows, their gradients, the padding row, numbers out of range."""

import numpy as np
import pytest

import tracegraph as tg


def test_rows_by_number(rng):
    table, numbers = rng.standard_normal((5, 3)), np.array([[0, 4], [2, 2]])
    found = tg.embedding(tg.tensor(numbers), tg.tensor(table))
    np.testing.assert_array_equal(found.numpy(), table[numbers])


def test_gradients_of_repeated_rows_add_and_padding_gets_none():
    table = tg.zeros(4, 2, requires_grad=True)
    tg.embedding(tg.tensor([1, 3, 1, 2]), table, padding_idx=-2).sum().backward()
    assert table.grad.tolist() == [[0.0, 0.0], [2.0, 2.0], [0.0, 0.0], [1.0, 1.0]]


def test_half_precision_gradients_accumulate_in_float32():
    table = tg.zeros(1, 1, dtype=tg.float16, requires_grad=True)
    tg.embedding(tg.zeros(4096, dtype=tg.int64), table).sum().backward()
    assert table.grad.item() == 4096.0


@pytest.mark.parametrize(
    ("numbers", "options", "error", "message"),
    [
        (tg.tensor([0, 5]), {}, IndexError, r"outside \[0, 5\)"),
        (tg.tensor([-1]), {}, IndexError, r"outside \[0, 5\)"),
        (tg.tensor([1.0]), {}, RuntimeError, r"input f32\[1\] must hold row numbers"),
        (tg.tensor([1]), {"padding_idx": 7}, ValueError, "padding_idx=7"),
    ],
)
def test_numbers_are_checked(numbers, options, error, message):
    with pytest.raises(error, match=message):
        tg.embedding(numbers, tg.zeros(5, 3), **options)


def test_the_table_is_a_matrix():
    with pytest.raises(RuntimeError, match=r"weight f32\[5\] must have the dimensions \[rows, features\]"):
        tg.embedding(tg.tensor([1]), tg.zeros(5))
