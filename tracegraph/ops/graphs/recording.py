"""Recording: tensor-shaped handles on graph values, whose operations append to a builder.

Gradient formulas, decompositions and traced user code all run on `Traced` handles. A `Recorder` holds what the
handles of one graph share: the builder, the grad mode, and how foreign tensors enter the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np

from tracegraph.dtypes import DType
from tracegraph.errors import DataDependentError, IRError
from tracegraph.ir import Builder, Kind, TensorType, Value, lookup
from tracegraph.ir import dim as dims
from tracegraph.ops.core import dispatch
from tracegraph.ops.core.arguments import is_tensor
from tracegraph.ops.core.definition import Definition
from tracegraph.ops.core.device import Device, check_device
from tracegraph.ops.core.layout import Strides, contiguous_strides
from tracegraph.ops.core.size import Size, size_of
from tracegraph.ops.core.sym_float import SymFloat
from tracegraph.ops.handles.methods import TensorMethods
from tracegraph.ops.kinds.view import View
from tracegraph.settings import ThreadStack


class _Unrecorded(NamedTuple):
    """How a view that was made outside grad mode came about.

    Attributes:
        base: the value that it is a view of, which is no view.
        tracked: whether that required grad.
        rewritten: how often that had been rewritten.
    """

    base: Value
    tracked: bool
    rewritten: int


class Recorder:
    """Executes ops by appending calls to `builder`.

    Args:
        lift: turns a foreign tensor (an eager one that meets a traced one) into a Value of the graph; by default
            that is an error.
    """

    #: whether gradients flow through what is recorded now
    grad_enabled: bool = True
    #: where one sample of many is traced (`vmap`): new tensors, by the tensors in whose likeness they were made
    likes: dict[Value, Value] | None = None

    def __init__(self, builder: Builder, lift: Callable[[Any], Value] | None = None) -> None:
        self.builder = builder
        self.lift = lift
        #: strides, in elements, of inputs that are not C-contiguous; whoever makes such a placeholder enters it
        self.strides: dict[Value, Strides] = {}
        #: how often recorded writes gave a base, the value that is no view, another history; its views follow it
        self.rewritten: dict[Value, int] = {}
        #: views made outside grad mode, which cannot follow
        self.unrecorded_views: dict[Value, _Unrecorded] = {}
        #: by value, what stands for views made outside grad mode in the results of the graph
        self._marked: dict[Value, Value] = {}

    def traced(self, value: Value, requires_grad: bool = False) -> Traced:
        return Traced(self, value, requires_grad)

    def constant(self, array: np.ndarray) -> Traced:
        return Traced(self, self.builder.constant(array))

    def handle(self, op: Definition, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        """The dispatch handler: record one call and return handles on its results."""
        seen = attrs.values() if op.kind is Kind.POINTWISE else (*attrs.values(), *operands)
        if any(type(a) is SymFloat for a in seen):
            results = op.vary(operands, attrs)
            if results is not NotImplemented:
                return results
        if any(type(o) is SymFloat for o in operands) and (rows := self.as_rows(op, operands)) is not None:
            return dispatch.dispatch(op, rows, attrs).reshape(())
        operands, attrs = self.prepared(op, operands, attrs)
        if self.unrecorded_views and self.grad_enabled:
            self._check_unrecorded_views(op, operands)
        if op.mutates:
            operands = self._writing(op, operands)
        arguments = tuple(self._operand(op, o) for o in operands)
        values = self.builder.call_all(op, *arguments, **attrs)
        tracked = any(type(o) is Traced and o.requires_grad for o in operands)
        results = [self._result(op, v, tracked) for v in values]
        if isinstance(op, View) and op.shares_history:
            self._note_unrecorded_views(arguments[0], tracked, results)
        if not results:
            return None
        return op.pack(results)

    def as_rows(self, op: Definition, operands: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """The operands of a call on 0-d tensors with one dimension, where only so the floats among them may vary."""
        return None

    def prepared(
        self, op: Definition, operands: tuple[Any, ...], attrs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Operands and attributes as they are to be recorded."""
        return operands, attrs

    def check_write(self, target: Traced) -> None:
        """Refuse a write to `target` by an exception, if it must not be recorded."""

    def _writing(self, op: Definition, operands: tuple[Any, ...]) -> tuple[Any, ...]:
        """The operands of an op that writes to some of them."""
        for position in op.mutates:
            self.check_write(operands[position])
        tracked = [o for o in operands if isinstance(o, Traced) and o.requires_grad]
        if not self.grad_enabled:
            # outside grad mode the elements change and no history does: write to an alias without history
            return tuple([o.detach() if isinstance(o, Traced) and o.requires_grad else o for o in operands])
        if tracked:
            for position in op.mutates:
                base = base_of(operands[position].value)
                self.rewritten[base] = self.rewritten.get(base, 0) + 1
        return operands

    def begin_draws(self) -> Traced:
        """The key of the next draw, for a node that draws by itself; `end_draws` tells how far it came."""
        key: Traced = self.handle(lookup("reserve_keys"), (), {})  # type: ignore[arg-type]
        return key

    def end_draws(self, first: Traced, next: Traced) -> None:
        """The node that was given the key `first` leaves `next` to the draws after it."""
        self.handle(lookup("release_keys"), (first, next), {})  # type: ignore[arg-type]

    def set_requires_grad(self, tensor: Traced, requires_grad: bool) -> None:
        """Let `tensor` be a leaf that requires grad, or one that does not."""
        raise DataDependentError("requires_grad_() on a tensor made inside the trace")

    def has_history(self, value: Value) -> bool:
        """Whether a recorded write gave `value`, or what it is a view of, a history."""
        return bool(self.rewritten) and base_of(value) in self.rewritten

    def refuse_unrecorded_view(self, view: Traced) -> None:
        """Refuse, by an exception, the use of a view made outside grad mode that eager execution refuses."""

    def is_stale(self, view: Value) -> bool:
        """Whether `view` was made outside grad mode and its base has got another history since."""
        origin = self.unrecorded_views.get(view)
        return origin is not None and self.rewritten.get(origin.base, 0) != origin.rewritten

    def as_result(self, value: Value) -> Value:
        """`value` as a result of the graph, which shows where a view was made outside grad mode."""
        if value not in self.unrecorded_views or is_marked(value):
            return value
        if value not in self._marked:
            self._marked[value] = self.builder.call(lookup("no_grad_view"), value)
        return self._marked[value]

    def _note_unrecorded_views(self, source: Value, tracked: bool, views: Sequence[Traced]) -> None:
        origin = self.unrecorded_views.get(source)
        if origin is None and not self.grad_enabled:
            base = base_of(source)
            origin = _Unrecorded(base, tracked, self.rewritten.get(base, 0))
        if origin is not None:
            self.unrecorded_views.update((v.value, origin) for v in views)

    def _check_unrecorded_views(self, op: Definition, operands: tuple[Any, ...]) -> None:
        tracked = any(type(o) is Traced and o.requires_grad for o in operands)
        for position, operand in enumerate(operands):
            origin = self.unrecorded_views.get(operand.value) if type(operand) is Traced else None
            if origin is None:
                continue
            is_stale = self.is_stale(operand.value)
            is_written = position in op.mutates
            if (is_stale and op.is_differentiable) or (is_written and (tracked or origin.tracked or is_stale)):
                self.refuse_unrecorded_view(operand)

    def _operand(self, op: Definition, operand: Any) -> Any:
        try:
            return self.inside(operand).value if is_tensor(operand) else operand
        except IRError as e:
            raise IRError(f"{op.name}: {e}") from None

    def inside(self, tensor: Any) -> Traced:
        """The handle in this graph on a tensor of any kind.

        Raises:
            IRError: it belongs to another graph, or is an eager tensor and this graph takes no new inputs.
        """
        if isinstance(tensor, Traced):
            if tensor.recorder is not self:
                raise IRError("an operand was traced into another graph")
            return tensor
        if self.lift is None:
            raise IRError("an eager tensor meets a traced one, and this graph takes no new inputs")
        return Traced(self, self.lift(tensor), tensor.requires_grad)

    def _result(self, op: Definition, value: Value, tracked: bool) -> Traced:
        tracked = tracked and op.is_differentiable and value.type.dtype.is_floating
        if tracked and not self.grad_enabled:
            # grad mode is made visible in the graph: gradients stop here
            is_view = isinstance(op, View) and op.shares_history
            value = self.builder.call(lookup("no_grad_view" if is_view else "detach"), value)
            tracked = False
        return Traced(self, value, tracked)

    def strides_of(self, value: Value) -> Strides:
        """Strides of `value` in elements: fresh results are C-contiguous, views follow from their operand."""
        known = self.strides.get(value)
        if known is None:
            node = value.node
            if node.is_call and isinstance(node.target, View):
                operand = node.operands[0]
                known = node.target.strides(self.strides_of(operand), (operand.type,), node.attrs)
            else:
                known = contiguous_strides(value.type.shape)
            self.strides[value] = known
        return known

    def is_within(self, other: Recorder) -> bool:
        """Whether this graph is `other`'s, or is recorded as part of it."""
        return self is other

    def active(self) -> AbstractContextManager[None]:
        """Record ops without tensor operands (creation, random keys) inside the block too."""
        return dispatch.creation(self.handle)


