"""Tensors: views, in-place operations, gradients and grad mode, creation, aliasing."""

from __future__ import annotations

from captured import ramp

from programs import program
from tracegraph import nn
from tracegraph.autograd.grad_mode import no_grad
from tracegraph.ops import functional as F
from tracegraph.tensor import as_tensor, tensor


def pair():
    """A tensor, and one that requires grad."""
    return ramp(), ramp(requires_grad=True)


@program(pair)
def inplace_grad(x, w):
    y = x * 1
    y += w
    a = y.requires_grad
    with no_grad():
        z = y * 2
        v = x * 1
        v.copy_(w)
    return (y, z, v, a, z.requires_grad, v.requires_grad)


@program(pair, breaks=("exception",))
def leaf_inplace(x, w):
    w += 1
    return w


@program(pair)
def leaf_nograd(x, w):
    with no_grad():
        w += x
    return w


@program(pair, breaks=("exception",))
def leaf_view(x, w):
    w[0].add_(1)
    return w


@program(pair)
def detach(x, w):
    return (w.detach() * x, w.detach().requires_grad, (w * x).requires_grad)


@program(pair)
def setitem(x, w):
    y = x * 1
    y[0] = 5
    y[:, 1] = w[:, 0].detach()
    return y


@program(pair)
def setitem_input(x, w):
    x[0, 0] = 100.0
    return x * 2


@program(pair)
def alias_views(x, w):
    a = x.view(6) if hasattr(x, "view") else x.reshape(6)
    a += 1
    return (x, a)


@program(pair)
def out_input(x, w):
    return (x, w, [x])


@program(pair)
def same(x, w):
    return (x is x, x is w)


@program(lambda: (lambda t: (t, t))(ramp()), lambda: (ramp(), ramp()))
def alias_args(x, y):
    x += 1
    return (x + y, x is y)


@program(lambda: (lambda t: (t, t[0]))(ramp()), lambda: (ramp(), ramp()[0]))
def alias_args2(x, y):
    x += 1
    return x + y


@program(
    lambda: (ramp(2), (lambda t: (t[:, 0], t[:, 1]))(ramp(2, 2))),
    lambda: (lambda t: (t[0], (t[:, 0], t[1])))(ramp(2, 2)),
    lambda: (lambda t: (t, (t.detach(), ramp(2))))(ramp(2)),
)
def alias_unwritten(x, pair):
    x += 1
    return x * pair[0] + pair[1]


@program(lambda: (ramp(3), (lambda t: (t[:, 0], t[:, 1]))(ramp(3, 2))))
def alias_of_what_is_only_read(x, pair):
    x *= pair[0]
    return x + pair[1]


@program(pair)
def noncontig(x, w):
    return (x.T + 1, x.T.is_contiguous(), x.is_contiguous())


@program(lambda: (ramp().T, ramp(requires_grad=True)), lambda: (ramp(), ramp(requires_grad=True)))
def noncontig_in(x, w):
    return (x * 2, x.is_contiguous(), x.stride())


@program(pair)
def requires_grad_attr(x, w):
    return (w.requires_grad, x.requires_grad, w.is_leaf, w.grad is None)


@program(pair)
def clone(x, w):
    return (x.clone(), w.clone().requires_grad)


@program(pair)
def create(x, w):
    return F.zeros((2, 3)) + x


@program(pair)
def arange(x, w):
    return (F.arange(3) + x, F.ones((2,)), F.full((2, 2), 7))


@program(pair)
def rand(x, w):
    return F.where(x > 2, x, w)


@program(pair)
def tensor_ctor(x, w):
    return tensor([1.0, 2.0, 3.0]) + x


@program(pair)
def indexing(x, w):
    idx = F.arange(2)
    return (x[idx], x[x > 2].shape if False else 0, x[-1], x[::2] if False else x[0:2:1], x[..., 0], x[None])


@program(pair)
def split(x, w):
    a, b = (x[0], x[1])
    return a @ b if hasattr(a, "__matmul__") else a * b


@program(pair)
def cat(x, w):
    return (F.cat([x, w], dim=0), F.stack([x, x]))


@program(pair)
def max_(x, w):
    m = x.max(dim=1)
    return (m, m[0], x.sum(dim=-1, keepdim=True), x.mean())


@program(pair)
def dtype(x, w):
    return (x.to("float64").dtype, x.float(), x.long(), x.dtype is w.dtype)


@program(pair)
def empty_graph(x, w):
    return 3


@program(pair)
def const_only(x, w):
    return {"a": 1, "b": [1, 2]}


class Scaler(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(tensor([1.0, 2.0, 3.0]))
        self.register_buffer("n", tensor([0.0]))

    def forward(self, x):
        self.n += 1
        with no_grad():
            self.w.mul_(1.0)
        return x * self.w + self.n


@program(lambda: (Scaler(), ramp()))
def param(m, x):
    return m(x)


@program(lambda: (ramp(), ramp(requires_grad=True)))
def grad_read(x, w):
    return (w.grad, w.grad is None)


@program()
def tensors_of_numbers(x):
    offsets = as_tensor([[0.5], [1.5]], device=x.device)
    return x[:1] + offsets, as_tensor((1, 2)), tensor([3, 4], device=x.device), as_tensor(7, dtype=x.dtype)
