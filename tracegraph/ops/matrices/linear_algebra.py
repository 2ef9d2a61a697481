"""Matrix products of fixed ranks, and products added to a tensor: all reduce to `matmul`."""

from __future__ import annotations

from typing import ClassVar

from tracegraph.errors import ShapeError
from tracegraph.ops import functional as F
from tracegraph.ops.core.autocast import Autocast
from tracegraph.ops.core.definition import Handle, define_op
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import describe, equal
from tracegraph.ops.kinds import Derived


class RankedProduct(Derived):
    """A `matmul` that takes operands of fixed ranks only."""

    signature = "(input: Tensor, other: Tensor)"
    ranks: ClassVar[tuple[int, int]]

    def check(self, *operands: Handle) -> None:
        for p, operand, rank in zip(self.binder.parameters, operands, self.ranks, strict=True):
            if operand.ndim != rank:
                raise ShapeError(
                    f"{self.name}: {p.name} {describe(operand)} must have {rank} dimensions; matmul takes any number"
                )

    def decompose(self, a: Handle, b: Handle) -> Handle:
        self.check(a, b)
        return a.matmul(b)


@define_op
class Mm(RankedProduct):
    """Product of two matrices."""

    signature = "(input: Tensor, mat2: Tensor)"
    ranks = (2, 2)
    autocast = Autocast.LOW
    samples = samples(call(A((3, 4)), A((4, 5))), call(A((0, 4)), A((4, 5))))


@define_op
class Mv(RankedProduct):
    """Product of a matrix and a vector."""

    signature = "(input: Tensor, vec: Tensor)"
    ranks = (2, 1)
    samples = samples(call(A((3, 4)), A((4,))))


@define_op
class Dot(RankedProduct):
    """Sum of the products of the elements of two vectors."""

    signature = "(input: Tensor, tensor: Tensor)"
    ranks = (1, 1)
    samples = samples(call(A((7,)), A((7,))), call(A((0,)), A((0,))))


@define_op
class Bmm(RankedProduct):
    """Products of two stacks of equally many matrices; nothing broadcasts."""

    signature = "(input: Tensor, mat2: Tensor)"
    ranks = (3, 3)
    autocast = Autocast.LOW
    samples = samples(call(A((2, 3, 4)), A((2, 4, 5))))

    def check(self, *operands: Handle) -> None:
        super().check(*operands)
        a, b = operands
        if not equal(a.shape[0], b.shape[0]):
            raise ShapeError(
                f"bmm: input {describe(a)} and mat2 {describe(b)} differ in the number of matrices; matmul broadcasts "
                "them"
            )


@define_op
class Outer(Derived):
    """Products of every element of one vector with every element of another."""

    aliases = ("ger",)
    signature = "(input: Tensor, vec2: Tensor)"
    samples = samples(call(A((3,)), A((4,))), call(A((0,)), A((4,))))

    def decompose(self, a: Handle, b: Handle) -> Handle:
        for name, t in (("input", a), ("vec2", b)):
            if t.ndim != 1:
                raise ShapeError(f"outer: {name} {describe(t)} must have one dimension; flatten() it first")
        return a.unsqueeze(1) * b


class AddedProduct(Derived):
    """`beta * input + alpha * product`, the input broadcasting; beta = 0 ignores the input, even nan."""

    inplace = True
    product: ClassVar[str]

    def decompose(self, input: Handle, a: Handle, b: Handle, *, beta: float, alpha: float) -> Handle:
        result = getattr(F, self.product)(a, b)
        if alpha != 1:
            result = alpha * result
        if beta == 0:
            return result
        return result + (input if beta == 1 else beta * input)


@define_op
class Addmm(AddedProduct):
    """beta * input + alpha * (mat1 @ mat2)."""

    signature = "(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: number = 1, alpha: number = 1)"
    product = "mm"
    autocast = Autocast.LOW
    samples = samples(
        call(A((5,)), A((3, 4)), A((4, 5))),
        call(A((3, 5)), A((3, 4)), A((4, 5)), beta=0.5, alpha=2.0),
        call(A((3, 5)), A((3, 4)), A((4, 5)), beta=0, differentiable=False),
    )


@define_op
class Addmv(AddedProduct):
    """beta * input + alpha * (mat @ vec)."""

    signature = "(input: Tensor, mat: Tensor, vec: Tensor, *, beta: number = 1, alpha: number = 1)"
    product = "mv"
    samples = samples(call(A((3,)), A((3, 4)), A((4,)), alpha=2.0))


@define_op
class Baddbmm(AddedProduct):
    """beta * input + alpha * (batch1 @ batch2)."""

    signature = "(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: number = 1, alpha: number = 1)"
    product = "bmm"
    autocast = Autocast.LOW
    samples = samples(call(A((2, 3, 5)), A((2, 3, 4)), A((2, 4, 5)), beta=0.5))
