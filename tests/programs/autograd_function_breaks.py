"""`autograd.Function`: what forward, backward or the program does with its context that breaks the graph."""

from __future__ import annotations

from typing import Any

import tracegraph as tg
from programs import program
from programs.autograd_functions import Doubled, Multiplied, case
from tracegraph.autograd import Function
from tracegraph.tensor import Tensor

SEEN: list[Any] = []


@program(case, breaks=("custom-gradient",))
def options_changed_later(x: Tensor) -> Any:
    options = {"factor": 2}
    y = Multiplied.apply(x, options)
    options["factor"] = 3
    return y


class Four(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        return x * 1, x * 2, x * 3, x * 4

    @staticmethod
    def backward(ctx, *gradients):
        return sum(g for g in gradients if g is not None)


@program(case, breaks=("custom-gradient",))
def absent_gradients_of_many_results(x: Tensor) -> Any:
    return Four.apply(x)[2]


class Logged(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        print("backward", g.shape)
        return g * 3


class Listed(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        SEEN.append(g)
        return g * 3


class Dependent(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g * 3 if g.sum() > 0 else g


class Miscounted(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g, g


class Misshapen(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return tg.ones(7)


class Noisy(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g * tg.rand(3)


class Printing(Function):
    @staticmethod
    def forward(ctx, x):
        print("forward")
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g * 3


@program(case, breaks=("custom-gradient",))
def backward_prints(x: Tensor) -> Any:
    return Logged.apply(x) * 2


@program(case, breaks=("custom-gradient",))
def backward_writes_outside(x: Tensor) -> Any:
    return Listed.apply(x) * 2


@program(case, breaks=("custom-gradient",))
def backward_looks_at_elements(x: Tensor) -> Any:
    return Dependent.apply(x) * 2


@program(case, breaks=("custom-gradient",))
def backward_draws_random_numbers(x: Tensor) -> Any:
    return Noisy.apply(x) * 2


@program(case, breaks=("custom-gradient",))
def too_many_gradients(x: Tensor) -> Any:
    return Miscounted.apply(x) * 2


@program(case, breaks=("custom-gradient",))
def gradient_of_another_shape(x: Tensor) -> Any:
    return Misshapen.apply(x) * 2


@program(case, breaks=("side-effect",))
def forward_prints(x: Tensor) -> Any:
    return Printing.apply(x) * 2


@program(case, breaks=("exception",))
def written_leaf(x: Tensor) -> Any:
    return Doubled.apply(x)
