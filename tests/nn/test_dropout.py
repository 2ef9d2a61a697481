"""Dropout layers: modes, seeds, whole channels."""

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import nn
from tracegraph.errors import ShapeError


def test_evaluation_changes_nothing():
    x = tg.randn(10)
    assert nn.Dropout(0.9).eval()(x) is x
    assert nn.Dropout(0.0)(x) is x


def test_training_drops_and_scales():
    tg.manual_seed(0)
    y = nn.Dropout(0.2)(tg.ones(20000)).numpy()
    assert set(np.unique(y)) == {np.float32(0), np.float32(1.25)}
    assert abs(y.mean() - 1) < 0.02


def test_each_call_draws_anew_and_a_seed_repeats():
    layer, x = nn.Dropout(0.5), tg.ones(100)
    tg.manual_seed(1)
    first, second = layer(x).tolist(), layer(x).tolist()
    tg.manual_seed(1)
    assert layer(x).tolist() == first != second


def test_in_place():
    x = tg.ones(100)
    assert nn.Dropout(0.5, inplace=True)(x) is x
    assert (x == 0).any().item()


@pytest.mark.parametrize(("layer", "shape"), [(nn.Dropout1d, (8, 16, 5)), (nn.Dropout2d, (8, 16, 5, 3))])
def test_whole_channels(layer, shape):
    y = layer(0.5)(tg.ones(shape)).numpy().reshape(8, 16, -1)
    assert (y.min(-1) == y.max(-1)).all()
    assert 0 < (y[..., 0] == 0).mean() < 1
    assert layer(0.5)(tg.ones(shape[1:])).shape == shape[1:]
    with pytest.raises(RuntimeError, match="without a batch"):
        layer(0.5)(tg.ones(3))


def test_probabilities_are_checked():
    with pytest.raises(ValueError, match=r"Dropout: p=1\.5"):
        nn.Dropout(1.5)


def test_alpha_dropout_of_whole_channels():
    layer = nn.FeatureAlphaDropout(0.5)
    found = layer(tg.zeros(8, 16, 3))
    assert (found == found[..., :1]).all() and len(found.unique()) == 2
    assert layer.eval()(found) is found
    with pytest.raises(ShapeError, match="2 dimensions or more"):
        nn.FeatureAlphaDropout()(tg.zeros(3))
