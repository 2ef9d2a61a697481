"""Gradients inside of `vmap`: histories of samples are those of the tensors of all samples.

No sample depends on another, so the gradient by all samples of what is computed of them holds the gradient of each.
What is differentiated by must differ from sample to sample, else it would be the sum over samples; `func.grad` sees to
it.

A history that has nothing to do with samples may be gone back with cotangents that differ from sample to sample: the
gradient formulas are then batched, like any operation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracegraph.autograd.tape import Node, edge_to
from tracegraph.errors import AutogradError, VmapError
from tracegraph.ops import functional as F
from tracegraph.ops.graphs.batched import BatchedMethods, Level, innermost
from tracegraph.tensor.tensor import Tensor

#: gradients of roots, their tensors, and cotangents, as lists
Gradients = Callable[[Sequence[Tensor], Sequence[Tensor], Sequence[Any]], Sequence[Any]]


def beneath(tensor: Any, level: Level, axis: int = 0) -> Any:
    """`tensor` for all samples of `level`, which are its dimension `axis`; samples of inner levels stay samples."""
    if level.varies(tensor):
        return tensor.inner.movedim(0, axis) if axis else tensor.inner
    if isinstance(tensor, BatchedMethods) and tensor.level.depth > level.depth:
        return tensor.level.wrap(beneath(tensor.inner, level, axis + 1))
    shape = tuple(tensor.shape)
    return tensor.unsqueeze(axis).expand((*shape[:axis], level.size, *shape[axis:]))


def above(tensor: Any, level: Level, axis: int = 0) -> Any:
    """The inverse of `beneath`: a tensor whose dimension `axis` are the samples of `level`, as one of them."""
    if isinstance(tensor, BatchedMethods) and tensor.level.depth > level.depth:
        return tensor.level.wrap(above(tensor.inner, level, axis + 1))
    return level.wrap(tensor.movedim(axis, 0) if axis else tensor)


def gradients_of_samples(
    roots: Sequence[Any], wanted: Sequence[Any], cotangents: Sequence[Any], gradients: Gradients
) -> Sequence[Any]:
    """Gradients of `roots` by `wanted`, some of which are batched, by way of `gradients`, of tensors that are not.

    Raises:
        VmapError: a root differs from sample to sample, and what is differentiated by does not.
    """
    level = innermost([*roots, *wanted])
    if level is None:
        return gradients(roots, wanted, cotangents)
    is_varying = any(map(level.varies, roots))
    for tensor in wanted:
        if is_varying and not level.varies(tensor):
            raise VmapError(
                f"vmap: autograd.grad in the mapped function by a tensor of shape {list(tensor.shape)} that is the "
                "same for all samples; use func.grad or func.vjp, or map over it"
            )
    given = [_cotangent(level, r, c) if level.varies(r) else c for r, c in zip(roots, cotangents, strict=True)]
    plain = [r.inner if level.varies(r) else r for r in roots]
    by = [w.inner if level.varies(w) else w for w in wanted]
    found = gradients_of_samples(plain, by, given, gradients)
    return [g if g is None or not level.varies(w) else above(g, level) for g, w in zip(found, wanted, strict=True)]


def _cotangent(level: Level, root: Any, given: Any) -> Any:
    if given is not None:
        if tuple(given.shape) != tuple(root.shape):
            raise VmapError(f"the gradient has shape {list(given.shape)}, the tensor {list(root.shape)}")
        return beneath(given, level)
    if root.numel() != 1:
        raise AutogradError(
            f"grad() needs a gradient argument for a tensor of shape {list(root.shape)}: only for a single element is "
            "it implied"
        )
    return F.ones_like(root.inner)


# ------------------------------------------------------------------------------------------ functions of one's own


def for_every_sample(tensor: Any, levels: Sequence[Level]) -> Any:
    """`tensor` as a batched one of all these levels, innermost last; repeated where it is the same for all samples."""
    if not levels:
        return tensor
    *outer, level = levels
    if level.varies(tensor):
        return level.wrap(for_every_sample(tensor.inner, outer))
    return level.wrap(level.spread(for_every_sample(tensor, outer)))


def samples_of(tensor: Any) -> Any:
    """The tensor of all samples of all levels."""
    while isinstance(tensor, BatchedMethods):
        tensor = tensor.inner
    return tensor


def levels_of(tensors: Sequence[Any]) -> list[Level]:
    """The levels that tensors belong to, innermost last."""
    found: dict[int, Level] = {}
    for tensor in tensors:
        while isinstance(tensor, BatchedMethods):
            found[tensor.level.depth] = tensor.level
            tensor = tensor.inner
    return [found[depth] for depth in sorted(found)]


class SamplesNode(Node):
    """The tape node of an `autograd.Function` that was applied to samples: its `backward` is mapped over them."""

    __slots__ = ("_name", "_pull_back")

    def __init__(self, name: str, args: Sequence[Any], results: int, pull_back: Callable[..., Sequence[Any]]) -> None:
        super().__init__(tuple([edge_to(samples_of(a)) for a in args]), results)
        self._name = name
        self._pull_back: Callable[..., Sequence[Any]] | None = pull_back
        for level in reversed(levels_of(args)):
            self._pull_back = _mapped(level, self._pull_back, args)
            args = [a.inner if level.varies(a) else a for a in args]

    @property
    def name(self) -> str:
        return self._name

    def backward(self, cotangents: tuple[Tensor | None, ...]) -> Sequence[Tensor | None]:
        if self._pull_back is None:
            raise AutogradError(f"backward through {self._name} a second time; pass retain_graph=True")
        return self._pull_back(cotangents)

    def release(self) -> None:
        self._pull_back = None


def _mapped(level: Level, pull_back: Callable[..., Sequence[Any]], args: Sequence[Any]) -> Callable[..., Sequence[Any]]:
    """`pull_back` of samples as one of the tensors of all samples of `level`."""
    varies = [level.varies(a) for a in args]

    def mapped(cotangents: Sequence[Any]) -> Sequence[Any]:
        with level:
            found = pull_back([None if c is None else above(c, level) for c in cotangents])
            whole = [None if g is None else beneath(g, level) for g in found]
            return [g if g is None or v else g.sum(0) for g, v in zip(whole, varies, strict=True)]

    return mapped
