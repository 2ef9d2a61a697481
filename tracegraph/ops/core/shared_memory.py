"""A memory in which several tensors lie, and where in it each of them does.

What capture guards, what functionalising derives the tensors from, and what a call compares are the same facts.
"""

from __future__ import annotations

from dataclasses import dataclass

from tracegraph.dtypes import DType


@dataclass(frozen=True)
class Member:
    """A tensor in a shared memory.

    Attributes:
        position: its number among the tensors that were looked at.
        offset: the place of its first element, in elements from the beginning of the memory.
        stride: its strides in elements, 0 for dimensions of size 1.
        counter: the position of the first member that counts its versions together with it.
        requires_grad: whether it has a history of its own, or is to get gradients.
    """

    position: int
    offset: int
    stride: tuple[int, ...]
    counter: int
    requires_grad: bool


@dataclass(frozen=True)
class SharedMemory:
    """The memory from the first to the last element of tensors that overlap, as one row of elements.

    Attributes:
        extent: how many elements.
        refusal: why it cannot be seen as one row; "" if it can.
    """

    dtype: DType
    extent: int
    members: tuple[Member, ...]
    refusal: str = ""

    @property
    def counter(self) -> int:
        """Which counter counts for the row: that of the members that have no history of their own."""
        return next((m.counter for m in self.members if not m.requires_grad), self.members[0].counter)

    def is_own_counter(self, member: Member) -> bool:
        """Whether a member counts its versions apart from the row."""
        return member.counter != self.counter

    @property
    def is_countable(self) -> bool:
        """Whether the row's counter, and one for each member that has a history of its own, are all there are."""
        apart = [m for m in self.members if self.is_own_counter(m)]
        return all(m.requires_grad for m in apart) and len({m.counter for m in apart}) == len(apart)

    @property
    def positions(self) -> frozenset[int]:
        """The positions of the members."""
        return frozenset([m.position for m in self.members])
