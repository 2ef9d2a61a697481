"""Functions of `nn.functional` that are more than one op."""

import numpy as np
import pytest

import tracegraph as tg
from tracegraph.nn import functional as F


def test_columns_and_back():
    x = tg.arange(16.0).reshape(1, 1, 4, 4)
    columns = F.unfold(x, 2, stride=2)
    assert columns.shape == (1, 4, 4)
    assert columns[0, :, 0].tolist() == [0.0, 1.0, 4.0, 5.0]
    assert (F.fold(columns, 4, 2, stride=2) == x).all()
    overlapping = F.fold(F.unfold(tg.ones(1, 3, 3), 2), 3, 2)
    assert overlapping.tolist() == [[[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]]
    with pytest.raises(RuntimeError, match="multiple of 4 rows"):
        F.fold(tg.zeros(1, 5, 4), 4, 2, stride=2)


def test_normalize():
    x = tg.tensor([[3.0, 4.0], [0.0, 0.0]])
    assert F.normalize(x).tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0.0, 0.0]]
    assert F.normalize(x, p=1.0, dim=0)[0].tolist() == [1.0, 1.0]


def test_batch_norm_needs_statistics_to_evaluate():
    with pytest.raises(ValueError, match="running_mean and running_var"):
        F.batch_norm(tg.zeros(2, 3), None, None)


def test_attention_draws_its_dropout_and_groups_heads(rng):
    q, k = tg.randn(1, 4, 3, 8), tg.randn(1, 2, 5, 8)
    grouped = F.scaled_dot_product_attention(q, k, k, enable_gqa=True)
    wide = k.repeat_interleave(2, -3)
    np.testing.assert_array_equal(grouped.numpy(), F.scaled_dot_product_attention(q, wide, wide).numpy())
    tg.manual_seed(3)
    first = F.scaled_dot_product_attention(q, wide, wide, dropout_p=0.5)
    assert (first != F.scaled_dot_product_attention(q, wide, wide, dropout_p=0.5)).any()
    tg.manual_seed(3)
    assert (first == F.scaled_dot_product_attention(q, wide, wide, dropout_p=0.5)).all()


def test_losses_that_are_formulas():
    a, b, sign = tg.tensor([0.5, -0.5]), tg.tensor([1.0, 2.0]), tg.tensor([1.0, -1.0])
    assert F.hinge_embedding_loss(a, sign, reduction="none").tolist() == [0.5, 1.5]
    expected = np.log1p(np.exp(-sign.numpy() * a.numpy()))
    np.testing.assert_allclose(F.soft_margin_loss(a, sign, reduction="none").numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(
        F.poisson_nll_loss(a, b, reduction="sum").item(), (np.exp(a.numpy()) - b.numpy() * a.numpy()).sum(), rtol=1e-6
    )
    with pytest.raises(ValueError, match="reduction='all'"):
        F.soft_margin_loss(a, sign, reduction="all")


def test_every_name_exists():
    for name in F.__all__:
        assert callable(getattr(F, name))


def test_functions_that_are_at_the_top_too() -> None:
    x = tg.randn(3, 4)
    assert tg.dropout(x, 0.5, False) is x
    assert tg.pairwise_distance is F.pairwise_distance
