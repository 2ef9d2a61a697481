"""Batched handles: what a function that is mapped over samples (`vmap`) sees of its arguments.

A batched handle is one sample, by shape, and all of them, by elements: its `inner` handle has the dimension of samples
first. An op on batched handles is dispatched to the op's batching rule (`kinds.batching`), which computes on inner
handles; these may be eager tensors, traced ones, or batched ones of an enclosing `vmap`:

    vmap(lambda x: x.sum() * 2)(xs)     x: f32[3], its inner handle xs: f32[N, 3]
                                        sum(x)     -->  sum(xs, dim=[1]): f32[N]
                                        mul(., 2)  -->  mul(., 2): f32[N]

A tensor that is no batched handle is the same for all samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, NoReturn

from tracegraph.dtypes import DType
from tracegraph.errors import VmapError
from tracegraph.ir import Graph, Kind, TensorType
from tracegraph.ir.builder import Builder
from tracegraph.ir.dim import Dim
from tracegraph.ops import functional as F
from tracegraph.ops.core import dispatch
from tracegraph.ops.core.definition import Definition, Handle
from tracegraph.ops.core.device import Device
from tracegraph.ops.core.size import Size, size_of
from tracegraph.ops.graphs.graph_module import GraphModule
from tracegraph.ops.graphs.recording import Recorder
from tracegraph.ops.handles.methods import TensorMethods
from tracegraph.ops.kinds.batching import Batch, each, one_by_one, repeated
from tracegraph.settings import ThreadStack

#: the levels of the calls of `vmap` under way on this thread
LEVELS = ThreadStack.register()

#: what becomes of random numbers: refused, one draw for every sample, one draw for all
RANDOMNESS = ("error", "different", "same")


class Level:
    """One call of `vmap`: active in a `with` block, in which its batched handles may be used.

    Args:
        size: the number of samples.
        randomness: one of RANDOMNESS.
        handle: makes its handles.
        drawn: keys that are the same for all samples, those of earlier calls; what is drawn beyond is added.
    """

    def __init__(
        self, size: Dim, randomness: str, handle: Callable[[Level, Handle], Any], drawn: list[Handle] | None = None
    ) -> None:
        self.size = size
        self._drawn = [] if drawn is None else drawn
        self._draws = 0
        self.randomness = randomness
        self.handle = handle
        #: the number of levels around this one
        self.depth = 0
        self._outer: dispatch.Handler | None = None
        self._blocks: list[ExitStack] = []

    def __enter__(self) -> Level:
        block = ExitStack()
        if not self._blocks:  # else it is active already: a gradient formula of a function that it maps
            self.depth = len(LEVELS.stack)
            self._outer = dispatch.creation_handler()
            block.enter_context(LEVELS.pushed(self))
            block.enter_context(dispatch.creation(self.create))
        self._blocks.append(block)
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None) -> None:
        self._blocks.pop().close()

    def wrap(self, inner: Handle) -> Any:
        """The batched handle of a tensor whose first dimension is that of samples."""
        return self.handle(self, inner)

    def varies(self, tensor: Any) -> bool:
        """Whether `tensor` differs from sample to sample of this level."""
        return isinstance(tensor, BatchedMethods) and tensor.level is self

    def spread(self, tensor: Handle) -> Handle:
        """The tensor of all samples, of one of them."""
        return tensor.inner if self.varies(tensor) else repeated(tensor, self.size)

    def create(self, op: Definition, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        """The dispatch handler of ops without tensor operands inside the block."""
        assert self._outer is not None
        if op.kind is not Kind.EFFECT:
            return self._outer(op, operands, attrs)
        if self.randomness == "error":
            raise VmapError(
                "vmap: the function draws random numbers; say by randomness='different' or 'same' whether every "
                "sample has its own, or draw them before and pass them in"
            )
        if self.randomness == "different":
            return self.wrap(repeated(self._outer(op, operands, attrs), self.size))
        self._draws += 1
        if self._draws > len(self._drawn):
            self._drawn.append(self._outer(op, operands, attrs))
        return self._drawn[self._draws - 1]

    def check_active(self) -> None:
        """Raise VmapError outside of the block."""
        if not self._blocks:
            raise VmapError("vmap: a tensor of the mapped function is used after the call; return it instead")


def _refused(what: str, hint: str) -> Callable[..., NoReturn]:
    def method(self: BatchedMethods, *args: Any, **kwargs: Any) -> NoReturn:
        raise VmapError(
            f"vmap: {what} of a tensor of shape {list(self.shape)} that differs from sample to sample; {hint}"
        )

    return method


_NO_ELEMENTS = "the function runs once for all samples, so elements are not at hand: compute with tensors instead"
_NO_BRANCH = "the function runs once for all samples: use where(...) or cond(...)"


class BatchedMethods:
    """What batched handles of all kinds have in common. A subclass has the attributes `level` and `inner`."""

    __slots__ = ()

    level: Level
    inner: Any

    @property
    def shape(self) -> Size:
        return size_of(tuple(self.inner.shape)[1:])

    @property
    def ndim(self) -> int:
        return len(self.inner.shape) - 1

    def stride(self, dim: int | None = None) -> Any:
        """Strides in elements, within one sample."""
        strides = tuple(self.inner.stride())[1:]
        return strides if dim is None else strides[dim]

    def is_contiguous(self) -> bool:
        """Whether the elements of a sample lie dense in row-major order."""
        return TensorMethods.is_contiguous(self)  # type: ignore[arg-type]

    @property
    def requires_grad(self) -> bool:
        return bool(self.inner.requires_grad)

    @requires_grad.setter
    def requires_grad(self, requires_grad: bool) -> None:
        raise VmapError("vmap: requires_grad cannot be set in the mapped function; differentiate in it with func.grad")

    def new_tensor(self, data: Any, dtype: DType | None = None, device: Device | str | None = None) -> Any:
        """A tensor with a copy of `data`, the same for all samples, by default of this tensor's dtype."""
        return self.inner.new_tensor(data, dtype, device)

    def _like_self(self, made: Handle) -> Any:
        return self.level.wrap(F.clone(repeated(made, self.level.size)))

    def __len__(self) -> int:
        return TensorMethods.__len__(self)  # type: ignore[arg-type]

    def __iter__(self) -> Any:
        return iter(F.unbind(self, 0))

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"{type(self).__name__}(level={self.level.depth}, samples={self.inner!r})"

    item = _refused(".item()", _NO_ELEMENTS)
    tolist = _refused(".tolist()", _NO_ELEMENTS)
    numpy = _refused(".numpy()", _NO_ELEMENTS)
    __array__ = _refused("a numpy array", _NO_ELEMENTS)
    __float__ = _refused("float()", _NO_ELEMENTS)
    __int__ = _refused("int()", _NO_ELEMENTS)
    __complex__ = _refused("complex()", _NO_ELEMENTS)
    __index__ = _refused("an index or a size", _NO_ELEMENTS)
    __bool__ = _refused("the truth value", _NO_BRANCH)
    __contains__ = _refused("`in`", _NO_BRANCH)


