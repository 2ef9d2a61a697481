"""Dropout by key: the share that falls out, the scale of the rest, the same mask backwards."""

import numpy as np
import pytest

import tracegraph as tg
from tracegraph.ops import functional as F


def test_the_mask_follows_the_key_and_the_rest_is_scaled():
    x = tg.ones(10000)
    y = F.dropout_with_key(x, tg.tensor([7, 0]), 0.25).numpy()
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs((y == 0).mean() - 0.25) < 0.02
    np.testing.assert_array_equal(F.dropout_with_key(x, tg.tensor([7, 0]), 0.25).numpy(), y)
    assert (F.dropout_with_key(x, tg.tensor([7, 1]), 0.25).numpy() != y).any()


def test_gradients_pass_where_values_did():
    x = tg.ones(1000, requires_grad=True)
    y = F.dropout_with_key(x, F.next_key(), 0.5)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())


def test_everything_falls_out_at_probability_one():
    assert F.dropout_with_key(tg.ones(3), tg.tensor([0, 0]), 1.0).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("p", [-0.1, 1.5])
def test_probabilities_are_checked(p):
    with pytest.raises(ValueError, match="probability in"):
        F.dropout_with_key(tg.ones(3), tg.tensor([0, 0]), p)
