"""A tensor of a graph that may write in place: the memory in which it lies, and the views that lead to it."""

from __future__ import annotations

from collections.abc import Mapping

from tracegraph.aot.record import ViewChain
from tracegraph.ir import TensorType, Value, lookup
from tracegraph.ir import dim as dims
from tracegraph.ops.core.layout import Shape, Strides, contiguous_strides, is_contiguous
from tracegraph.ops.core.shared_memory import Member
from tracegraph.ops.indexing.basic_index import canonical_entries
from tracegraph.ops.kinds import View


class Alias:
    """A tensor of the original graph: a memory of its own, or the view `op` of `origin`.

    `value` holds its elements as of `version` of the memory.
    """

    __slots__ = (
        "attrs", "counted", "formerly", "has_history", "input", "is_row", "is_written", "op", "origin", "tracked_write",
        "value", "version", "writes",
    )  # fmt: skip

    def __init__(
        self,
        value: Value,
        origin: Alias | None = None,
        op: View | None = None,
        attrs: Mapping[str, object] | None = None,
    ) -> None:
        self.value = value
        self.origin = origin
        self.op = op
        self.attrs = attrs or {}
        self.version: int = origin.root.version if origin is not None else 0
        #: of a detached alias: whether it was written to
        self.has_history = False
        #: of an input of the graph: its position; of a memory that several lie in: that of one that counts with it
        self.input: int | None = None
        #: whether it is a memory in which several inputs lie
        self.is_row = False
        #: of an input or a root: whether a write took part in its history, that is, did not go through a detached view
        self.tracked_write = False
        #: of an input: whether it was written to, through any view of it
        self.is_written = False
        #: of what counts its versions: how often it was written to; of an input that shares its memory: how many of
        #: the writes to that were to this input
        self.writes = 0
        #: of a tensor that was given other memory: what it was before, whose counter it keeps
        self.formerly: Alias | None = None
        #: how many writes `value` has seen
        self.counted = self.counter.writes

    @property
    def counter(self) -> Alias:
        """The alias that counts the writes to this one: the memory, but for views that share no counter with it."""
        if self.formerly is not None:
            return self.formerly.counter
        return self if self.origin is None or (self.op and not self.op.shares_version) else self.origin.counter

    @property
    def is_tensor(self) -> bool:
        """Whether it is the tensor that its counter was made for, and no view of it, in whatever memory by now; or an
        input that lies in a memory with others.
        """
        if self.formerly is not None:
            return self.formerly.is_tensor
        return not self.is_row if self.origin is None else self.input is not None

    @property
    def root(self) -> Alias:
        """The alias that is the whole memory; its version is the memory's."""
        return self if self.origin is None else self.origin.root

    @property
    def start(self) -> Alias:
        """The input that it is, or is a view of, else the root."""
        return self if self.origin is None or self.input is not None else self.origin.start

    @property
    def base(self) -> Alias:
        """The nearest alias that is no view of another one's history, which this alias is a view of, or is."""
        if self.origin is None or self.op is None or self.has_history or self.input is not None:
            return self
        return self.origin.base if self.op.shares_history or not self.op.is_recorded else self

    @property
    def unrecorded(self) -> ViewChain:
        """The step, if there is one, by which it was marked as a view made outside grad mode."""
        if self.op is not None and not self.op.is_recorded:
            return ((self.op, self.attrs),)
        return () if self.origin is None or self is self.base else self.origin.unrecorded

    def chain_from(self, ancestor: Alias) -> ViewChain:
        """The views that make this alias of `ancestor`."""
        if self is ancestor:
            return ()
        assert self.origin is not None and self.op is not None
        return (*self.origin.chain_from(ancestor), (self.op, self.attrs))


def is_dense(alias: Alias) -> bool:
    """Whether the elements lie in row-major order without gaps, so that a tensor of its own is laid out alike."""
    return dims.same_shape(_strides(alias), contiguous_strides(_shape(alias)))


def _strides(alias: Alias) -> Strides:
    if alias.origin is None or alias.op is None:
        return contiguous_strides(_shape(alias))
    strides: Strides = alias.op.strides(_strides(alias.origin), (alias.origin.value.type,), alias.attrs)
    return strides


def _shape(alias: Alias) -> Shape:
    return alias.value.type.shape


def views_of_row(member: Member, type: TensorType, extent: int) -> ViewChain:
    """The views that show a member, of this type, in the row of so many elements that its memory is."""
    if not is_contiguous(type.shape, member.stride):
        attrs = {"size": type.shape, "stride": member.stride, "storage_offset": member.offset}
        return ((_view("as_strided"), attrs),)
    part = slice(member.offset, member.offset + type.numel)
    index = canonical_entries((part,), (extent,))
    return ((_view("basic_index"), {"index": index}), (_view("view"), {"size": type.shape}))


def _view(name: str) -> View:
    op = lookup(name)
    assert isinstance(op, View)
    return op
