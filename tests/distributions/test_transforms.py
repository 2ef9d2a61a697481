"""Transforms and the distributions they make: inverses, slopes, densities by change of variables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from captured import capture_of
from scipy import stats

import tracegraph as tg
from tracegraph import distributions as D
from tracegraph.autograd import grad
from tracegraph.errors import MissingRuleError, ValueRangeError


def double(*values: Any) -> tg.Tensor:
    return tg.tensor(values, dtype=tg.float64)


X = double(0.3, 1.2, 2.5)
ELEMENTWISE = [
    D.ExpTransform(),
    D.SigmoidTransform(),
    D.TanhTransform(),
    D.SoftplusTransform(),
    D.PowerTransform(3.0),
    D.PowerTransform(double(3.0, 0.5, 2.0)),
    D.AffineTransform(1.0, -2.0),
    D.AffineTransform(X, double(1.0, 2.0, 3.0)),
    D.ComposeTransform([D.AffineTransform(1.0, 0.5), D.ExpTransform(), D.TanhTransform()]),
    D.ExpTransform().inv,
    D.IndependentTransform(D.ExpTransform(), 1),
    D.ComposeTransform([D.AffineTransform(0.0, 2.0, event_dim=1), D.ExpTransform()]),
]


@pytest.mark.parametrize("transform", ELEMENTWISE, ids=repr)
def test_inverse_and_slope(transform: D.Transform) -> None:
    x = X.clone().requires_grad_()
    y = transform(x)
    np.testing.assert_allclose(transform.inv(y).detach().numpy(), X.numpy(), rtol=1e-9)
    (slope,) = grad(y.sum(), x)
    found = transform.log_abs_det_jacobian(x, y)
    wanted = slope.abs().log()
    wanted = wanted.sum() if transform.domain.event_dim else wanted
    np.testing.assert_allclose(found.detach().numpy(), wanted.numpy(), rtol=1e-9)
    np.testing.assert_allclose(transform.inv.log_abs_det_jacobian(y, x).detach().numpy(), -wanted.numpy(), rtol=1e-9)
    assert (tg.as_tensor(transform.sign).to(tg.float64) * tg.ones(3)).tolist() == slope.sign().tolist()
    assert transform.inv.inv == transform and transform.forward_shape((2, 3)) == (2, 3)


def test_caches() -> None:
    far = tg.tensor([20.0])
    assert not tg.isfinite(D.TanhTransform().inv(D.TanhTransform()(far))).item()
    transform = D.TanhTransform(cache_size=1)
    assert transform.inv(transform(far)) is far
    with pytest.raises(ValueRangeError, match="cache_size"):
        D.ExpTransform(cache_size=2)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_squashed_policy(compiled: bool) -> None:
    def policy(loc: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
        policy = D.TransformedDistribution(D.Independent(D.Normal(loc, 1.0), 1), D.TanhTransform(cache_size=1))
        action = policy.rsample()
        return action, policy.log_prob(action)

    tg.manual_seed(1)
    loc = double([0.1, 3.0], [30.0, -1.0]).requires_grad_()
    action, score = (capture_of(policy, fullgraph=True) if compiled else policy)(loc)
    assert action.shape == (2, 2) and score.shape == (2,) and tg.isfinite(score).all()
    inner = np.arctanh(action[0].detach().numpy())
    wanted = stats.norm(loc[0].detach().numpy(), 1).logpdf(inner) - np.log1p(-(np.tanh(inner) ** 2))
    assert score[0].item() == pytest.approx(wanted.sum())
    score.sum().backward()
    assert tg.isfinite(loc.grad).all()


def test_distribution_function_of_a_falling_transform() -> None:
    found = D.TransformedDistribution(D.Normal(double(0.0), 1.0), [D.AffineTransform(1.0, -2.0)])
    known = stats.norm(1.0, 2.0)
    np.testing.assert_allclose(found.cdf(double(0.4)).numpy(), [known.cdf(0.4)])
    np.testing.assert_allclose(found.icdf(double(0.4)).numpy(), [known.ppf(0.4)])
    by_tensor = D.TransformedDistribution(D.Normal(double(0.0), 1.0), [D.AffineTransform(1.0, double(-2.0))])
    np.testing.assert_allclose(by_tensor.cdf(double(0.4)).numpy(), [known.cdf(0.4)])


def test_shapes() -> None:
    wide = D.TransformedDistribution(D.Normal(tg.zeros(1), 1.0), D.AffineTransform(tg.zeros(3), tg.ones(3)))
    assert wide.batch_shape == (3,) and wide.sample().shape == (3,)
    vector = D.TransformedDistribution(D.Normal(tg.zeros(2, 3), 1.0), D.SoftmaxTransform())
    assert vector.batch_shape == (2,) and vector.event_shape == (3,) and vector.support.event_dim == 1
    assert vector.expand((5, 2)).sample((4,)).shape == (4, 5, 2, 3)
    plain = D.TransformedDistribution(D.Normal(tg.zeros(2), 1.0), [])
    assert plain.log_prob(tg.zeros(2)).shape == (2,) and plain.event_shape == ()


def test_errors() -> None:
    with pytest.raises(ValueRangeError, match="must be a Transform"):
        D.TransformedDistribution(D.Normal(0.0, 1.0), [tg.exp])
    with pytest.raises(MissingRuleError, match="no log_abs_det_jacobian"):
        D.AbsTransform().log_abs_det_jacobian(X, X)
    with pytest.raises(ValueRangeError, match="support"):
        D.LogNormal(0.0, 1.0).log_prob(tg.tensor(-1.0))
    assert D.ExpTransform() == D.ExpTransform() and D.AffineTransform(0.0, X) != D.AffineTransform(0.0, X + 1)


def test_a_function_that_falls_and_rises_has_no_quantiles() -> None:
    absolute = D.TransformedDistribution(D.Normal(X, 1.0), D.AbsTransform())
    for ask in (absolute.cdf, absolute.icdf):
        with pytest.raises(MissingRuleError, match="AbsTransform has no sign"):
            ask(tg.full_like(X, 0.5))


def test_no_transforms_are_the_identity() -> None:
    assert D.identity_transform.log_abs_det_jacobian(X, X).tolist() == [0.0] * len(X)
    assert D.PowerTransform(X).forward_shape(()) == tuple(X.shape)


def test_a_cache_of_another_size() -> None:
    plain = D.TanhTransform()
    cached = plain.with_cache()
    far = tg.tensor([50.0])
    assert cached == plain and cached.with_cache() is cached
    assert cached.inv(cached(far)) is far and plain.inv(plain(far)).isinf().all()


def test_dimensions_of_a_value() -> None:
    assert (D.ExpTransform().event_dim, D.AffineTransform(0.0, X, event_dim=1).event_dim) == (0, 1)
    rows = D.IndependentTransform(D.ExpTransform(), 2)
    with pytest.raises(ValueRangeError, match="1 dimensions is too small, one has 2"):
        rows(X)
    with pytest.raises(ValueRangeError, match="at least 2 dimensions, got 1"):
        rows.domain.check(X)


def test_a_base_distribution_checks_the_arguments_of_its_distribution_function() -> None:
    of_logarithms = D.LogNormal(tg.zeros(2), 1.0)
    assert of_logarithms.cdf(tg.tensor([0.0, 1.0])).tolist() == [0.0, 0.5]
    with pytest.raises(ValueRangeError, match="support"):
        of_logarithms.cdf(tg.tensor([-1.0, 1.0]))
