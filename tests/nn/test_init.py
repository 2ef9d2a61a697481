"""Initial values have the distributions their names promise."""

import math

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import nn
from tracegraph.errors import ShapeError
from tracegraph.nn import init


@pytest.fixture(autouse=True)
def seed():
    tg.manual_seed(0)


WEIGHT = (100, 50, 2, 2)  # fan in 200, fan out 400


@pytest.mark.parametrize(
    ("fill", "std", "bound"),
    [
        (lambda t: init.uniform_(t, -1, 3), 4 / math.sqrt(12), None),
        (lambda t: init.normal_(t, 1.0, 2.0), 2.0, None),
        (init.xavier_uniform_, math.sqrt(2 / 600), math.sqrt(6 / 600)),
        (lambda t: init.xavier_normal_(t, 2.0), 2 * math.sqrt(2 / 600), None),
        (lambda t: init.kaiming_uniform_(t, nonlinearity="relu"), math.sqrt(2 / 200), math.sqrt(6 / 200)),
        (lambda t: init.kaiming_normal_(t, mode="fan_out", nonlinearity="relu"), math.sqrt(2 / 400), None),
        (lambda t: init.trunc_normal_(t, std=1.0, a=-1.0, b=1.0), 0.5396, 1.0),
    ],
)
def test_spread(fill, std, bound):
    t = tg.empty(WEIGHT)
    assert fill(t) is t
    values = t.numpy()
    assert abs(values.std() / std - 1) < 0.03
    assert bound is None or np.abs(values).max() <= bound * (1 + 1e-6)


def test_constants():
    t = tg.empty(2, 2)
    assert init.constant_(t, 3.0).tolist() == [[3.0, 3.0], [3.0, 3.0]]
    assert init.eye_(t).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert init.zeros_(t).sum().item() == 0
    assert init.ones_(t).sum().item() == 4


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 2, 2)])
def test_orthogonal_rows_or_columns(shape):
    m = init.orthogonal_(tg.empty(shape), gain=2.0).numpy().reshape(shape[0], -1)
    product = m @ m.T if m.shape[0] <= m.shape[1] else m.T @ m
    np.testing.assert_allclose(product, 4 * np.eye(min(m.shape)), atol=1e-5)


def test_parameters_are_filled_without_history():
    p = nn.Parameter(tg.zeros(3))
    init.normal_(p)
    assert p.is_leaf
    assert (p != 0).all()


def test_default_of_layers_is_uniform_by_fan_in():
    layer = nn.Linear(400, 300)
    for p in (layer.weight, layer.bias):
        values = p.detach().numpy()
        assert np.abs(values).max() <= 1 / 20
        assert abs(values.std() * math.sqrt(3) * 20 - 1) < 0.1


def test_a_seed_repeats_layers():
    tg.manual_seed(5)
    first = nn.Linear(3, 4)
    tg.manual_seed(5)
    assert (nn.Linear(3, 4).weight == first.weight).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: init.xavier_uniform_(tg.empty(3)), r"2 or more dimensions, this one has \[3\]"),
        (lambda: init.kaiming_normal_(tg.empty(3, 3), mode="fan"), "'fan_in' or 'fan_out'"),
        (lambda: init.calculate_gain("cube"), "unknown nonlinearity 'cube'"),
        (lambda: init.eye_(tg.empty(3)), "2 dimensions"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(tg.TracegraphError, match=message):
        call()


def test_gains():
    assert init.calculate_gain("relu") == pytest.approx(math.sqrt(2))
    assert init.calculate_gain("leaky_relu", 1.0) == pytest.approx(1.0)
    assert init.calculate_gain("conv2d") == 1.0


def test_dirac_keeps_the_channels() -> None:
    x = tg.arange(24.0).reshape(1, 4, 6)
    kept = nn.functional.conv1d(x, nn.init.dirac_(tg.empty(6, 4, 3)), padding=1)
    assert kept[:, :4].tolist() == x.tolist() and kept[:, 4:].abs().sum() == 0
    grouped = nn.init.dirac_(tg.empty(4, 2, 1), groups=2)
    assert nn.functional.conv1d(x, grouped, groups=2).tolist() == x.tolist()
    with pytest.raises(ShapeError, match="groups=3"):
        nn.init.dirac_(tg.empty(4, 2, 1), groups=3)
