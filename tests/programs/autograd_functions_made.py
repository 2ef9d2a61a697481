"""`autograd.Function` classes that the program makes itself."""

from __future__ import annotations

from typing import Any

import tracegraph as tg
from programs import program
from tracegraph.autograd import Function
from tracegraph.tensor import Tensor


@program()
def made_here(x: Tensor) -> Any:
    factor = x.sum()

    class Local(Function):
        @staticmethod
        def forward(ctx, a):
            ctx.doubled = a * 2
            return a * factor

        @staticmethod
        def backward(ctx, g):
            return g * ctx.doubled + factor

    return Local.apply(x)


@program()
def one_result_twice(x: Tensor) -> Any:
    class Pair(Function):
        @staticmethod
        def forward(ctx, a):
            y = a * 2
            return y, y

        @staticmethod
        def backward(ctx, g, h):
            return g * 3 + h * 5

    a, b = Pair.apply(x)
    return a, b * 2, a is b


@program()
def parts_of_one_memory(x: Tensor) -> Any:
    class Halves(Function):
        @staticmethod
        def forward(ctx, a):
            both = a * 2
            return both[0], both[1]

        @staticmethod
        def backward(ctx, g, h):
            return tg.stack([g * 2, h * 3])

    return Halves.apply(x[:2])


@program()
def no_grad_in_backward(x: Tensor) -> Any:
    class Weighted(Function):
        @staticmethod
        def forward(ctx, a):
            ctx.save_for_backward(a)
            return a * 2

        @staticmethod
        def backward(ctx, g):
            (a,) = ctx.saved_tensors
            with tg.no_grad():
                weight = a * g
            return g * weight

    return Weighted.apply(x)