class Traced(TensorMethods):
    """A tensor handle on a graph value."""

    __slots__ = ("_requires_grad", "recorder", "value")

    def __init__(self, recorder: Recorder, value: Value, requires_grad: bool = False) -> None:
        self.recorder = recorder
        self.value = value
        self._requires_grad = requires_grad

    @property
    def requires_grad(self) -> bool:
        """Whether the tensor will have a history; a view follows its base to a new one."""
        return self._requires_grad or self.recorder.has_history(self.value)

    @requires_grad.setter
    def requires_grad(self, requires_grad: bool) -> None:
        self._requires_grad = requires_grad

    @property
    def type(self) -> TensorType:
        return self.value.type

    @property
    def shape(self) -> Size:  # type: ignore[override]
        return size_of(self.value.type.shape)

    @property
    def dtype(self) -> DType:  # type: ignore[override]
        return self.value.type.dtype

    @property
    def builder(self) -> Builder:
        return self.recorder.builder

    def stride(self, dim: int | None = None) -> Any:
        """Strides in elements, those the tensor will have when the graph runs."""
        strides, shape = self.recorder.strides_of(self.value), self.shape
        if dims.same_shape(strides, contiguous_strides(shape)):  # over a size of 0 they step as over one of 1
            strides = contiguous_strides((*shape[:1], *(0 if dims.is_below(size, 1) else size for size in shape[1:])))
        return strides if dim is None else strides[dim]

    def new_tensor(self, data: Any, dtype: DType | None = None, device: Device | str | None = None) -> Traced:
        """A constant of the graph, by default of this tensor's dtype."""
        check_device(device)
        return self.recorder.constant(np.array(data, dtype=(dtype or self.dtype).np))

    def _like_self(self, made: Any) -> Any:
        if self.recorder.likes is not None and isinstance(made, Traced):
            self.recorder.likes[made.value] = self.value
        return made

    def __repr__(self) -> str:
        return f"Traced({self.value.type})"

    def __bool__(self) -> bool:
        raise DataDependentError("bool(tensor)")

    def __float__(self) -> float:
        raise DataDependentError("float(tensor)")

    def __int__(self) -> int:
        raise DataDependentError("int(tensor)")

    def __index__(self) -> int:
        raise DataDependentError("tensor used as an index or a size")

    def __format__(self, spec: str) -> str:
        raise DataDependentError("formatting a tensor")

    def item(self) -> Any:
        raise DataDependentError(".item()")

    def tolist(self) -> Any:
        raise DataDependentError(".tolist()")

    def numpy(self) -> Any:
        raise DataDependentError(".numpy()")

    def requires_grad_(self, requires_grad: bool = True) -> Traced:
        self.recorder.set_requires_grad(self, bool(requires_grad))
        return self

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise DataDependentError("conversion to a numpy array")

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))


