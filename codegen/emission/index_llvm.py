"""Index expressions as i64 arithmetic.

Sums and products carry `nsw`: an index that overflowed would be out of bounds anyway, and the loop
vectoriser needs to know that addresses are linear. Divisions of what is known not to be negative become
unsigned.
"""

from __future__ import annotations

from collections.abc import Callable

from tracegraph.codegen.llvm import llvm_ops as ops
from tracegraph.codegen.llvm.llvm_text import FunctionText, Register
from tracegraph.codegen.loops.loop_index import Atom, BinaryAtom, Index, IndexFunction, Name, ValueRef, index

Lookup = Callable[[Name | ValueRef], Register]


class IndexEmitter:
    """Emits indices of one function; `lookup` gives the registers of names and values."""

    def __init__(self, function: FunctionText, lookup: Lookup) -> None:
        self.function = function
        self.lookup = lookup
        self.not_negative: set[str] = set()

    def emit(self, expression: Index) -> Register:
        """The value of the expression."""
        total: Register | None = None
        for monomial, coefficient in expression.terms:
            term = self._term(monomial, coefficient)
            total = term if total is None else self.function.binary("add", total, term, "nsw")
        return self.function.const(0, "i64") if total is None else total

    def is_not_negative(self, expression: Index) -> bool:
        """Whether the expression is known to be at least 0."""
        return all(
            coefficient >= 0 and all(self._atom_is_not_negative(atom) for atom in monomial)
            for monomial, coefficient in expression.terms
        )

    def linear(self, indices: tuple[Index, ...], strides: tuple[Index, ...]) -> Register:
        """The offset in elements of one element of a buffer."""
        total = index(0)
        for position, stride in zip(indices, strides, strict=True):
            total = total + position * stride
        return self.emit(total)

    def _atom_is_not_negative(self, atom: Atom) -> bool:
        if isinstance(atom, Name):
            return atom.name in self.not_negative
        if isinstance(atom, ValueRef):
            return False
        left, right = self.is_not_negative(atom.left), self.is_not_negative(atom.right)
        return {
            IndexFunction.FLOORDIV: left,
            IndexFunction.MOD: True,
            IndexFunction.MIN: left and right,
            IndexFunction.MAX: left or right,
        }[atom.function]

    def _term(self, monomial: tuple[Atom, ...], coefficient: int) -> Register:
        factors = [self._atom(atom) for atom in monomial]
        if coefficient != 1 or not factors:
            factors.append(self.function.const(coefficient, "i64"))
        product = factors[0]
        for factor in factors[1:]:
            product = self.function.binary("mul", product, factor, "nsw")
        return product

    def _atom(self, atom: Atom) -> Register:
        if not isinstance(atom, BinaryAtom):
            return self.lookup(atom)
        left, right = self.emit(atom.left), self.emit(atom.right)
        if atom.function is IndexFunction.MIN:
            return ops.intrinsic("smin", left, right)
        if atom.function is IndexFunction.MAX:
            return ops.intrinsic("smax", left, right)
        # a size that is zero may stand as divisor where the loop around it runs no iteration
        divisor = right if atom.right.constant else ops.intrinsic("smax", right, 1)
        return self._divide(atom.function, left, divisor, self.is_not_negative(atom.left))

    def _divide(self, which: IndexFunction, left: Register, right: Register, unsigned: bool) -> Register:
        is_quotient = which is IndexFunction.FLOORDIV
        if unsigned:
            return self.function.binary("udiv" if is_quotient else "urem", left, right)
        remainder = self.function.binary("srem", left, right)
        is_below = ops.compare("slt", remainder, 0)
        if is_quotient:
            quotient = self.function.binary("sdiv", left, right)
            return quotient - ops.convert("zext", is_below, "i64")
        return remainder + ops.select(is_below, right, 0)
