"""`autograd.Function`: forward and backward written by hand."""

from __future__ import annotations

from typing import Any

from captured import ramp

import tracegraph as tg
from programs import program
from tracegraph import nn
from tracegraph.autograd import Function, grad, once_differentiable
from tracegraph.tensor import Tensor, tensor

SCALE = tensor([1.0, 2.0, 3.0])


def leaf(*shape: int) -> Tensor:
    return (ramp(*shape) / 7 - 0.4).requires_grad_()


def case() -> tuple[Any, ...]:
    return (leaf(2, 3),)


class Exp(Function):
    """Saves its result; backward is not the derivative, so that it can be told from it."""

    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g * y * 3


class StraightThrough(Function):
    @staticmethod
    def forward(ctx, x):
        return x.round()

    @staticmethod
    def backward(ctx, g):
        return g


class Clipped(Function):
    """Backward writes in place to what it has made."""

    @staticmethod
    def forward(ctx, x, low, high):
        ctx.save_for_backward(x)
        ctx.low, ctx.high = low, high
        return x.clamp(low, high)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        kept = g.clone()
        kept.masked_fill_((x < ctx.low) | (x > ctx.high), 0.0)
        kept.mul_(2)
        return kept, None, None


class Reversed(Function):
    """A result that is an argument."""

    @staticmethod
    def forward(ctx, x, factor):
        ctx.factor = factor
        return x

    @staticmethod
    def backward(ctx, g):
        return g.neg() * ctx.factor, None