def base_of(value: Value) -> Value:
    """The value whose history `value` shares as a view of it, itself if it is no view."""
    while value.node.is_call and isinstance(value.node.target, View) and value.node.target.shares_history:
        (value,) = value.node.operands
    return value


def is_marked(value: Value) -> bool:
    """Whether the graph shows that `value` is a view made outside grad mode, or a view of one."""
    base = base_of(value).node
    return base.is_call and isinstance(base.target, View) and not base.target.is_recorded


#: recorders of graphs inside graphs that are being recorded on this thread (see `nested`)
NESTED = ThreadStack.register()


def recorder_of(operands: Iterable[Any]) -> Recorder:
    """Who records an op on these operands, at least one of them traced: the recorder that they belong to, or the
    innermost one inside of it.
    """
    recorder: Recorder = next(o.recorder for o in operands if isinstance(o, Traced))
    if NESTED.stack and NESTED.stack[-1].is_within(recorder):
        return NESTED.stack[-1]
    return recorder


def _record(op: Definition, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
    return recorder_of(operands).handle(op, operands, attrs)


dispatch.register_handler(Traced, _record, rank=10)


def record_into(builder: Builder, body: Callable[..., Any], *values: Any) -> tuple[Value, ...]:
    """Run `body`, written in tensor arithmetic, on values of `builder`; the Values it returns.

    Used for decompositions: operands that are not Values pass through as they are.
    """
    recorder = Recorder(builder)
    handles = [recorder.traced(v) if isinstance(v, Value) else v for v in values]
    with recorder.active():
        result = body(*handles)
    results = result if isinstance(result, tuple) else (result,)
    return tuple(r.value for r in results)
