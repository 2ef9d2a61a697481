"""Distributions against scipy's: densities, moments, entropies, quantiles, samples; eager and compiled."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from captured import capture_of
from scipy import stats

import tracegraph as tg
from tracegraph import distributions as D
from tracegraph.errors import ArgumentError, DTypeError, MissingRuleError, ShapeError, TracegraphError, ValueRangeError


def double(*values: Any) -> tg.Tensor:
    return tg.tensor(values, dtype=tg.float64)


A, B, P = double(0.7, 2.0, 3.5), double(1.5, 0.4, 2.0), double(0.2, 0.5, 0.9)
a, b, p = A.numpy(), B.numpy(), P.numpy()
COVARIANCE = [[2.0, 0.5], [0.5, 1.0]]

CONTINUOUS = {
    "normal": (lambda: D.Normal(A, B), stats.norm(a, b)),
    "half_normal": (lambda: D.HalfNormal(B), stats.halfnorm(scale=b)),
    "log_normal": (lambda: D.LogNormal(A, B), stats.lognorm(b, scale=np.exp(a))),
    "uniform": (lambda: D.Uniform(A, A + B), stats.uniform(a, b)),
    "exponential": (lambda: D.Exponential(B), stats.expon(scale=1 / b)),
    "laplace": (lambda: D.Laplace(A, B), stats.laplace(a, b)),
    "gumbel": (lambda: D.Gumbel(A, B), stats.gumbel_r(a, b)),
    "cauchy": (lambda: D.Cauchy(A, B), stats.cauchy(a, b)),
    "gamma": (lambda: D.Gamma(A, B), stats.gamma(a, scale=1 / b)),
    "chi2": (lambda: D.Chi2(A), stats.chi2(a)),
    "student_t": (lambda: D.StudentT(A + 2, A, B), stats.t(a + 2, a, b)),
    "beta": (lambda: D.Beta(A, B), stats.beta(a, b)),
}
DISCRETE = {
    "bernoulli": (lambda: D.Bernoulli(P), stats.bernoulli(p)),
    "bernoulli_of_logits": (lambda: D.Bernoulli(logits=P), stats.bernoulli(1 / (1 + np.exp(-p)))),
    "geometric": (lambda: D.Geometric(P), stats.geom(p, loc=-1)),
    "poisson": (lambda: D.Poisson(A), stats.poisson(a)),
    "binomial": (lambda: D.Binomial(7, P), stats.binom(7, p)),
}
compiled = pytest.mark.parametrize("compiled", [False, True], ids=["eager", "captured"])


def call(function: Callable[[], Any], is_compiled: bool) -> np.ndarray:
    return (capture_of(function, fullgraph=True) if is_compiled else function)().numpy()


def assert_close(found: Any, wanted: Any) -> None:
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, np.asarray(wanted), rtol=1e-7, atol=1e-9)


@compiled
@pytest.mark.parametrize(("make", "known"), CONTINUOUS.values(), ids=CONTINUOUS)
def test_continuous(make: Callable[[], Any], known: Any, compiled: bool) -> None:
    value = tg.tensor(known.ppf(0.3))
    assert_close(call(lambda: make().log_prob(value), compiled), known.logpdf(value.numpy()))
    assert_close(call(lambda: make().entropy(), compiled), known.entropy())
    for rule, wanted in (("cdf", 0.3), ("icdf", value.numpy())):
        try:
            found = getattr(make(), rule)(value if rule == "cdf" else double(0.3))
        except MissingRuleError:
            continue
        assert_close(found.numpy(), np.broadcast_to(wanted, found.shape))


@compiled
@pytest.mark.parametrize(("make", "known"), DISCRETE.values(), ids=DISCRETE)
def test_discrete(make: Callable[[], Any], known: Any, compiled: bool) -> None:
    value = double(1.0)
    assert_close(call(lambda: make().log_prob(value), compiled), known.logpmf(1))


@pytest.mark.parametrize(("make", "known"), (CONTINUOUS | DISCRETE).values(), ids=CONTINUOUS | DISCRETE)
def test_moments_and_samples(make: Callable[[], Any], known: Any) -> None:
    """Half of the samples lie below the median, a tenth above the last decile (to five standard errors)."""
    found = make()
    if np.isfinite(known.var()).all():
        assert_close(found.mean.numpy(), known.mean())
        assert_close(found.variance.numpy(), known.var())
        assert_close(found.stddev.numpy(), known.std())
    tg.manual_seed(7)
    count = 20_000
    samples = found.sample((count,))
    assert samples.shape == (count, 3) and not samples.requires_grad
    for quantile in (0.5, 0.9):
        limit = known.ppf(quantile)
        shares = (samples.numpy() <= limit).mean(0)
        np.testing.assert_allclose(shares, known.cdf(limit), atol=5 * math.sqrt(0.25 / count))


@pytest.mark.parametrize("make", [m for m, _ in (CONTINUOUS | DISCRETE).values()], ids=CONTINUOUS | DISCRETE)
def test_samples_are_those_of_eager_code(make: Callable[[], Any]) -> None:
    def draw() -> tuple[tg.Tensor, tg.Tensor]:
        drawn = make().sample((2,))
        return drawn, make().log_prob(drawn)

    eager = tg.manual_seed(3) and draw()
    found = tg.manual_seed(3) and capture_of(draw, fullgraph=True)()
    for f, w in zip(found, eager, strict=True):
        np.testing.assert_allclose(f.numpy(), w.numpy(), rtol=1e-12)


def test_expand_repr_and_shapes() -> None:
    normal = D.Normal(tg.zeros(3), 2.0)
    assert normal.batch_shape == (3,) and normal.event_shape == () and normal.scale.tolist() == [2.0] * 3
    assert normal.expand((4, 3)).sample((5,)).shape == (5, 4, 3)
    assert (
        repr(normal) == "Normal(loc: (3,), scale: (3,))" and repr(D.Normal(0.0, 1.0)) == "Normal(loc: 0.0, scale: 1.0)"
    )
    assert repr(D.Bernoulli(logits=0.5).expand((2,))) == "Bernoulli(logits: (2,))"
    assert D.Poisson(2.0).expand((2,)).mean.tolist() == [2.0, 2.0]
    assert normal.perplexity().shape == (3,)
    for distribution in (D.LogNormal(A, B), D.Beta(A, B), D.Chi2(A), D.Gamma(A, 1.0), D.Binomial(4, P)):
        wide = distribution.expand((2, 3))
        assert_close(wide.mean.numpy(), np.broadcast_to(distribution.mean.numpy(), (2, 3)))


def test_categorical() -> None:
    weights = [[1.0, 3.0, 0.0], [2.0, 2.0, 4.0]]
    probs = double(*weights)
    categorical = D.Categorical(probs)
    assert_close(categorical.probs.numpy(), [[0.25, 0.75, 0.0], [0.25, 0.25, 0.5]])
    assert_close(categorical.log_prob(double(1, 2)).numpy(), np.log([0.75, 0.5]))
    # two categories of one probability each
    assert_close(categorical.entropy()[1].numpy(), 0.5 * math.log(2) + 0.5 * math.log(4))
    assert categorical.mode.tolist() == [1, 2] and categorical.enumerate_support().shape == (3, 2)
    assert categorical.enumerate_support(expand=False).tolist() == [[0], [1], [2]]
    logits = D.Categorical(logits=probs.log()).expand((4, 2))
    assert_close(logits.probs[0].numpy(), categorical.probs.numpy())
    tg.manual_seed(0)
    drawn = categorical.sample((4000,))
    shares = np.stack([np.bincount(column, minlength=3) for column in drawn.numpy().T]) / 4000
    np.testing.assert_allclose(shares, categorical.probs.numpy(), atol=0.05)
    assert shares[0, 2] == 0 and categorical.sample((0, 5)).shape == (0, 5, 2)
    one_hot = D.OneHotCategorical(probs)
    assert one_hot.sample((5,)).sum(-1).tolist() == [[1.0, 1.0]] * 5
    assert_close(one_hot.log_prob(tg.eye(3, dtype=tg.float64)[1]).numpy(), np.log([0.75, 0.25]))
    assert one_hot.event_shape == (3,) and one_hot.enumerate_support().shape == (3, 2, 3)


def test_gradients_of_one_hot_samples_are_those_of_the_probabilities() -> None:
    logits = double(0.1, 0.2, 0.3).requires_grad_()
    weights = double(1.0, 2.0, 4.0)
    (D.OneHotCategoricalStraightThrough(logits=logits).rsample() * weights).sum().backward()
    wanted = double(0.1, 0.2, 0.3).requires_grad_()
    (wanted.softmax(-1) * weights).sum().backward()
    assert_close(logits.grad.numpy(), wanted.grad.numpy())


@pytest.mark.parametrize("given", ["covariance_matrix", "precision_matrix", "scale_tril"])
def test_multivariate_normal(given: str) -> None:
    loc, covariance = double(0.5, -1.0), double(*COVARIANCE)
    matrix = {
        "covariance_matrix": covariance,
        "precision_matrix": tg.linalg.inv(covariance),
        "scale_tril": tg.linalg.cholesky(covariance),
    }[given]
    found = D.MultivariateNormal(loc, **{given: matrix})
    known = stats.multivariate_normal(loc.numpy(), COVARIANCE)
    value = double([0.3, 0.2], [1.0, -2.0])
    assert_close(found.log_prob(value).numpy(), known.logpdf(value.numpy()))
    assert_close(found.entropy().numpy(), known.entropy())
    for name in ("covariance_matrix", "precision_matrix", "scale_tril"):
        wanted = {"covariance_matrix": np.asarray(COVARIANCE), "precision_matrix": np.linalg.inv(COVARIANCE),
                  "scale_tril": np.linalg.cholesky(COVARIANCE)}[name]  # fmt: skip
        assert_close(getattr(found, name).numpy(), wanted)
    tg.manual_seed(1)
    np.testing.assert_allclose(np.cov(found.sample((20_000,)).numpy().T), COVARIANCE, atol=0.1)
    assert found.expand((3,)).rsample().shape == (3, 2)


def test_dirichlet() -> None:
    found, known = D.Dirichlet(A), stats.dirichlet(a)
    value = double(0.2, 0.3, 0.5)
    assert_close(found.log_prob(value).numpy(), known.logpdf(value.numpy()))
    assert_close(found.entropy().numpy(), known.entropy())
    assert_close(found.mean.numpy(), known.mean())
    assert_close(found.variance.numpy(), known.var())
    tg.manual_seed(0)
    drawn = found.sample((20_000,))
    np.testing.assert_allclose(drawn.sum(-1).numpy(), 1.0)
    np.testing.assert_allclose(drawn.mean(0).numpy(), known.mean(), atol=0.01)


@compiled
@pytest.mark.parametrize(
    ("make", "mean_slope"),
    [
        (lambda t: D.Normal(t, 1.0), 1.0),
        (lambda t: D.Normal(0.0, t), 0.0),
        (D.Exponential, -0.25),
        (lambda t: D.Gamma(t, 2.0), 0.5),
        (lambda t: D.Beta(t, 3.0), 3 / 25),
        (lambda t: D.StudentT(5.0, t, 1.0), 1.0),
        (lambda t: D.Laplace(t, 1.0), 1.0),
    ],
)
def test_gradients_of_samples_estimate_those_of_the_mean(
    make: Callable[[Any], Any], mean_slope: float, compiled: bool
) -> None:
    def mean(t: tg.Tensor) -> tg.Tensor:
        return make(t).rsample((8000,)).mean()

    tg.manual_seed(5)
    t = tg.tensor(2.0, dtype=tg.float64, requires_grad=True)
    (capture_of(mean, fullgraph=True) if compiled else mean)(t).backward()
    assert t.grad.item() == pytest.approx(mean_slope, abs=0.05)


def test_mixture() -> None:
    weights, loc = double(0.3, 0.7), double([-1.0, 2.0], [0.0, 1.0])
    mixture = D.MixtureSameFamily(D.Categorical(weights), D.Normal(loc, 1.0))
    value = double(0.5, 0.1)
    densities = stats.norm(loc.numpy(), 1.0).pdf(value.numpy()[:, None])
    assert_close(mixture.log_prob(value).numpy(), np.log(densities @ weights.numpy()))
    assert_close(mixture.mean.numpy(), loc.numpy() @ weights.numpy())
    tg.manual_seed(0)
    drawn = mixture.sample((20_000,)).numpy()
    np.testing.assert_allclose(drawn.mean(0), mixture.mean.numpy(), atol=0.05)
    np.testing.assert_allclose(drawn.var(0), mixture.variance.numpy(), atol=0.1)
    vectors = D.MixtureSameFamily(D.Categorical(weights), D.Independent(D.Normal(tg.zeros(2, 4), 1.0), 1))
    assert vectors.sample((3,)).shape == (3, 4) and vectors.log_prob(tg.zeros(3, 4)).shape == (3,)
    with pytest.raises(ShapeError, match="does not fit components"):
        D.MixtureSameFamily(D.Categorical(weights), D.Normal(tg.zeros(3), 1.0))


def test_relaxed_samples_are_nearly_discrete() -> None:
    tg.manual_seed(0)
    bits = D.RelaxedBernoulli(0.01, probs=P).rsample((2000,))
    np.testing.assert_allclose((bits > 0.5).to(tg.float64).mean(0).numpy(), p, atol=0.05)
    choices = D.RelaxedOneHotCategorical(tg.tensor(0.5), probs=P).expand((2,)).rsample((4,))
    assert choices.shape == (4, 2, 3)
    np.testing.assert_allclose(choices.sum(-1).numpy(), 1.0, rtol=1e-6)
    # the density of the sigmoid of a logistic variable, at the temperature 1
    found = D.RelaxedBernoulli(1.0, logits=double(0.4)).log_prob(double(0.3))
    x = math.log(0.3 / 0.7)
    assert_close(found.numpy(), [stats.logistic(0.4).logpdf(x) - math.log(0.3 * 0.7)])
    # of two categories, it is that of the first
    pair = D.RelaxedOneHotCategorical(1.0, logits=double(0.4, 0.0)).log_prob(double(0.3, 0.7))
    assert_close(pair.numpy(), found.numpy()[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: D.Normal(0.0, -1.0), r"parameter scale \(Tensor of shape \(\)\) .* constraint GreaterThan\(lower"),
        (lambda: D.Normal(math.nan, 1.0), r"parameter loc .* constraint Real\(\)"),
        (lambda: D.Bernoulli(tg.tensor([0.5, 1.5])), "parameter probs"),
        (lambda: D.Categorical(tg.tensor([-1.0, 2.0])), r"constraint Simplex\(\)"),
        (lambda: D.Uniform(1.0, 0.0), "less than its high"),
        (lambda: D.Geometric(0.0), "must be positive"),
        (lambda: D.MultivariateNormal(tg.zeros(2), tg.tensor([[1.0, 2.0], [2.0, 1.0]])), "PositiveDefinite"),
        (lambda: D.MultivariateNormal(tg.zeros(2), scale_tril=tg.ones(2, 2)), "LowerCholesky"),
        (lambda: D.Normal(0.0, 1.0).log_prob(tg.tensor(math.nan)), r"support \(Real\(\)\)"),
        (lambda: D.Poisson(1.0).log_prob(tg.tensor(0.5)), "IntegerGreaterThan"),
        (lambda: D.Categorical(tg.ones(2)).log_prob(tg.tensor(2)), "upper_bound=1"),
        (lambda: D.Dirichlet(tg.ones(2)).log_prob(tg.tensor([0.5, 0.6])), "Simplex"),
        (lambda: D.OneHotCategorical(tg.ones(2)).log_prob(tg.ones(2)), "OneHot"),
        (lambda: D.Normal(0.0, 1.0).log_prob(1.0), "must be a Tensor"),
        (lambda: D.Normal("zero", 1.0), "numbers or tensors, got 'zero'"),
        (D.Bernoulli, "either probs or logits"),
        (lambda: D.Bernoulli(0.5, 0.5), "either probs or logits"),
    ],
)
def test_arguments_are_checked(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueRangeError, match=f"(?s){message}"):
        make()


def test_shapes_are_checked() -> None:
    with pytest.raises(ShapeError):
        D.Normal(tg.zeros(2), 1.0).log_prob(tg.zeros(3))
    with pytest.raises(ShapeError, match="right-most size"):
        D.Dirichlet(tg.ones(2)).log_prob(tg.ones(3))
    with pytest.raises(ShapeError, match="at least one dimension"):
        D.Categorical(tg.tensor(1.0))
    with pytest.raises(ShapeError, match="got 2"):
        D.Independent(D.Normal(tg.zeros(3), 1.0), 2)
    with pytest.raises(MissingRuleError, match="Cauchy has no"):
        D.Cauchy(0.0, 1.0).enumerate_support()


def test_a_check_in_compiled_code_raises_what_eager_code_raises() -> None:
    def score(scale: tg.Tensor) -> tg.Tensor:
        return D.Normal(0.0, scale).log_prob(tg.zeros(2))

    function = capture_of(score, fullgraph=True)
    function(tg.ones(2))
    with pytest.raises(ValueRangeError, match="parameter scale"):
        function(-tg.ones(2))


def test_checks_can_be_left_out() -> None:
    assert D.Normal(0.0, -1.0, validate_args=False).stddev.item() == -1.0
    D.Distribution.set_default_validate_args(False)
    try:
        assert D.Bernoulli(2.0).probs.item() == 2.0
    finally:
        D.Distribution.set_default_validate_args(True)
    with pytest.raises(ArgumentError):
        D.Distribution.set_default_validate_args(1)


def test_a_distribution_of_the_users_own() -> None:
    class Triangular(D.Distribution):
        arg_constraints = {"width": D.constraints.positive}
        support = D.constraints.interval(-1.0, 1.0)

        def __init__(self, width: tg.Tensor, validate_args: bool | None = None) -> None:
            self.width = width
            super().__init__(tuple(width.shape), validate_args=validate_args)

        def rsample(self, sample_shape: Any = ()) -> tg.Tensor:
            shape = self._extended_shape(sample_shape)
            return self.width * (tg.rand(shape) - tg.rand(shape))

    found = Triangular(tg.ones(2)).expand((3, 2))
    assert found.sample((4,)).shape == (4, 3, 2)
    with pytest.raises(ValueRangeError, match="parameter width"):
        Triangular(-tg.ones(2))
    with pytest.raises(TracegraphError):
        found.entropy()


def test_a_relaxation_has_another_entropy_than_its_categories() -> None:
    with pytest.raises(MissingRuleError, match="RelaxedOneHotCategorical has no entropy"):
        D.RelaxedOneHotCategorical(0.5, tg.tensor([0.3, 0.7])).entropy()


def test_distributions_leave_the_graph() -> None:
    def policy(logits: tg.Tensor) -> tuple[tg.Tensor, D.Categorical]:
        distribution = D.Categorical(logits=logits)
        return distribution.entropy(), distribution

    logits = tg.tensor([0.0, 1.0, 2.0])
    entropy, distribution = capture_of(policy, fullgraph=True)(logits)
    assert isinstance(distribution, D.Categorical)
    assert tg.allclose(distribution.entropy(), entropy) and tg.allclose(distribution.probs, logits.softmax(-1))


def test_values_and_entropy_of_counts() -> None:
    counts = D.Binomial(3, double(0.2, 0.5))
    assert counts.enumerate_support(expand=False).tolist() == [[0.0], [1.0], [2.0], [3.0]]
    assert counts.enumerate_support().shape == (4, 2)
    assert_close(counts.entropy().numpy(), stats.binom(3, [0.2, 0.5]).entropy())
    with pytest.raises(MissingRuleError, match="total_count differ"):
        D.Binomial(double(3.0, 4.0), 0.5).entropy()


def test_values_of_a_distribution_without_dimensions_of_its_own() -> None:
    coins = D.Independent(D.Bernoulli(P), 0)
    assert coins.has_enumerate_support and coins.enumerate_support().shape == (2, 3)
    assert not D.Independent(D.Bernoulli(P), 1).has_enumerate_support


def test_dtypes_of_values_and_parameters_are_promoted() -> None:
    coin, plane = D.Bernoulli(P.float()), D.MultivariateNormal(tg.zeros(2), tg.tensor(COVARIANCE))
    assert coin.log_prob(double(0.0, 1.0, 1.0)).dtype is tg.float64
    assert plane.log_prob(double(0.0, 1.0)).dtype is tg.float64


def test_relaxations_score_their_logarithms() -> None:
    temperature, logits = double(0.7), double(-1.0, 2.0, 0.5)
    relaxed = D.RelaxedBernoulli(temperature, logits=logits)
    odds = double(-0.5, 1.0, 3.0)
    value = odds.sigmoid()
    assert_close(relaxed.log_prob(value).numpy(), relaxed.base_dist.log_prob(odds) - (value * (1 - value)).log())
    vectors = D.RelaxedOneHotCategorical(temperature, logits=logits)
    logs = odds.log_softmax(-1)
    assert_close(vectors.log_prob(logs.exp()).numpy(), vectors.base_dist.log_prob(logs) - logs.sum())
    assert vectors.expand((4,)).rsample().shape == (4, 3) and type(relaxed.expand((2, 3))) is D.RelaxedBernoulli


def test_no_variance_has_no_gradient() -> None:
    df = double(1.5, 2.0, 4.0).requires_grad_()
    D.StudentT(df).variance[2].backward()
    assert df.grad.tolist() == [0.0, 0.0, -0.5]


def test_parameters_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match="do not fit"):
        D.MultivariateNormal(tg.zeros(3), tg.tensor(COVARIANCE))
    with pytest.raises(DTypeError, match="floating concentration"):
        D.Dirichlet(tg.tensor([1, 2])).sample()
