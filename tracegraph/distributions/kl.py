"""Kullback-Leibler divergences between distributions, by the types of both.

`register_kl(P, Q)` says how for a pair; the nearest base classes that a pair is registered for decide, those of the
first distribution before those of the second.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

from tracegraph.distributions.bernoulli import Bernoulli, Geometric
from tracegraph.distributions.binomial import Binomial
from tracegraph.distributions.categorical import Categorical, OneHotCategorical
from tracegraph.distributions.cauchy import Cauchy
from tracegraph.distributions.dirichlet import Beta, Dirichlet
from tracegraph.distributions.distribution import Distribution
from tracegraph.distributions.exponential import Exponential
from tracegraph.distributions.gamma import Gamma
from tracegraph.distributions.gumbel import Gumbel
from tracegraph.distributions.half_normal import HalfNormal
from tracegraph.distributions.independent import Independent
from tracegraph.distributions.laplace import Laplace
from tracegraph.distributions.log_normal import LogNormal
from tracegraph.distributions.multivariate_normal import MultivariateNormal, mahalanobis
from tracegraph.distributions.normal import Normal
from tracegraph.distributions.parameters import sum_rightmost
from tracegraph.distributions.poisson import Poisson
from tracegraph.distributions.transformed_distribution import TransformedDistribution
from tracegraph.distributions.uniform import Uniform
from tracegraph.errors import ArgumentError, MissingRuleError
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle

Rule = TypeVar("Rule", bound=Callable[..., Any])

_RULES: dict[tuple[type, type], Callable[[Any, Any], Handle]] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Rule], Rule]:
    """Register the decorated function of (p, q) as the divergence for distributions of these types.

    Raises:
        ArgumentError: one is no class of distributions.
    """
    for given in (type_p, type_q):
        if not (isinstance(given, type) and issubclass(given, Distribution)):
            raise ArgumentError(f"register_kl: expected a subclass of Distribution, got {given!r}")

    def decorate(rule: Rule) -> Rule:
        _RULES[type_p, type_q] = rule
        return rule

    return decorate


def kl_divergence(p: Distribution, q: Distribution) -> Handle:
    """The divergence KL(p || q), the mean of log(p / q) under p; of shape batch_shape.

    Raises:
        MissingRuleError: no divergence is registered for these types.
    """
    for type_p in type(p).__mro__:
        for type_q in type(q).__mro__:
            rule = _RULES.get((type_p, type_q))
            if rule is not None:
                return rule(p, q)
    raise MissingRuleError(f"no KL divergence is registered for {type(p).__name__} and {type(q).__name__}")


# ------------------------------------------------------------------------------------------------ equal types


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Bernoulli, q: Bernoulli) -> Handle:
    probs = p.probs
    one = probs * (F.softplus(-q.logits) - F.softplus(-p.logits))
    zero = (1 - probs) * (F.softplus(q.logits) - F.softplus(p.logits))
    one = one.masked_fill(q.probs == 0, math.inf).masked_fill(probs == 0, 0)
    return one + zero.masked_fill(q.probs == 1, math.inf).masked_fill(probs == 1, 0)


@register_kl(Geometric, Geometric)
def _geometric(p: Geometric, q: Geometric) -> Handle:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(Binomial, Binomial)
def _binomial(p: Binomial, q: Binomial) -> Handle:
    if (p.total_count < q.total_count).any():
        raise MissingRuleError("no KL divergence of binomial distributions where the second has the larger count")
    one = p.probs * (p.logits - q.logits)
    found = p.total_count * (one + (-p.probs).log1p() - (-q.probs).log1p())
    return found.masked_fill(p.total_count > q.total_count, math.inf)


@register_kl(Categorical, Categorical)
@register_kl(OneHotCategorical, OneHotCategorical)
def _categorical(p: Any, q: Any) -> Handle:
    terms = p.probs * (p.logits - q.logits)
    return terms.masked_fill(q.probs == 0, math.inf).masked_fill(p.probs == 0, 0).sum(-1)


@register_kl(Normal, Normal)
def _normal(p: Normal, q: Normal) -> Handle:
    ratio = (p.scale / q.scale).pow(2)
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).pow(2) - 1 - ratio.log())


@register_kl(LogNormal, LogNormal)
def _log_normal(p: LogNormal, q: LogNormal) -> Handle:
    return _normal(p.base_dist, q.base_dist)


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p: HalfNormal, q: HalfNormal) -> Handle:
    return _normal(Normal(0.0, p.scale, validate_args=False), Normal(0.0, q.scale, validate_args=False))


@register_kl(MultivariateNormal, MultivariateNormal)
def _multivariate_normal(p: MultivariateNormal, q: MultivariateNormal) -> Handle:
    factor_p, factor_q = p.scale_tril, q.scale_tril
    log_dets = (F.diagonal(factor_q, 0, -2, -1).log() - F.diagonal(factor_p, 0, -2, -1).log()).sum(-1)
    trace = F.linalg_solve_triangular(factor_q, factor_p, upper=False).pow(2).sum((-2, -1))
    return log_dets + 0.5 * (trace + mahalanobis(factor_q, q.loc - p.loc) - p.event_shape[0])


@register_kl(Uniform, Uniform)
def _uniform(p: Uniform, q: Uniform) -> Handle:
    outside = (q.low > p.low) | (q.high < p.high)
    return ((q.high - q.low) / (p.high - p.low)).log().masked_fill(outside, math.inf)


@register_kl(Exponential, Exponential)
def _exponential(p: Exponential, q: Exponential) -> Handle:
    ratio = q.rate / p.rate
    return ratio - ratio.log() - 1


@register_kl(Laplace, Laplace)
def _laplace(p: Laplace, q: Laplace) -> Handle:
    distance = (p.loc - q.loc).abs()
    return (q.scale / p.scale).log() + (distance + p.scale * (-distance / p.scale).exp()) / q.scale - 1


@register_kl(Cauchy, Cauchy)
def _cauchy(p: Cauchy, q: Cauchy) -> Handle:
    # Chyzak, Nielsen (2019), "A closed-form formula for the Kullback-Leibler divergence between Cauchy distributions"
    return ((p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)).log() - (4 * p.scale * q.scale).log()


@register_kl(Gumbel, Gumbel)
def _gumbel(p: Gumbel, q: Gumbel) -> Handle:
    euler = 0.57721566490153286060
    ratio, shift = p.scale / q.scale, (q.loc - p.loc) / q.scale
    return (q.scale / p.scale).log() + euler * (ratio - 1) + (shift + (1 + ratio).lgamma()).exp() - 1 - shift


@register_kl(Poisson, Poisson)
def _poisson(p: Poisson, q: Poisson) -> Handle:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Gamma, Gamma)
def _gamma(p: Gamma, q: Gamma) -> Handle:
    a, b = p.concentration, q.concentration
    shape = (a - b) * a.digamma() + b.lgamma() - a.lgamma()
    return shape + b * (p.rate / q.rate).log() + (q.rate - p.rate) * (a / p.rate)


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Dirichlet, q: Dirichlet) -> Handle:
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    normalisers = total.lgamma() - b.sum(-1).lgamma() + (b.lgamma() - a.lgamma()).sum(-1)
    return normalisers + ((a - b) * (a.digamma() - total.digamma().unsqueeze(-1))).sum(-1)


@register_kl(Beta, Beta)
def _beta(p: Beta, q: Beta) -> Handle:
    return _dirichlet(p._pair, q._pair)


# ------------------------------------------------------------------------------------------------ made of others


@register_kl(Independent, Independent)
def _independent(p: Independent, q: Independent) -> Handle:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise MissingRuleError("no KL divergence of Independent distributions with different numbers of dimensions")
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: TransformedDistribution, q: TransformedDistribution) -> Handle:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise MissingRuleError("no KL divergence of distributions with different transforms")
    extra = len(p.event_shape) - len(p.base_dist.event_shape)
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), extra)


# ------------------------------------------------------------------------------------------------ different types


@register_kl(Uniform, Normal)
def _uniform_normal(p: Uniform, q: Normal) -> Handle:
    width = p.high - p.low
    centred = ((p.high + p.low - 2 * q.loc) / 2).pow(2)
    return (math.sqrt(math.pi * 2) * q.scale / width).log() + (width.pow(2) / 12 + centred) / (2 * q.scale.pow(2))


@register_kl(Laplace, Normal)
def _laplace_normal(p: Laplace, q: Normal) -> Handle:
    variance = q.scale.pow(2)
    ratio = p.scale.pow(2) / variance
    return -0.5 * (2 * ratio / math.pi).log() + ratio + ((p.loc - q.loc).pow(2) / 2) / variance - 1


@register_kl(Exponential, Gamma)
def _exponential_gamma(p: Exponential, q: Gamma) -> Handle:
    euler = 0.57721566490153286060
    ratio = q.rate / p.rate
    return -q.concentration * ratio.log() + ratio + q.concentration.lgamma() + q.concentration * euler - (1 + euler)
