"""Every function that draws random numbers: compiled code draws eager's, in number and value, and keeps its masks."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracegraph as tg
from tracegraph import nn
from tracegraph.capture.compiled_function import family_of
from tracegraph.nn import functional as F
from tracegraph.nn import init
from tracegraph.ops.random.generator import default_generator
from tracegraph.tensor import Tensor
from tracegraph.utils.checkpoint import checkpoint


def _noisy_walk(x: Tensor) -> Tensor:
    """How often the loop runs, and so draws, depends on the elements; a draw follows."""
    (y,) = tg.while_loop(lambda y: y.sum() < 30, lambda y: (y + tg.rand(3),), (x.detach(),))
    return x * y + tg.rand(3)


def _recurrent(x: Tensor) -> Tensor:
    """Draws of the body, of a branch in it, and of what comes before and after."""

    def step(h: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
        h = tg.cond(row.sum() > 2, lambda h: F.dropout(h, 0.5) * tg.rand(3), lambda h: h * row, (h,))
        return h + row, F.dropout(h, 0.3)

    last, every = tg.scan(step, F.dropout(tg.ones(3), 0.2), x)
    return every * F.dropout(x, 0.5) + last


def _as_channels(x: Tensor) -> Tensor:
    return x.reshape(1, -1, 1, 3)


DRAWS: dict[str, Callable[[Tensor], Tensor]] = {
    "bernoulli": lambda x: tg.bernoulli(x.sigmoid()),
    "bernoulli_p": lambda x: x.bernoulli(0.3),
    "bernoulli_": lambda x: x.clone().bernoulli_(0.3),
    "normal": lambda x: tg.normal(x, 2.0),
    "normal_of_numbers": lambda x: tg.normal(0.0, 1.0, (3,)),
    "normal_": lambda x: x.clone().normal_(),
    "uniform_": lambda x: x.clone().uniform_(-1, 1),
    "exponential_": lambda x: x.clone().exponential_(2.0),
    "random_": lambda x: x.clone().random_(0, 9),
    "rand": lambda x: tg.rand(3, 2),
    "randn": lambda x: tg.randn(x.shape[0]),
    "randint": lambda x: tg.randint(0, 10, (4,)),
    "rand_like": tg.rand_like,
    "randn_like": tg.randn_like,
    "randint_like": lambda x: tg.randint_like(x, 9),
    "randperm": lambda x: tg.randperm(7),
    "multinomial": lambda x: tg.multinomial(x.abs() + 0.1, 2),
    "multinomial_with_replacement": lambda x: tg.multinomial(x.abs() + 0.1, 5, True),
    "dropout": lambda x: F.dropout(x, 0.5),
    "dropout_of_nothing": lambda x: F.dropout(x, 0.0),
    "dropout_of_everything": lambda x: F.dropout(x, 1.0),
    "dropout_in_place": lambda x: F.dropout(x.clone(), 0.5, True, True),
    "dropout_in_evaluation": lambda x: F.dropout(x, 0.5, False),
    "dropout1d": lambda x: F.dropout1d(x[None], 0.5),
    "dropout2d": lambda x: F.dropout2d(_as_channels(x), 0.5),
    "dropout3d": lambda x: F.dropout3d(_as_channels(x)[None], 0.5),
    "alpha_dropout": lambda x: F.alpha_dropout(x, 0.5, True),
    "dropouts_in_a_row": lambda x: F.dropout(F.dropout(x.exp().sin(), 0.5).exp().cos(), 0.3).exp(),
    "rrelu": lambda x: F.rrelu(x - 5, training=True),
    "rrelu_in_place": lambda x: F.rrelu(x - 5, training=True, inplace=True),
    "gumbel_softmax": F.gumbel_softmax,
    "gumbel_softmax_hard": lambda x: F.gumbel_softmax(x, hard=True),
    "attention": lambda x: F.scaled_dot_product_attention(x[None], x[None], x[None], dropout_p=0.5),
    "xavier_uniform_": lambda x: init.xavier_uniform_(x.clone()),
    "xavier_normal_": lambda x: init.xavier_normal_(x.clone()),
    "kaiming_uniform_": lambda x: init.kaiming_uniform_(x.clone()),
    "kaiming_normal_": lambda x: init.kaiming_normal_(x.clone()),
    "trunc_normal_": lambda x: init.trunc_normal_(x.clone()),
    "LSTM": lambda x: LSTM(x[None])[0],
    "MultiheadAttention": lambda x: ATTENTION(x[None], x[None], x[None])[0],
    "TransformerEncoderLayer": lambda x: ENCODER(x[None]),
    "cond": lambda x: tg.cond(x.sum() > 7, lambda x: F.dropout(x, 0.5), lambda x: x, (F.dropout(x, 0.2),)) + tg.rand(3),
    "while_loop": lambda x: (
        tg.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, F.dropout(x, 0.5)), (tg.tensor(0), x.detach()))[1] * x
    ),
    "while_loop_of_any_length": _noisy_walk,
    "scan": lambda x: tg.scan(lambda c, y: (c + F.dropout(y, 0.5), c), tg.zeros(3), x)[0],
    "scan_of_conds": _recurrent,
    "draws_without_results": lambda x: (
        tg.cond(x.sum() > 7, lambda: [None, tg.rand(2)][:1], lambda: [None]) and tg.rand(3)
    ),
    "checkpoint": lambda x: checkpoint(lambda x: F.dropout(x.sin(), 0.5).cos(), x),
}
#: right, with a break
BREAKING: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "condition": (
        lambda x: tg.while_loop(lambda y: tg.rand(()) < 0.8, lambda y: (y + 1,), (x.detach(),))[0] * x,
        "control-flow",
    ),
    "seeded_in_the_trace": (
        lambda x: tg.manual_seed(3) and tg.cond(x.sum() > 7, lambda x: x * tg.rand(3), lambda x: x, (x,)) + tg.rand(3),
        "control-flow",
    ),
    "state_after_a_branch": (
        lambda x: tg.cond(x.sum() > 7, lambda x: x * tg.rand(3), lambda x: x, (x,)) + tg.get_rng_state()[1],
        "control-flow",
    ),
    "generator_of_its_own": (
        lambda x: tg.cond(x.sum() > 7, lambda x: x * tg.rand(3, generator=OWN), lambda x: x, (x,)),
        "control-flow",
    ),
    "checkpoint_that_draws_anew": (
        lambda x: checkpoint(lambda x: F.dropout(x.sin(), 0.5).cos(), x, preserve_rng_state=False),
        "native-call",
    ),
    "orthogonal_": (lambda x: init.orthogonal_(x.clone()), "data-dependent"),
}
OWN = tg.Generator()
LSTM = nn.LSTM(3, 3, 2, dropout=0.5, batch_first=True)
ATTENTION = nn.MultiheadAttention(3, 1, dropout=0.5, batch_first=True)
ENCODER = nn.TransformerEncoderLayer(3, 1, 8, batch_first=True)


def runs(function: Callable[[Tensor], Tensor]) -> list[Any]:
    """Of five calls, of three sizes: the result, the gradient taken twice, the state after the call and after that."""
    tg.manual_seed(5)
    OWN.manual_seed(6)
    found = []
    for rows in (4, 4, 5, 6, 4):
        x = ((tg.arange(rows * 3).reshape(rows, 3) + 1) / 10).requires_grad_()
        y = function(x)
        after = tg.get_rng_state()
        gradients = [None, None]
        if y.requires_grad:
            gradients = [
                tg.autograd.grad(y.sum(), x, retain_graph=keep, allow_unused=True)[0] for keep in (True, False)
            ]
        found.append((y, *gradients, after, tg.get_rng_state()))
    return found


def check_draws(function: Callable[[Tensor], Tensor], **options: Any) -> Any:
    compiled = tg.compile(function, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pairs = list(zip(runs(compiled), runs(function), strict=True))
    for found, wanted in pairs:
        assert found[3:] == wanted[3:]
        for a, b in zip(found[:3], wanted[:3], strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-4, atol=1e-5)
    return compiled


@pytest.mark.parametrize("name", DRAWS)
def test_compiled_draws_are_eagers(name: str) -> None:
    check_draws(DRAWS[name], fullgraph=True)


@pytest.mark.parametrize("name", BREAKING)
def test_draws_with_a_break_are_eagers(name: str) -> None:
    function, reason = BREAKING[name]
    compiled = check_draws(function)
    assert reason in {stop.reason.id for _, stop in family_of(compiled).breaks}


@pytest.mark.parametrize("backend", ["eager", "interpreter"])
def test_graphs_run_op_by_op_draw_in_bodies(backend: str) -> None:
    for name in ("cond", "while_loop_of_any_length", "scan_of_conds"):
        check_draws(DRAWS[name], fullgraph=True, backend=backend)


def test_a_reservation_gives_back_what_nobody_else_has_taken() -> None:
    tg.manual_seed(4)
    first = default_generator.reserve()
    default_generator.release(first, 3)
    assert tg.get_rng_state() == (4, 3)
    second = default_generator.reserve()
    tg.rand(1)
    default_generator.release(second, 2)
    assert tg.get_rng_state()[1] > 1 << 40


def test_a_failing_graph_takes_no_keys() -> None:
    def function(x: Tensor, i: Tensor) -> Tensor:
        return tg.cond(x.sum() > 0, lambda x: x * tg.rand(3), lambda x: x, (x,))[i]

    compiled, i = tg.compile(function, fullgraph=True), tg.tensor([1, 2])
    compiled(tg.ones(3), i)
    states = []
    for f in (function, compiled):
        tg.manual_seed(2)
        with pytest.raises(IndexError):
            f(tg.ones(3), i + 7)
        states.append(tg.get_rng_state())
    assert states[0] == states[1]


def test_what_is_computed_again_in_backward_is_not_drawn_again() -> None:
    """Masks that min-cut has computed again are those of forward, however much was drawn in between."""

    def function(x: Tensor) -> Tensor:
        for _ in range(4):
            x = F.dropout(x, 0.5).exp().sin()
        return x

    x = tg.ones(64, requires_grad=True)
    gradients = []
    for f in (function, tg.compile(function)):
        tg.manual_seed(3)
        y = f(x)
        tg.rand(5)
        tg.manual_seed(9)
        gradients.append(tg.autograd.grad(y.sum(), x)[0].numpy())
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-4, atol=1e-5)
