"""A tensor of a graph that may write in place: the memory in which it lies, and the views that lead to it."""

from __future__ import annotations

from collections.abc import Mapping

from tracegraph.aot.record import ViewChain
from tracegraph.ir import Value
from tracegraph.ir import dim as dims
from tracegraph.ops.core.layout import Shape, Strides, contiguous_strides
from tracegraph.ops.kinds import View


class Alias:
    """A tensor of the original graph: a memory of its own, or the view `op` of `origin`.

    `value` holds its elements as of `version` of the memory.
    """

    __slots__ = (
        "attrs", "counted", "formerly", "has_history", "input", "op", "origin", "tracked_write", "value", "version",
        "writes",
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
        #: of a root: its position among the inputs of the graph
        self.input: int | None = None
        #: of a root: whether a write took part in its history, that is, did not go through a detached view
        self.tracked_write = False
        #: of what counts its versions: how often it was written to
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
        """Whether it is the tensor that its counter was made for, and no view of it, in whatever memory by now."""
        return self.origin is None if self.formerly is None else self.formerly.is_tensor

    @property
    def root(self) -> Alias:
        """The alias that is the whole memory; its version is the memory's."""
        return self if self.origin is None else self.origin.root

    @property
    def base(self) -> Alias:
        """The nearest alias that is no view of another one's history, which this alias is a view of, or is."""
        if self.origin is None or self.op is None or self.has_history:
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