class Viewed(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.shape = x.shape
        return x.view(-1)

    @staticmethod
    def backward(ctx, g):
        return -g.view(ctx.shape)


class Attention(Function):
    """Several results, an integer and None among them; gradients for some of the arguments."""

    @staticmethod
    def forward(ctx, x, scale, w):
        ctx.save_for_backward(x, w, None)
        ctx.scale = scale
        return x * w * scale, x.argmax(), None, w.sum()

    @staticmethod
    def backward(ctx, g, _, nothing, h):
        x, w, empty = ctx.saved_tensors
        assert nothing is None and empty is None
        gx = g * w if ctx.needs_input_grad[0] else None
        gw = g * x + h if ctx.needs_input_grad[2] else None
        return gx, None, gw


class Doubled(Function):
    """Writes to its argument."""

    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        x.mul_(2)
        return x

    @staticmethod
    def backward(ctx, g):
        return g * 5


class Scaled(Function):
    """The other style: forward without ctx."""

    @staticmethod
    def forward(x, factor=2.0, offset=1.0):
        return x * factor + offset

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, ctx.factor, ctx.offset = inputs
        ctx.save_for_backward(x, output)

    @staticmethod
    def backward(ctx, g):
        x, y = ctx.saved_tensors
        return g * ctx.factor + x * y, None, None


class Sorted(Function):
    @staticmethod
    def forward(ctx, x):
        values, order = x.sort(dim=-1)
        rank = order.to(x.dtype)
        ctx.mark_non_differentiable(rank)
        ctx.save_for_backward(order)
        return values, rank

    @staticmethod
    def backward(ctx, g, of_rank):
        (order,) = ctx.saved_tensors
        return tg.zeros_like(g).scatter_add(-1, order, g) + of_rank


class Either(Function):
    """Gradients that are absent stay so."""

    @staticmethod
    def forward(ctx, x, y):
        ctx.set_materialize_grads(False)
        return x * 2, y * 3

    @staticmethod
    def backward(ctx, g, h):
        return None if g is None else g * 7, None if h is None else h * 11


class Once(Function):
    @staticmethod
    def forward(ctx, x):
        return x.sin()

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        return g * 2


class Outer(Function):
    """Applies a Function in forward, where it leaves no trace, and in backward."""

    @staticmethod
    def forward(ctx, x):
        return Exp.apply(x) + 1

    @staticmethod
    def backward(ctx, g):
        return Exp.apply(g)


class Summed(Function):
    """A gradient that its input broadcasts to."""

    @staticmethod
    def forward(ctx, x, bias):
        return x + bias

    @staticmethod
    def backward(ctx, g):
        return g, g * 2


class Detaching(Function):
    @staticmethod
    def forward(ctx, x):
        return x.detach()

    @staticmethod
    def backward(ctx, g):
        return g * 4


@program()
def saved_result(x: Tensor) -> Tensor:
    return Exp.apply(x / 6)


@program()
def straight_through(x: Tensor) -> Tensor:
    return StraightThrough.apply(x / 3) * x


@program()
def attributes_of_the_context(x: Tensor) -> Tensor:
    return Clipped.apply(x, 2, 4.5) * x


@program()
def applied_often(x: Tensor) -> Tensor:
    for k in range(3):
        x = Clipped.apply(Exp.apply(x / 9), 0.1 * k, 4)
    return x


@program()
def returned_argument(x: Tensor) -> Any:
    y = Reversed.apply(x, 2)
    return y, y is x, y.requires_grad == x.requires_grad


@program()
def returned_argument_of_the_trace(x: Tensor) -> Any:
    h = x * 2
    return Reversed.apply(h, 3) * h


@program()
def written_after(x: Tensor) -> Any:
    """The result of a Function lies in the memory of its argument."""
    h = x * 2
    y = Reversed.apply(h, 3)
    with tg.no_grad():
        h[0] = 7
    return y, h


@program()
def viewed(x: Tensor) -> Any:
    return Viewed.apply(x) * 2, Viewed.apply(x * 2)


@program()
def detached(x: Tensor) -> Any:
    return Detaching.apply(x) * x


@program()
def several_results(x: Tensor) -> Any:
    y, position, nothing, total = Attention.apply(x, 0.5, x.sin())
    return y * position, nothing, total


@program()
def some_inputs(x: Tensor) -> Any:
    y, _, _, total = Attention.apply(x, 0.5, SCALE)
    return y + total


@program()
def written_argument(x: Tensor) -> Any:
    h = x * 3
    y = Doubled.apply(h)
    return y, y is h, h * 2


@program()
def both_styles(x: Tensor) -> Any:
    return Scaled.apply(x), Scaled.apply(x, 3), Scaled.apply(x, factor=4, offset=2.0), Exp.apply(x=x / 5)


@program()
def not_differentiable(x: Tensor) -> Any:
    values, rank = Sorted.apply(x * tensor([1.0, -1.0, 2.0]))
    return values * 3, rank, rank.requires_grad


@program()
def absent_gradients(x: Tensor) -> Any:
    a, _ = Either.apply(x, x * 2)
    _, b = Either.apply(x, x * 2)
    c, d = Either.apply(x, x.sin())
    return a, b, c * d


@program()
def once(x: Tensor) -> Any:
    return Once.apply(x)


@program()
def nested(x: Tensor) -> Any:
    return Outer.apply(x / 4)


@program()
def broadcast_gradient(x: Tensor) -> Any:
    return Summed.apply(x, x[0]) * Summed.apply(x, x.sum())


@program()
def without_grad_mode(x: Tensor) -> Any:
    with tg.no_grad():
        y = Exp.apply(x / 7)
    return y * x, y.requires_grad


@program()
def of_integers(x: Tensor) -> Any:
    return Exp.apply(x.to(tg.int64)), Reversed.apply(x.long(), 2)


@program(case)
def gradient_in_the_trace(x: Tensor) -> Any:
    (g,) = grad(Exp.apply(x).sum() + Reversed.apply(x, 2).sum(), x)
    return g


@program(case)
def gradient_of_a_gradient_in_the_trace(x: Tensor) -> Any:
    (g,) = grad(Exp.apply(x * x).sum(), x, create_graph=True)
    (h,) = grad((g * g).sum(), x)
    return g, h


class Swish(nn.Module):
    class Kernel(Function):
        @staticmethod
        def forward(ctx, x, beta):
            s = (x * beta).sigmoid()
            ctx.save_for_backward(x, s, beta)
            return x * s

        @staticmethod
        def backward(ctx, g):
            x, s, beta = ctx.saved_tensors
            slope = s * (1 - s) * x
            return g * (s + beta * slope), (g * x * slope).sum()

    def __init__(self) -> None:
        super().__init__()
        self.beta = nn.Parameter(tensor(1.5))

    def forward(self, x):
        return self.Kernel.apply(x, self.beta)


@program(lambda: (Swish(), ramp()), lambda: (Swish(), leaf(4)))
def in_a_module(module: Swish, x: Tensor) -> Tensor:
    return module(x)


class Multiplied(Function):
    """Its context holds what the program gives it."""

    @staticmethod
    def forward(ctx, x, options):
        ctx.options = options
        return x * options["factor"]

    @staticmethod
    def backward(ctx, g):
        return g * ctx.options["factor"], None


@program()
def in_branches(x: Tensor) -> Any:
    return tg.cond(x.sum() > 0, lambda a: Exp.apply(a / 9) * 2, lambda a: Reversed.apply(a, 3), (x,))


@program()
def in_a_loop_body(x: Tensor) -> Any:
    def step(carry: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
        carry = Exp.apply(carry * 0.1) + row
        return carry, carry * 2

    return tg.scan(step, tg.zeros(3), x)


@program()
def one_argument_twice(x: Tensor) -> Any:
    y, _, _, total = Attention.apply(x, 2, x)
    return y + total


@program()
def written_result(x: Tensor) -> Any:
    """ReLU in place behind an identity."""
    y = Reversed.apply(x * 2, 2)
    return nn.functional.relu(y, inplace=True) * 3


@program()
def from_a_list(x: Tensor) -> Any:
    return sum(map(Exp.apply, [x / 7, x / 8]))


@program()
def options_changed_before(x: Tensor) -> Any:
    options = {"factor": 2}
    options["factor"] = 3
    return Multiplied.apply(x, options)


class Product(Function):
    """Backward multiplies in the dtype that it is given, as a backward pass does wherever it is called."""

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return x @ weight

    @staticmethod
    def backward(ctx, g):
        x, weight = ctx.saved_tensors
        return g.float() @ weight.T, x.T @ g.float()


@program(lambda: (leaf(2, 3), leaf(3, 2)))
def backward_under_autocast(x: Tensor, weight: Tensor) -> Any:
    with tg.autocast("cpu", dtype=tg.bfloat16):
        y = Product.apply(x, weight)
        return grad(y.float().sin().sum(), [x, weight])
