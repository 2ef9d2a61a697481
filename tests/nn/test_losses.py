"""Loss modules hand their options on to the functions."""

import pytest

import tracegraph as tg
from tracegraph import nn
from tracegraph.errors import ValueRangeError
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


def test_further_losses_by_hand() -> None:
    x, y = tg.tensor([[3.0, 4.0], [1.0, 0.0]]), tg.tensor([[3.0, 4.0], [0.0, 1.0]])
    assert nn.CosineEmbeddingLoss()(x, y, tg.tensor([1, -1])).item() == pytest.approx(0.0, abs=1e-6)
    assert nn.HingeEmbeddingLoss()(tg.tensor([2.0, 0.25]), tg.tensor([1, -1])).item() == pytest.approx(1.375)
    assert nn.SoftMarginLoss()(tg.zeros(2), tg.ones(2)).item() == pytest.approx(0.6931472)
    assert nn.MultiLabelSoftMarginLoss()(tg.zeros(2, 3), tg.ones(2, 3)).item() == pytest.approx(0.6931472)
    assert nn.MultiMarginLoss()(tg.tensor([[1.0, 0.5, 3.0]]), tg.tensor([0])).item() == pytest.approx(3.5 / 3)
    assert nn.MultiMarginLoss(p=2)(tg.tensor([[1.0, 0.5, 3.0]]), tg.tensor([0])).item() == pytest.approx(9.25 / 3)
    assert nn.PoissonNLLLoss()(tg.zeros(1), tg.ones(1)).item() == pytest.approx(1.0)
    stirling = nn.PoissonNLLLoss(full=True)(tg.zeros(1), tg.tensor([2.0])).item()
    assert stirling == pytest.approx(1 + 2 * 0.6931472 - 2 + 0.5 * 2.5310242, abs=1e-5)
    assert nn.PairwiseDistance(eps=0.0)(x, y).tolist() == pytest.approx([0.0, 2**0.5])
    far = tg.tensor([[5.0, 0.0]]), tg.tensor([[1.0, 0.0]]), tg.tensor([[0.0, 0.0]])
    assert nn.TripletMarginLoss(swap=True)(*far).item() == pytest.approx(4.0, abs=1e-4)
    with pytest.raises(ValueError, match="p=3"):
        nn.MultiMarginLoss(p=3)(x, tg.tensor([0, 1]))


def test_the_gradient_of_a_variance_that_is_too_small_is_not_lost():
    loss = nn.GaussianNLLLoss(eps=0.5, reduction="sum")
    for run in (loss, tg.compile(loss, options={"strict": True})):
        variance = tg.tensor([0.1, 2.0], requires_grad=True)
        run(tg.tensor([1.0, 1.0]), tg.tensor([3.0, 3.0]), variance).backward()
        # 1 / (2 v) - 4 / (2 v^2) at v = 0.5 and 2
        assert variance.grad.tolist() == pytest.approx([-7.0, -0.25])


def test_margins_of_several_right_classes() -> None:
    scores = tg.tensor([0.1, 0.2, 0.4, 0.8], requires_grad=True)
    target = tg.tensor([3, 0, -1, 1])  # 3 and 0; what is behind -1 does not count
    wanted = (1 - (0.8 - 0.2)) + (1 - (0.8 - 0.4)) + (1 - (0.1 - 0.2)) + (1 - (0.1 - 0.4))
    loss = nn.MultiLabelMarginLoss()(scores, target)
    assert loss.item() == pytest.approx(wanted / 4)
    loss.backward()
    assert scores.grad.tolist() == [-0.5, 0.5, 0.5, -0.5]


def test_triplets_of_any_distance() -> None:
    near, far = tg.tensor([[1.0, 1.0]]), tg.tensor([[2.0, 5.0]])
    zero = tg.zeros(1, 2)

    def taxi(x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
        return (x - y).abs().sum(-1)

    assert nn.TripletMarginWithDistanceLoss(distance_function=taxi, margin=6.0)(zero, near, far).item() == 1.0
    assert (
        nn.TripletMarginWithDistanceLoss(distance_function=taxi, margin=6.0, swap=True)(zero, near, far).item() == 3.0
    )
    plain = nn.TripletMarginWithDistanceLoss()(zero, far, near)
    assert plain.item() == pytest.approx(nn.TripletMarginLoss()(zero, far, near).item())
    with pytest.raises(ValueRangeError, match="must be positive"):
        nn.TripletMarginWithDistanceLoss(margin=0.0)(zero, near, far)
