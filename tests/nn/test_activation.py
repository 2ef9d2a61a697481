"""Activations: formulas, in-place forms, learned slopes."""

import math

import pytest

import tracegraph as tg
from tracegraph import nn


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


FORMULAS = [
    (nn.ReLU(), lambda x: max(x, 0)),
    (nn.ReLU6(), lambda x: min(max(x, 0), 6)),
    (nn.LeakyReLU(0.2), lambda x: x if x > 0 else 0.2 * x),
    (nn.ELU(2.0), lambda x: x if x > 0 else 2 * math.expm1(x)),
    (nn.CELU(2.0), lambda x: x if x > 0 else 2 * math.expm1(x / 2)),
    (nn.SELU(), lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * math.expm1(x))),
    (nn.SiLU(), lambda x: x * sigmoid(x)),
    (nn.GELU(), lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2),
    (nn.GELU("tanh"), lambda x: x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))),
    (nn.Mish(), lambda x: x * math.tanh(math.log1p(math.exp(x)))),
    (nn.Sigmoid(), sigmoid),
    (nn.LogSigmoid(), lambda x: math.log(sigmoid(x))),
    (nn.Tanh(), math.tanh),
    (nn.Hardtanh(-2, 2), lambda x: min(max(x, -2), 2)),
    (nn.Hardsigmoid(), lambda x: min(max(x + 3, 0), 6) / 6),
    (nn.Hardswish(), lambda x: x * min(max(x + 3, 0), 6) / 6),
    (nn.Softplus(2.0), lambda x: math.log1p(math.exp(2 * x)) / 2),
    (nn.Softsign(), lambda x: x / (1 + abs(x))),
    (nn.Softshrink(), lambda x: math.copysign(max(abs(x) - 0.5, 0), x)),
    (nn.Hardshrink(), lambda x: x if abs(x) > 0.5 else 0),
    (nn.Tanhshrink(), lambda x: x - math.tanh(x)),
    (nn.Threshold(0.5, -1.0), lambda x: x if x > 0.5 else -1),
]


@pytest.mark.parametrize(("layer", "formula"), FORMULAS, ids=[repr(a) for a, _ in FORMULAS])
def test_formulas(layer, formula):
    points = [-7.0, -2.5, -0.4, 0.3, 1.0, 6.5]
    found = layer(tg.tensor(points, dtype=tg.float64)).tolist()
    assert found == pytest.approx([formula(x) for x in points], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    "layer", [nn.ReLU, nn.ReLU6, nn.ELU, nn.CELU, nn.SELU, nn.SiLU, nn.Mish, nn.LeakyReLU, nn.Hardtanh, nn.Hardswish]
)
def test_in_place(layer):
    x = tg.tensor([-1.0, 2.0])
    wanted = layer()(x)
    assert layer(inplace=True)(x) is x
    assert x.tolist() == wanted.tolist()


def test_in_place_gradients_flow():
    x = tg.tensor([-1.0, 2.0], requires_grad=True)
    nn.ReLU(inplace=True)(x * 3).sum().backward()
    assert x.grad.tolist() == [0.0, 3.0]


def test_learned_slope():
    layer = nn.PReLU(2, 0.5)
    x = tg.tensor([[[-2.0], [-4.0]]])
    y = layer(x)
    y.sum().backward()
    assert y.tolist() == [[[-1.0], [-2.0]]]
    assert layer.weight.grad.tolist() == [-2.0, -4.0]


def test_along_a_dimension():
    x = tg.tensor([[1.0, 2.0], [3.0, 5.0]])
    assert nn.Softmax(0)(x).sum(0).tolist() == pytest.approx([1.0, 1.0])
    assert nn.LogSoftmax(1)(x).exp().sum(1).tolist() == pytest.approx([1.0, 1.0])
    assert nn.Softmin(1)(x)[0, 0].item() == pytest.approx(sigmoid(1.0))
    assert nn.GLU(1)(x).tolist() == [[pytest.approx(sigmoid(2.0))], [pytest.approx(3 * sigmoid(5.0))]]
    with pytest.raises(RuntimeError, match="even size"):
        nn.GLU()(tg.zeros(2, 3))
