"""The shape of a tensor as programs see it: a tuple of sizes that knows its number of elements."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from typing import Any, SupportsIndex, overload

from tracegraph.errors import ArgumentError
from tracegraph.ir import dim as dims

_item: Any = tuple.__getitem__


class Size(tuple[int, ...]):
    """The shape of a tensor. Slices of it, sums with tuples and multiples are shapes too; it is equal to a tuple.

    In captured code sizes that vary are `SymExpr`s.

    Raises:
        ArgumentError: a size is no int.
    """

    __slots__ = ()
    __module__ = "tracegraph"  # its name in pickles

    def __new__(cls, sizes: Iterable[int] = ()) -> Size:
        self = tuple.__new__(cls, sizes)
        for i, size in enumerate(self):
            if not isinstance(size, Integral | dims.SymExpr):
                raise ArgumentError(f"Size() takes ints, item {i} is {size!r} ({type(size).__name__})")
        return self

    def numel(self) -> int:
        """The number of elements: the product of the sizes, 1 if there are none."""
        count = 1
        for size in self:
            count = count * size
        return count

    @overload
    def __getitem__(self, index: SupportsIndex) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Size: ...
    def __getitem__(self, index: Any) -> Any:
        found = _item(self, index)
        return tuple.__new__(Size, found) if type(index) is slice else found

    def __add__(self, other: Any) -> Any:
        return tuple.__new__(Size, tuple.__add__(self, other)) if isinstance(other, tuple) else NotImplemented

    def __radd__(self, other: Any) -> Any:
        return tuple.__new__(Size, tuple.__add__(other, self)) if isinstance(other, tuple) else NotImplemented

    def __mul__(self, times: SupportsIndex) -> Size:
        return tuple.__new__(Size, tuple.__mul__(self, times))

    __rmul__ = __mul__

    def __copy__(self) -> Size:
        return self

    def __deepcopy__(self, memo: object) -> Size:
        return self

    def __repr__(self) -> str:
        return f"tracegraph.Size({list(self)})"


class _Sizes(dict[tuple[int, ...], Size]):
    """The Size of every shape that was asked for of late, so that reading a shape makes no object."""

    LIMIT = 4096

    def __missing__(self, shape: tuple[int, ...]) -> Size:
        if len(self) >= self.LIMIT:
            self.clear()
        size = self[shape] = tuple.__new__(Size, shape)
        return size


#: of shapes whose sizes are numbers
SIZES = _Sizes()


def size_of(shape: tuple[Any, ...]) -> Size:
    """A shape, which may have symbolic sizes, as programs see it."""
    return shape if type(shape) is Size else tuple.__new__(Size, shape)
