"""Views: what they alias, what writing to them means, what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

import tracegraph as tg
from tracegraph.errors import IndexRangeError, ShapeError
from tracegraph.ops.core.dispatch import dispatch

MATRIX = np.arange(12, dtype=np.float32).reshape(3, 4)

VIEWS = {
    "view": lambda x: x.view(2, 6),
    "permute": lambda x: x.permute(1, 0),
    "index": lambda x: x[1:, ::2],
    "select": lambda x: x[1],
    "new axis": lambda x: x[:, None],
    "diagonal": lambda x: x.diagonal(1),
    "lower diagonal": lambda x: x.diagonal(-1, 1, 0),
    "windows": lambda x: x.unfold(1, 2, 2),
    "detach": lambda x: x.detach(),
    "chain": lambda x: x.t()[1:3].unsqueeze(0).squeeze(0).narrow(1, 1, 2),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_writes_through_a_view_reach_the_base(view) -> None:
    x = tg.tensor(MATRIX)
    seen = view(x)
    assert np.shares_memory(seen.numpy(), x.numpy())
    numbers = tg.arange(float(seen.numel())).reshape(seen.shape) + 100
    seen.copy_(numbers)
    np.testing.assert_array_equal(view(x).numpy(), numbers.numpy())
    assert (x >= 100).sum().item() == seen.numel()


@pytest.mark.parametrize("name", sorted(VIEWS.keys() - {"detach"}))  # which starts a history, and a chain, of its own
def test_scatter_says_what_a_write_means(name: str) -> None:
    """The functional form of a write: `scatter` along the chain of views gives what the write left in the base."""
    view, base = VIEWS[name], tg.tensor(MATRIX)
    written = base.clone()
    source = -view(written).clone() - 1
    view(written).copy_(source)
    chain = view(base)._view.chain
    np.testing.assert_array_equal(scattered(base, source, chain).numpy(), written.numpy())


def scattered(base, source, chain):
    (op, attrs), *rest = chain
    if not rest:
        return op.scatter(base, source, **attrs)
    return op.scatter(base, scattered(dispatch(op, (base,), attrs), source, rest), **attrs)


def test_in_place_through_views_differentiates() -> None:
    x = tg.tensor(MATRIX, requires_grad=True)
    y = x * 1
    y.diagonal().mul_(3)
    y[0, 1:] = 0.0
    (y * y).sum().backward()
    factor = np.ones((3, 4), np.float32)
    np.fill_diagonal(factor, 9)
    factor[0, 1:] = 0
    np.testing.assert_allclose(x.grad.numpy(), 2 * MATRIX * factor)


def test_expanded_memory_is_not_written_to() -> None:
    x = tg.zeros(3, 1)
    with pytest.raises(ShapeError, match=r"expanded.*clone"):
        x.expand(3, 4).add_(1)
    x.expand(1, 3, 1).add_(1)
    assert x.sum().item() == 3


def test_overlapping_windows_are_not_written_to_by_scatter() -> None:
    with pytest.raises(ShapeError, match="share memory"):
        tg.ops.functional.unfold.scatter(tg.zeros(5), tg.zeros(4, 2), dimension=0, size=2, step=1)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: x.view(5), ShapeError, r"shape \[5\] is invalid for input of size 12"),
        (lambda x: x.t().view(12), ShapeError, r"strides \[1, 4\].*without copying; use reshape"),
        (lambda x: x.permute(0), ShapeError, "must order all 2 dimensions"),
        (lambda x: x.permute(0, 0), TypeError, "names a dimension twice"),
        (lambda x: x.expand(3, 5), ShapeError, "size 5 must match the existing size 4 at dimension 1"),
        (lambda x: x.expand(4), ShapeError, "fewer dimensions"),
        (lambda x: x.expand(-1, 3, 4), ShapeError, "new dimension 0"),
        (lambda x: x.transpose(0, 2), IndexRangeError, r"dim1=2 is out of range for 2 dimensions \[-2, 1\]"),
        (lambda x: x.unsqueeze(3), IndexRangeError, "dim=3 is out of range"),
        (lambda x: x[None].t(), ShapeError, "at most 2 dimensions"),
        (lambda x: x[0].mT, ShapeError, "at least 2 dimensions"),
        (lambda x: x.diagonal(0, 1, 1), ShapeError, "the same dimension 1"),
        (lambda x: x[0].diagonal(0, 0, 0), ShapeError, "at least 2 dimensions"),
        (lambda x: x.unfold(0, 4, 1), ShapeError, "size 4 does not fit dimension 0 of size 3"),
        (lambda x: x.unfold(0, 2, 0), ValueError, "step must be positive"),
        (lambda x: x.narrow(0, 2, 2), ShapeError, "start=2, length=2 leave dimension 0 of size 3"),
        (lambda x: x.select(1, 4), IndexRangeError, "index 4 is out of bounds for dimension 1 with size 4"),
        (lambda x: x.split([1, 1]), ShapeError, "add up to 2, dimension 0 has size 3"),
        (lambda x: x.split(0), ValueError, "does not divide"),
        (lambda x: x.chunk(0), ValueError, "chunks must be positive"),
        (lambda x: x.flatten(1, 0), ShapeError, "must not come after"),
        (lambda x: x.movedim((0, 1), 0), TypeError, "different lengths"),
        (lambda x: x.unflatten(1, (3, 2)), ShapeError, "invalid for input of size 4"),
    ],
)
def test_refusals_name_the_problem(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call(tg.tensor(MATRIX))


def test_views_keep_nothing_alive_for_backward() -> None:
    """The gradient of a view needs shapes only: writing to the base afterwards is no error."""
    x = tg.tensor(MATRIX, requires_grad=True)
    y = x * 1
    z = y.view(12).sum() + y[0].sum()
    y.detach().zero_()
    z.backward()
    assert x.grad[0].tolist() == [2.0] * 4


def test_flatten_and_contiguous_give_back_what_needs_no_change() -> None:
    x = tg.tensor(MATRIX)
    assert x.contiguous() is x
    assert x[0].flatten().shape == (4,)
    assert x.t().contiguous().is_contiguous()


def test_split_of_a_symbolic_dimension_asks_once_per_part() -> None:
    from tracegraph import ir
    from tracegraph.ops.graphs.recording import Recorder

    env = ir.ShapeEnv()
    s0 = env.fresh(7)
    builder = ir.Builder()
    x = Recorder(builder).traced(builder.placeholder(ir.TensorType(tg.float32, (s0, 2))))
    with env.active():
        parts = x.split(3)
    assert [str(p.shape[0]) for p in parts] == ["3", "3", "s0 - 6"]
    assert all(g.holds({"s0": n}) == (6 < n <= 9) for n in (7, 8, 9) for g in env.guards)
