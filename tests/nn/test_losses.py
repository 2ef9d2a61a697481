"""Loss modules hand their options on to the functions."""

import pytest

import tracegraph as tg
from tracegraph import nn
from tracegraph.nn import functional as F

X, T, P = tg.tensor([[0.2, 0.7], [0.4, 0.1]]), tg.tensor([1, 0]), tg.tensor([[0.9, 0.1], [0.5, 0.5]])
W = tg.tensor([1.0, 3.0])


@pytest.mark.parametrize(
    ("module", "wanted"),
    [
        (nn.MSELoss("sum"), lambda: F.mse_loss(X, P, reduction="sum")),
        (nn.L1Loss(), lambda: F.l1_loss(X, P)),
        (nn.SmoothL1Loss(beta=0.3), lambda: F.smooth_l1_loss(X, P, beta=0.3)),
        (nn.HuberLoss(delta=0.3), lambda: F.huber_loss(X, P, delta=0.3)),
        (nn.KLDivLoss("batchmean"), lambda: F.kl_div(X, P, reduction="batchmean")),
        (nn.BCELoss(W), lambda: F.binary_cross_entropy(X, P, W)),
        (nn.BCEWithLogitsLoss(pos_weight=W), lambda: F.binary_cross_entropy_with_logits(X, P, pos_weight=W)),
    ],
)
def test_against_values(module, wanted):
    assert module(X, P).item() == wanted().item()


@pytest.mark.parametrize(
    ("module", "wanted"),
    [
        (nn.CrossEntropyLoss(W, label_smoothing=0.1), lambda: F.cross_entropy(X, T, W, label_smoothing=0.1)),
        (nn.CrossEntropyLoss(ignore_index=1), lambda: F.cross_entropy(X[1:], T[1:])),
        (nn.NLLLoss(W, reduction="sum"), lambda: F.nll_loss(X, T, W, reduction="sum")),
    ],
)
def test_against_classes(module, wanted):
    assert module(X, T).item() == pytest.approx(wanted().item())


def test_weights_are_state():
    assert list(nn.CrossEntropyLoss(W).state_dict()) == ["weight"]
    assert list(nn.BCEWithLogitsLoss(pos_weight=W).state_dict()) == ["pos_weight"]


def test_losses_of_several_inputs():
    assert nn.MarginRankingLoss(0.5)(tg.tensor([1.0]), tg.tensor([0.8]), tg.tensor([1.0])).item() == pytest.approx(0.3)
    a, b, c = tg.tensor([[0.0, 0.0]]), tg.tensor([[3.0, 4.0]]), tg.tensor([[0.0, 1.0]])
    assert nn.TripletMarginLoss(eps=0.0)(a, b, c).item() == pytest.approx(5.0)
    assert nn.GaussianNLLLoss()(a, b, tg.ones(1, 2)).item() == pytest.approx(6.25)
    assert nn.CosineSimilarity()(b, c).item() == pytest.approx(0.8)
