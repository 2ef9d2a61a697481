"""Running combinations by any associative function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracegraph.errors import ControlFlowError
from tracegraph.ops import functional as F
from tracegraph.ops.control.control_flow import (
    check_callable,
    check_switch,
    check_tensors,
    common_length,
    fitted,
    type_of,
    with_first,
)
from tracegraph.ops.control.control_flow_samples import ASSOCIATIVE_SCAN
from tracegraph.ops.core.canonical import normalize_dim
from tracegraph.ops.core.definition import Handle, define_op
from tracegraph.ops.graphs.nested import BodyMaker
from tracegraph.ops.graphs.structure import Tree, described, flatten, unflatten
from tracegraph.ops.kinds import Derived, HigherOrder

#: combines trees of tensors, given as their leaves, all along the first dimension at once
Combine = Callable[[Sequence[Handle], Sequence[Handle]], Sequence[Handle]]


@define_op
class AssociativeScan(HigherOrder, Derived):
    """All running combinations `y[i] = combine_fn(y[i - 1], xs[i])` along `dim`, from `y[0] = xs[0]` on, in a number of
    steps that is logarithmic in the size.

    `xs` is a tensor or tensors in any nesting of dict, list, tuple and namedtuple, all of the same size along `dim`,
    which is not 0. `combine_fn(a, b)` must be associative, and is given many elements at once: trees like `xs`, of
    other sizes along `dim`. It returns such a tree. With `reverse` the combinations run from the end. As
    `jax.lax.associative_scan`; `torch._higher_order_ops.associative_scan` for elementwise functions.

    The algorithm is that of Blelloch, "Prefix Sums and Their Applications" (1990). A graph of it is bound to the size.

    Raises:
        ArgumentError: `combine_fn` is not callable, or something in `xs` is no tensor.
        ShapeError: sizes along `dim` differ, or are 0.
        ControlFlowError: `combine_fn` returns something else than it takes.
    """

    method = False
    signature = "(combine_fn: any, xs: any, dim: int = 0, reverse: bool = False)"
    samples = ASSOCIATIVE_SCAN

    def enter(
        self, record: BodyMaker, combine_fn: Callable[[Tree, Tree], Tree], xs: Tree, dim: int = 0, reverse: bool = False
    ) -> Tree:
        """The call; `combine_fn` becomes part of the graph that its operands are traced into."""
        return self.decompose(combine_fn, xs, dim, reverse)

    def decompose(self, combine_fn: Callable[[Tree, Tree], Tree], xs: Tree, dim: int, reverse: bool) -> Tree:
        check_callable(self.name, combine_fn=combine_fn)
        check_switch(self.name, "reverse", reverse)
        leaves, structure = check_tensors(self.name, "xs", xs)
        axes = [normalize_dim(self.name, "dim", dim, leaf.ndim) for leaf in leaves]
        common_length(self.name, [with_first(self.name, leaf, dim) for leaf in leaves])

        def combine(a: Sequence[Handle], b: Sequence[Handle]) -> Sequence[Handle]:
            given = list(map(type_of, a))
            result = combine_fn(unflatten(structure, a), unflatten(structure, b))
            found, returned = flatten(fitted(result, given))
            types = list(map(type_of, found))
            if (returned, types) != (structure, given):
                raise ControlFlowError(
                    f"associative_scan: combine_fn must return what it takes: takes {described(structure, given)}, "
                    f"returns {described(returned, types)}"
                )
            return found

        if reverse:
            leaves = [leaf.flip(axis) for leaf, axis in zip(leaves, axes, strict=True)]
            results = _running(combine, leaves, axes)
            return unflatten(structure, [r.flip(axis) for r, axis in zip(results, axes, strict=True)])
        return unflatten(structure, [r.clone() for r in _running(combine, leaves, axes)])


def _running(combine: Combine, xs: Sequence[Handle], axes: Sequence[int]) -> Sequence[Handle]:
    """The running combinations: those of pairs of neighbours are every other one, and lead to the rest."""
    size = xs[0].shape[axes[0]]
    if size < 2:
        return xs
    pairs = combine(_every_other(xs, axes, 0, size - 1), _every_other(xs, axes, 1, size))
    odd = _running(combine, pairs, axes)
    before = odd if size % 2 else _every_other(odd, axes, 0, size // 2 - 1, 1)
    rest = _every_other(xs, axes, 2, size)
    even = combine(before, rest) if size > 2 else rest
    first = _every_other(xs, axes, 0, 1)
    return [
        _interleaved(F.cat([x, e], axis) if size > 2 else x, o, axis)
        for x, e, o, axis in zip(first, even, odd, axes, strict=True)
    ]


def _every_other(xs: Sequence[Handle], axes: Sequence[int], start: Any, stop: Any, step: int = 2) -> list[Handle]:
    """Slices along the axes."""
    return [
        x[(*(slice(None) for _ in range(axis)), slice(start, stop, step))] for x, axis in zip(xs, axes, strict=True)
    ]


def _interleaved(even: Handle, odd: Handle, axis: int) -> Handle:
    """Elements of `even`, which may have one more, and `odd` in turn along `axis`."""
    count = odd.shape[axis]
    shape = (*odd.shape[:axis], 2 * count, *odd.shape[axis + 1 :])
    paired = F.stack([even.narrow(axis, 0, count), odd], axis + 1).reshape(shape)
    surplus = even.shape[axis] - count
    return F.cat([paired, even.narrow(axis, count, surplus)], axis) if surplus else paired
