"""Divergences: estimates by samples, sums over all values, and which rule is found."""

from __future__ import annotations

from typing import Any

import pytest
from captured import capture_of

import tracegraph as tg
from tracegraph import distributions as D
from tracegraph.errors import ArgumentError, MissingRuleError


def t(*values: Any) -> tg.Tensor:
    return tg.tensor(values, dtype=tg.float64)


FACTOR = t([1.0, 0.0], [0.5, 2.0])
SAMPLED = [
    (D.Normal(t(0.5), 2.0), D.Normal(t(0.0), 1.5)),
    (D.LogNormal(t(0.5), 1.0), D.LogNormal(t(0.0), 1.5)),
    (D.HalfNormal(t(1.0)), D.HalfNormal(t(1.5))),
    (D.Uniform(t(0.0), 1.0), D.Uniform(t(-1.0), 2.0)),
    (D.Exponential(t(2.0)), D.Exponential(t(1.5))),
    (D.Laplace(t(0.5), 1.0), D.Laplace(t(0.0), 2.0)),
    (D.Gumbel(t(0.5), 1.0), D.Gumbel(t(0.0), 1.5)),
    (D.Cauchy(t(0.5), 1.0), D.Cauchy(t(0.0), 1.5)),
    (D.Binomial(7, t(0.3)), D.Binomial(7, t(0.4))),
    (D.Gamma(t(2.0), 1.0), D.Gamma(t(3.0), 1.5)),
    (D.Beta(t(2.0), 1.5), D.Beta(t(1.0), 3.0)),
    (D.Dirichlet(t([2.0, 1.0, 3.0])), D.Dirichlet(t([1.0, 1.0, 1.5]))),
    (D.Geometric(t(0.4)), D.Geometric(t(0.3))),
    (D.Poisson(t(3.0)), D.Poisson(t(2.5))),
    (D.MultivariateNormal(t([0.0, 1.0]), scale_tril=FACTOR), D.MultivariateNormal(t([0.5, 0.0]), FACTOR @ FACTOR.mT)),
    (D.Independent(D.Normal(t([0.5, 1.0]), 2.0), 1), D.Independent(D.Normal(t([0.0, 0.0]), 1.5), 1)),
    (D.Uniform(t(0.0), 1.0), D.Normal(t(0.5), 1.0)),
    (D.Laplace(t(0.5), 1.0), D.Normal(t(0.0), 1.5)),
    (D.Exponential(t(2.0)), D.Gamma(t(1.5), 1.5)),
    (D.Chi2(t(3.0)), D.Chi2(t(2.0))),
]


@pytest.mark.parametrize(("p", "q"), SAMPLED, ids=lambda d: type(d).__name__)
def test_divergence_is_the_mean_difference_of_the_logarithms(p: Any, q: Any) -> None:
    tg.manual_seed(2)
    drawn = p.sample((20_000,))
    difference = p.log_prob(drawn) - q.log_prob(drawn)
    error = 5 * difference.std(0) / 20_000**0.5
    found = D.kl_divergence(p, q)
    assert found.shape == p.batch_shape
    assert ((found - difference.mean(0)).abs() <= error + 1e-9).all(), (found, difference.mean(0))


@pytest.mark.parametrize("make", [D.Bernoulli, D.Categorical, D.OneHotCategorical])
def test_divergence_is_the_sum_over_all_values(make: Any) -> None:
    p, q = make(t([0.2, 0.3, 0.5])), make(t([0.3, 0.6, 0.1]))
    values = p.enumerate_support()
    wanted = (p.log_prob(values).exp() * (p.log_prob(values) - q.log_prob(values))).sum(0)
    compiled = capture_of(lambda: D.kl_divergence(p, q), fullgraph=True)
    for found in (D.kl_divergence(p, q), compiled()):
        assert tg.allclose(found, wanted)


def test_what_cannot_be_is_infinitely_far() -> None:
    assert D.kl_divergence(D.Uniform(0.0, 2.0), D.Uniform(0.0, 1.0)).item() == float("inf")
    assert D.kl_divergence(D.Categorical(t(0.5, 0.5)), D.Categorical(t(1.0, 0.0))).item() == float("inf")
    assert D.kl_divergence(D.Bernoulli(t(0.0)), D.Bernoulli(t(0.5))).item() == pytest.approx(0.6931471805599453)


def test_transformed() -> None:
    def squashed(loc: float) -> D.TransformedDistribution:
        return D.TransformedDistribution(D.Normal(t(loc), 1.0), D.TanhTransform())

    inner = D.kl_divergence(D.Normal(t(0.5), 1.0), D.Normal(t(0.0), 1.0))
    assert D.kl_divergence(squashed(0.5), squashed(0.0)).tolist() == inner.tolist()
    with pytest.raises(MissingRuleError, match="different transforms"):
        D.kl_divergence(squashed(0.5), D.LogNormal(t(0.0), 1.0))


def test_rules_of_the_users_own() -> None:
    class Mine(D.Normal):
        pass

    pair = Mine(t(0.5), 1.0), D.Normal(t(0.0), 1.0)
    assert D.kl_divergence(*pair).item() == pytest.approx(0.125)

    @D.register_kl(Mine, D.Normal)
    def rule(p: Mine, q: D.Normal) -> tg.Tensor:
        return p.loc * 0

    assert D.kl_divergence(*pair).item() == 0 and D.kl_divergence(*pair[::-1]).item() != 0
    with pytest.raises(MissingRuleError, match="Cauchy and Normal"):
        D.kl_divergence(D.Cauchy(0.0, 1.0), pair[1])
    with pytest.raises(ArgumentError, match="subclass of Distribution"):
        D.register_kl(int, D.Normal)
