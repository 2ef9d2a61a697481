"""Probability distributions under PyTorch's names (`torch.distributions`): samples, densities, divergences.

Plain tensor arithmetic: under `tracegraph.compile` a distribution made, sampled and scored is part of the graph.
"""

from tracegraph.distributions import constraints, transforms
from tracegraph.distributions.bernoulli import Bernoulli, Geometric
from tracegraph.distributions.binomial import Binomial
from tracegraph.distributions.categorical import Categorical, OneHotCategorical, OneHotCategoricalStraightThrough
from tracegraph.distributions.cauchy import Cauchy
from tracegraph.distributions.dirichlet import Beta, Dirichlet
from tracegraph.distributions.distribution import Distribution
from tracegraph.distributions.exponential import Exponential
from tracegraph.distributions.gamma import Chi2, Gamma, StudentT
from tracegraph.distributions.gumbel import Gumbel
from tracegraph.distributions.half_normal import HalfNormal
from tracegraph.distributions.independent import Independent
from tracegraph.distributions.kl import kl_divergence, register_kl
from tracegraph.distributions.laplace import Laplace
from tracegraph.distributions.log_normal import LogNormal
from tracegraph.distributions.mixture_same_family import MixtureSameFamily
from tracegraph.distributions.multivariate_normal import MultivariateNormal
from tracegraph.distributions.normal import Normal
from tracegraph.distributions.poisson import Poisson
from tracegraph.distributions.relaxed import RelaxedBernoulli, RelaxedOneHotCategorical
from tracegraph.distributions.transformed_distribution import TransformedDistribution
from tracegraph.distributions.transforms import (
    AbsTransform,
    AffineTransform,
    ComposeTransform,
    ExpTransform,
    IndependentTransform,
    PowerTransform,
    SigmoidTransform,
    SoftmaxTransform,
    SoftplusTransform,
    TanhTransform,
    Transform,
    identity_transform,
)
from tracegraph.distributions.uniform import Uniform
from tracegraph.module_names import names_below

__getattr__ = names_below(__name__)

__all__ = [
    "AbsTransform",
    "AffineTransform",
    "Bernoulli",
    "Beta",
    "Binomial",
    "Categorical",
    "Cauchy",
    "Chi2",
    "ComposeTransform",
    "Dirichlet",
    "Distribution",
    "ExpTransform",
    "Exponential",
    "Gamma",
    "Geometric",
    "Gumbel",
    "HalfNormal",
    "Independent",
    "IndependentTransform",
    "Laplace",
    "LogNormal",
    "MixtureSameFamily",
    "MultivariateNormal",
    "Normal",
    "OneHotCategorical",
    "OneHotCategoricalStraightThrough",
    "Poisson",
    "PowerTransform",
    "RelaxedBernoulli",
    "RelaxedOneHotCategorical",
    "SigmoidTransform",
    "SoftmaxTransform",
    "SoftplusTransform",
    "StudentT",
    "TanhTransform",
    "Transform",
    "TransformedDistribution",
    "Uniform",
    "constraints",
    "identity_transform",
    "kl_divergence",
    "register_kl",
    "transforms",
]