class BatchedValue(BatchedMethods, TensorMethods):  # type: ignore[misc]
    """A batched handle whose inner handle is a traced one."""

    __slots__ = ("inner", "level")

    def __init__(self, level: Level, inner: Handle) -> None:
        self.level = level
        self.inner = inner

    @property
    def dtype(self) -> DType:  # type: ignore[override]
        found: DType = self.inner.dtype
        return found


def innermost(tensors: Sequence[Any]) -> Level | None:
    """The innermost level that one of `tensors` belongs to."""
    levels = [t.level for t in tensors if isinstance(t, BatchedMethods)]
    return max(levels, key=lambda level: level.depth) if levels else None


def _batch(op: Definition, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
    """The dispatch handler of batched handles."""
    level = innermost(operands)
    assert level is not None
    level.check_active()
    varies = [level.varies(o) for o in operands]
    inner = tuple([o.inner if v else o for o, v in zip(operands, varies, strict=True)])
    batch = Batch(op, level.size, inner, varies, attrs)
    if type(op).batched is not Definition.batched:
        op.infer(*batch.types, **attrs)  # raises what it raises of one sample, where the batch might pass for one
    results = op.batched(batch)
    if results is NotImplemented and op.decompose is not None:
        return op.expand(operands, attrs)
    if results is NotImplemented:
        results = one_by_one(op, batch)
    return results if results is None else each(results, level.wrap)


def register_batched(handle: type[BatchedMethods]) -> None:
    """Let ops on handles of this class be batched."""
    dispatch.register_handler(handle, _batch, rank=20)


register_batched(BatchedValue)


def batch_graph(graph: Graph, varies: Sequence[bool], size: Dim, randomness: str = "error") -> Graph:
    """The graph of one sample as a graph of `size` samples; a pass.

    Inputs that vary, and all outputs, have a new first dimension:

        graph f(%x: f32[3], %w: f32[4, 3]) {          graph f(%x: f32[8, 3], %w: f32[4, 3]) {
          %0: f32[4] = linear(%x, %w)                   %0: f32[8, 4] = linear(%x, %w)
          %1: f32[] = sum(%0)                     -->   %1: f32[8] = sum(%0, dim=[1])
          return %1                                     return %1
        }                                             }

    Raises:
        VmapError: the graph writes what differs from sample to sample into what does not; or it draws random numbers,
            and `randomness` is "error".
    """
    recorder = Recorder(Builder(graph.name))
    level = Level(size, randomness, BatchedValue)
    inputs: list[Any] = []
    for placeholder, v in zip(graph.placeholders, varies, strict=True):
        type = placeholder.type
        type = TensorType(type.dtype, (size, *type.shape)) if v else type
        value = recorder.builder.placeholder(type, placeholder.node.name, placeholder.node.role)
        inputs.append(level.wrap(recorder.traced(value)) if v else recorder.traced(value))
    with recorder.active(), level:
        outputs = GraphModule(graph, recorder.constant).run(inputs)
        found = [level.spread(o).value for o in outputs]
    return recorder.builder.output(*found)
