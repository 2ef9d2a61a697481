"""Batching rules: how a call does to every sample of a batch at once what it does to one (see `graphs.batched`).

A rule is given a `Batch`, the call with some operands that have one more dimension, the first, along which the samples
lie; and gives the results with that dimension. NotImplemented says that it does not cover the call: then its
decomposition is batched, or else one sample is computed after another (`one_by_one`).

An op has its rule as its method `batched`; kinds have one where what they promise is enough to say it. The rules here
are those that several ops share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from tracegraph.errors import DataDependentError, VmapError
from tracegraph.ir import TensorType
from tracegraph.ir.dim import Dim
from tracegraph.ops import functional as F
from tracegraph.ops.core.arguments import is_tensor
from tracegraph.ops.core.definition import Definition, Handle
from tracegraph.ops.core.dispatch import dispatch


class Batch:
    """One call for all samples.

    Args:
        size: the number of samples.
        operands: tensors, numbers and None.
        varies: of each operand, whether it differs from sample to sample: then its first dimension is that of samples.
    """

    def __init__(
        self, op: Definition, size: Dim, operands: tuple[Any, ...], varies: Sequence[bool], attrs: dict[str, Any]
    ) -> None:
        self.op = op
        self.size = size
        self.operands = operands
        self.varies = tuple(varies)
        self.attrs = attrs

    @cached_property
    def types(self) -> tuple[Any, ...]:
        """The operands of one sample, types for tensors."""
        return tuple(
            TensorType(o.dtype, tuple(o.shape)[v:]) if is_tensor(o) else o
            for o, v in zip(self.operands, self.varies, strict=True)
        )

    def rank(self, position: int) -> int:
        """The number of dimensions that an operand has in one sample."""
        return self.operands[position].ndim - self.varies[position]

    def spread(self, position: int) -> Handle:
        """An operand with the dimension of samples, repeated along it if it is the same for all."""
        operand = self.operands[position]
        return operand if self.varies[position] or not is_tensor(operand) else repeated(operand, self.size)

    def every(self) -> tuple[Any, ...]:
        """All operands, tensors with the dimension of samples."""
        return tuple(self.spread(i) for i in range(len(self.operands)))

    def padded(self, position: int, rank: int) -> Handle:
        """An operand that has at least `rank` dimensions in one sample, new ones of size 1 first.

        One that is the same for all samples is left to broadcasting.
        """
        operand = self.operands[position]
        missing = rank - self.rank(position)
        return with_ones(operand, 1, missing) if self.varies[position] and missing > 0 else operand

    def only(self, position: int) -> bool:
        """Whether this operand alone differs from sample to sample."""
        return self.varies[position] and sum(self.varies) == 1

    def call(self, operands: Sequence[Any], **changes: Any) -> Any:
        """The results of the op, on these operands, with the attributes of this call but for `changes`."""
        return dispatch(self.op, tuple(operands), {**self.attrs, **changes})


def repeated(x: Handle, size: Dim) -> Handle:
    """`x` once for every sample, without copying."""
    return F.expand(x, (size, *x.shape))


def with_ones(x: Handle, at: int, count: int) -> Handle:
    """A view of `x` with `count` dimensions of size 1 before dimension `at`."""
    return F.basic_index(x, (*(slice(None),) * at, *(None,) * count)) if count > 0 else x


def each(results: Any, change: Callable[[Handle], Handle]) -> Any:
    """What an op returned with every tensor changed."""
    if not isinstance(results, tuple):
        return change(results)
    changed = [change(r) for r in results]
    return type(results)(*changed) if hasattr(results, "_fields") else tuple(changed)


# --------------------------------------------------------------------------------------------- rules


def passed(op: Definition, batch: Batch) -> Any:
    """For ops that do the same whatever dimensions come first: leading ones are a batch already."""
    return batch.call(batch.every())


def passed_input(op: Definition, batch: Batch) -> Any:
    """As `passed`, if only the first operand differs from sample to sample."""
    return batch.call(batch.operands) if batch.only(0) else NotImplemented


def folded_images(op: Definition, batch: Batch) -> Any:
    """For ops on images [N, C, H, W] or [C, H, W]: the samples, and the images of each, are the N."""
    if not batch.only(0):
        return NotImplemented
    x, *others = batch.operands
    if batch.rank(0) == 3:
        return batch.call((x, *others))
    shape = tuple(x.shape)
    results = batch.call((F.reshape(x, (shape[0] * shape[1], *shape[2:])), *others))
    return each(results, lambda r: F.reshape(r, (*shape[:2], *tuple(r.shape)[1:])))


def along_dims(op: Definition, batch: Batch) -> Any:
    """For ops along dimensions that they are told: these are one further behind.

    sum(x: f32[3, 4], dim=[1])  -->  sum(x: f32[N, 3, 4], dim=[2])
    """
    operands = batch.every()
    rank = batch.rank(0)
    if not rank:  # a 0-d tensor takes the dims 0 and -1: give it one
        operands = tuple(with_ones(o, 1, 1) if is_tensor(o) else o for o in operands)
    changes: dict[str, Any] = {}
    flat = None
    for parameter in op.binder.parameters:
        if parameter.name not in batch.attrs:
            continue
        value = batch.attrs[parameter.name]
        if parameter.sort == "dims":
            every = tuple(range(1, max(rank, 1) + 1))
            changes[parameter.name] = every if value is None else tuple(d + 1 for d in value)
        elif parameter.sort == "dim" or (parameter.sort == "OptionalDim" and value is not None):
            changes[parameter.name] = value + 1
        elif parameter.sort == "OptionalDim":
            flat, changes[parameter.name] = parameter.name, 1
    if flat is not None:  # along all dimensions in a row
        operands = tuple(F.flatten(o, 1) if is_tensor(o) and o.ndim > 2 else o for o in operands)
    results = batch.call(operands, **changes)
    if flat is not None and batch.attrs.get("keepdim"):
        return each(results, lambda r: F.reshape(r, (batch.size, *(1,) * rank)))
    return results if rank else each(results, lambda r: F.select(r, 1, 0) if r.ndim > 1 else r)


def one_by_one(op: Definition, batch: Batch) -> Any:
    """One sample after another.

    Raises:
        VmapError: the shape of the result depends on elements.
    """
    try:
        types = op.infer(*batch.types, **batch.attrs)
    except DataDependentError:
        raise VmapError(
            f"vmap: the shape of what {op.name} gives depends on elements, and may differ from sample to sample; use "
            "an operation whose result has a fixed shape, such as where(...)"
        ) from None
    rows = []
    for position in range(int(batch.size)):
        operands = [o[position] if v else o for o, v in zip(batch.operands, batch.varies, strict=True)]
        result = batch.call(operands)
        rows.append(result if isinstance(result, tuple) else (result,))
    if not rows:
        return op.pack([F.zeros((0, *t.shape), dtype=t.dtype) for t in types])
    return op.pack([F.stack(list(column)) for column in zip(*rows, strict=True)])
