"""Einstein summation, reduced to permutations, reshapes and batched matrix products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tracegraph.errors import ArgumentError, ShapeError
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim
from tracegraph.ops.core.autocast import Autocast
from tracegraph.ops.core.definition import Handle, define_op
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import equal
from tracegraph.ops.kinds import Derived


@define_op
class Einsum(Derived):
    """Sum of products over named dimensions: `einsum("bij,bjk->bik", a, b)`.

    A letter names a dimension; letters that the output lacks are summed over; a letter repeated within one operand
    takes the diagonal; `...` stands for further dimensions, which broadcast. Without `->` the output has the letters
    that occur once, in alphabetical order.
    """

    signature = "(equation: str, operands: Tensors)"
    method = False
    autocast = Autocast.LOW
    samples = samples(
        call("ij,jk->ik", [A((3, 4)), A((4, 5))]),
        call("ij,jk", [A((3, 4)), A((4, 5))]),
        call("bhqd,bhkd->bhqk", [A((2, 3, 4, 5)), A((2, 3, 6, 5))]),
        call("...ij,...jk->...ik", [A((2, 3, 4)), A((4, 5))]),
        call("ii->i", [A((3, 3))]),
        call("ii", [A((3, 3))]),
        call("ij->ji", [A((3, 4))]),
        call("ij->j", [A((3, 4))]),
        call("i,j->ij", [A((3,)), A((4,))]),
        call("ij,j,jk->k", [A((3, 4)), A((4,)), A((4, 2))]),
        call("i,i->", [A((5,)), A((5,))]),
        call("bn,anm,bm->ba", [A((2, 3)), A((4, 3, 2)), A((2, 2))]),
    )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) > 1 and not isinstance(args[1], list | tuple):
            args = (args[0], list(args[1:]))
        return super().__call__(*args, **kwargs)

    def decompose(self, *operands: Handle, equation: str) -> Handle:
        inputs, output = parse_equation(equation, [t.ndim for t in operands])
        terms = [_diagonals(Term(t, names)) for t, names in zip(operands, inputs, strict=True)]
        _check_sizes(equation, terms)
        for i, term in enumerate(terms):
            later = {n for t in terms[i + 1 :] for n in t.names} | {n for t in terms[:i] for n in t.names}
            terms[i] = _sum_out(term, later | set(output))
        while len(terms) > 1:
            first, second, *rest = terms
            kept = {n for t in rest for n in t.names} | set(output)
            terms = [_contract(first, second, kept), *rest]
        return _permuted(_sum_out(terms[0], set(output)), output).tensor


@dataclass(frozen=True)
class Term:
    """A tensor and the name of each of its dimensions."""

    tensor: Handle
    names: str

    @property
    def sizes(self) -> dict[str, Dim]:
        return dict(zip(self.names, self.tensor.shape, strict=True))


def parse_equation(equation: str, ranks: list[int]) -> tuple[list[str], str]:
    """The dimension names of each operand and of the output, with private names for `...`.

    Raises:
        ArgumentError: a malformed equation, or one that does not fit the number or ranks of the operands.
    """
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    parts = left.split(",")
    for part in [*parts, right]:
        letters = part.replace("...", "", 1)
        if letters and not (letters.isascii() and letters.isalpha()):
            raise ArgumentError(f"einsum: {equation!r} is malformed at {part!r}; use letters, ',', '...' and '->'")
    if len(parts) != len(ranks):
        raise ArgumentError(f"einsum: {equation!r} names {len(parts)} operands, got {len(ranks)}")
    extra = [_ellipsis_rank(equation, i, part, rank) for i, (part, rank) in enumerate(zip(parts, ranks, strict=True))]
    inputs = [p.replace("...", _ELLIPSIS[len(_ELLIPSIS) - e :]) for p, e in zip(parts, extra, strict=True)]
    ellipsis = _ELLIPSIS[len(_ELLIPSIS) - max(extra, default=0) :]
    if not arrow:
        everything = "".join(p.replace("...", "") for p in parts)
        return inputs, ellipsis + "".join(sorted(n for n in set(everything) if everything.count(n) == 1))
    output = right.replace("...", ellipsis)
    for n in output:
        if output.count(n) > 1:
            raise ArgumentError(f"einsum: {equation!r} names the output dimension {n!r} twice")
        if not any(n in names for names in inputs):
            raise ArgumentError(f"einsum: {equation!r} names the output dimension {n!r}, which no operand has")
    return inputs, output


#: private names of the dimensions that `...` stands for, aligned at the last
_ELLIPSIS = "0123456789"


def _ellipsis_rank(equation: str, position: int, part: str, rank: int) -> int:
    named = len(part.replace("...", ""))
    if named > rank or (named < rank and "..." not in part):
        raise ArgumentError(
            f"einsum: {equation!r} names {named} dimensions of operand {position}, which has {rank}"
            f"{'; write ... for further dimensions' if named < rank else ''}"
        )
    return rank - named


def _check_sizes(equation: str, terms: list[Term]) -> None:
    sizes: dict[str, Dim] = {}
    for term in terms:
        for name, size in term.sizes.items():
            known = sizes.setdefault(name, size)
            if dims.same(known, 1):
                sizes[name] = size
            elif not dims.same(size, 1) and not equal(known, size):
                what = "a dimension of '...'" if name in _ELLIPSIS else f"dimension {name!r}"
                shapes = ", ".join(str(list(t.tensor.shape)) for t in terms)
                raise ShapeError(f"einsum({equation!r}): {what} has sizes {known} and {size} in operands {shapes}")


def _diagonals(term: Term) -> Term:
    """A term that names every dimension once."""
    tensor, names = term.tensor, term.names
    for name in dict.fromkeys(names):
        while names.count(name) > 1:
            first = names.index(name)
            second = names.index(name, first + 1)
            if not equal(tensor.shape[first], tensor.shape[second]):
                raise ShapeError(
                    f"einsum: {name!r} names two dimensions of one operand with sizes {tensor.shape[first]} and "
                    f"{tensor.shape[second]}"
                )
            tensor = tensor.diagonal(0, first, second)
            names = names[:first] + names[first + 1 : second] + names[second + 1 :] + name
    return Term(tensor, names)


def _sum_out(term: Term, kept: set[str]) -> Term:
    """Sum over the dimensions outside `kept`."""
    away = tuple(i for i, n in enumerate(term.names) if n not in kept)
    if not away:
        return term
    return Term(term.tensor.sum(away), "".join(n for n in term.names if n in kept))


def _permuted(term: Term, names: str) -> Term:
    order = tuple(term.names.index(n) for n in names)
    return term if names == term.names else Term(term.tensor.permute(order), names)


def _contract(a: Term, b: Term, kept: set[str]) -> Term:
    """The product of two terms, summed over the names outside `kept`: one batched matrix product."""
    shared = [n for n in a.names if n in b.names]
    # a size of 1 against another broadcasts: drop it where it is 1
    for n in shared:
        a_one, b_one = dims.same(a.sizes[n], 1), dims.same(b.sizes[n], 1)
        if a_one and not b_one:
            a = _squeezed(a, n)
        elif b_one and not a_one:
            b = _squeezed(b, n)
    batch = "".join(n for n in a.names if n in b.names and n in kept)
    summed = "".join(n for n in a.names if n in b.names and n not in kept)
    a, b = _sum_out(a, kept | set(b.names)), _sum_out(b, kept | set(a.names))
    rows = "".join(n for n in a.names if n not in b.names)
    columns = "".join(n for n in b.names if n not in a.names)
    sizes = {**a.sizes, **b.sizes}
    if not summed:
        left = _grouped(a, batch, rows, tuple(columns), sizes, trailing=True)
        return Term(left * _grouped(b, batch, columns, tuple(rows), sizes, trailing=False), batch + rows + columns)
    extents = [_extent(names, sizes) for names in (rows, summed, columns)]
    batch_sizes = tuple(sizes[n] for n in batch)
    left = _permuted(a, batch + rows + summed).tensor.reshape((*batch_sizes, extents[0], extents[1]))
    right = _permuted(b, batch + summed + columns).tensor.reshape((*batch_sizes, extents[1], extents[2]))
    names = batch + rows + columns
    return Term(left.matmul(right).reshape(tuple(sizes[n] for n in names)), names)


def _grouped(term: Term, batch: str, own: str, other: tuple[str, ...], sizes: dict[str, Dim], trailing: bool) -> Handle:
    """The tensor with size-1 dimensions where the other operand's own dimensions go."""
    tensor = _permuted(term, batch + own).tensor
    ones = (1,) * len(other)
    own_sizes = tuple(sizes[n] for n in own)
    middle = (*own_sizes, *ones) if trailing else (*ones, *own_sizes)
    return tensor.reshape((*(sizes[n] for n in batch), *middle)) if ones else tensor


def _squeezed(term: Term, name: str) -> Term:
    position = term.names.index(name)
    return Term(term.tensor.squeeze(position), term.names.replace(name, ""))


def _extent(names: str, sizes: dict[str, Dim]) -> Dim:
    return dims.product(tuple(sizes[n] for n in names))
