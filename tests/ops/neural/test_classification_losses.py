"""Cross entropy and negative log-likelihood against loops over the examples."""

import numpy as np
import pytest

import tracegraph as tg
from tracegraph.autograd import gradcheck


def log_softmax(x, axis):
    return x - np.log(np.exp(x).sum(axis, keepdims=True))


def losses(scores, targets, weight, smoothing, ignored):
    """(loss, weight) of each example [N, C]."""
    for row, t in zip(log_softmax(scores, 1), targets, strict=True):
        if t == ignored:
            yield 0.0, 0.0
            continue
        uniform = -(row * weight).sum() / len(row)
        yield (1 - smoothing) * -row[t] * weight[t] + smoothing * uniform, weight[t]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("ignored", [-100, 1])
@pytest.mark.parametrize("weighted", [False, True])
def test_class_numbers(rng, smoothing, ignored, weighted):
    scores, targets = rng.standard_normal((6, 4)), np.array([0, 1, 2, 3, 1, 0])
    weight = rng.uniform(0.5, 2, 4) if weighted else np.ones(4)
    pairs = np.array(list(losses(scores, targets, weight, smoothing, ignored)))
    options = {"ignore_index": ignored, "label_smoothing": smoothing, "weight": tg.tensor(weight) if weighted else None}
    wanted = {"none": pairs[:, 0], "sum": pairs[:, 0].sum(), "mean": pairs[:, 0].sum() / pairs[:, 1].sum()}
    for reduction, value in wanted.items():
        found = tg.cross_entropy(tg.tensor(scores), tg.tensor(targets), reduction=reduction, **options)
        np.testing.assert_allclose(found.numpy(), value)


def test_class_probabilities(rng):
    scores, weight = rng.standard_normal((3, 4, 2)), rng.uniform(0.5, 2, 4)
    target = rng.dirichlet(np.ones(4), (3, 2)).transpose(0, 2, 1)
    wanted = -(log_softmax(scores, 1) * (0.9 * target + 0.1 / 4) * weight[:, None]).sum(1)
    arguments = [tg.tensor(a) for a in (scores, target, weight)]
    found = tg.cross_entropy(*arguments, reduction="none", label_smoothing=0.1)
    np.testing.assert_allclose(found.numpy(), wanted)
    np.testing.assert_allclose(tg.cross_entropy(*arguments, label_smoothing=0.1).item(), wanted.mean())


def test_further_dimensions_and_none(rng):
    scores, targets = rng.standard_normal((2, 4, 3)), rng.integers(0, 4, (2, 3))
    found = tg.cross_entropy(tg.tensor(scores), tg.tensor(targets), reduction="none")
    rows = log_softmax(scores, 1)
    wanted = [[-rows[n, targets[n, i], i] for i in range(3)] for n in range(2)]
    np.testing.assert_allclose(found.numpy(), wanted)
    single = tg.cross_entropy(tg.tensor(scores[0, :, 0]), tg.tensor(targets[0, 0]))
    np.testing.assert_allclose(single.item(), wanted[0][0])


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_gradients(rng, reduction):
    x = tg.tensor(rng.standard_normal((3, 4, 2)), requires_grad=True)
    t, w = tg.tensor(rng.integers(0, 4, (3, 2))), tg.tensor(rng.uniform(0.5, 2, 4))
    assert gradcheck(lambda x: tg.nll_loss(x, t, w, ignore_index=2, reduction=reduction), [x])
    assert gradcheck(lambda x: tg.cross_entropy(x, t, w, reduction=reduction, label_smoothing=0.1), [x])


def test_an_ignored_infinite_score_does_not_matter():
    x = tg.tensor([[0.0, -1.0], [-np.inf, -1.0]])
    assert tg.nll_loss(x, tg.tensor([1, 0]), ignore_index=0).item() == 1.0


def test_everything_ignored_has_no_mean():
    assert np.isnan(tg.cross_entropy(tg.zeros(2, 3), tg.tensor([-100, -100])).item())


@pytest.mark.parametrize(
    ("scores", "target", "message"),
    [
        (tg.zeros(2, 3), tg.tensor([0, 3]), r"outside \[0, 3\)"),
        (tg.zeros(2, 3), tg.tensor([0, -1]), r"outside \[0, 3\)"),
        (tg.zeros(2, 3), tg.tensor([0, 1, 2]), r"target i64\[3\] must have shape \[2\]"),
        (tg.zeros(2, 3), tg.zeros(2), r"class probabilities; f32\[2\] must have the shape of input f32\[2, 3\]"),
        (tg.zeros(2, 3, dtype=tg.int64), tg.tensor([0, 1]), "floating scores"),
        (tg.zeros(2, 3), tg.tensor([True, False]), "integer dtype"),
    ],
)
def test_targets_are_checked(scores, target, message):
    with pytest.raises(tg.TracegraphError, match=message):
        tg.cross_entropy(scores, target)


def test_smoothing_is_a_fraction():
    with pytest.raises(ValueError, match="label_smoothing=2"):
        tg.cross_entropy(tg.zeros(2, 3), tg.tensor([0, 1]), label_smoothing=2)
