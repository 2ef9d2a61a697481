"""What a trace changes of tensors other than their elements: `requires_grad`, history, `data`, `grad`.

A handle stands for a tensor of the program, its value for what the tensor is at the moment. What gives the tensor
another history or other memory gives the handle another value, and what was recorded before keeps the former one:

    y = x * 2                          %0: f32[4] = mul(%x, 2)
    y.requires_grad_()                 %1: f32[4] = detach(%0)         y stands for %1 from here on
    z = (y * y).sum()                  %2: f32[4] = mul(%1, %1)        ...

On tensors that existed before the trace, the change is replayed as an effect when the graph has run. A leaf that is
given other memory (`leaf.data = elements`) keeps its history:

    leaf.data = y                      %1: f32[4] = set_data(%0, %leaf)        gradients of %1 are those of %leaf

A tensor that becomes a leaf in the midst of a graph is seen by backward passes inside the trace (`gradients`). No
result of the graph can have a history that begins there: where one would, the trace begins anew, and the leaf is an
argument of the graph, made before it runs, that is given the memory of the tensor. Where that memory may be somebody
else's too, the graph ends before the tensor becomes a leaf.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tracegraph.capture.guards.sources import Computed, Reference, Slot, constant_source
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break, Extent
from tracegraph.capture.trace.foresight import Foreseen
from tracegraph.capture.trace.leaves import Leaf, is_alone, new_leaf
from tracegraph.capture.trace.memories import (
    beginning,
    counter_of,
    is_tracked_view,
    root_of,
    written_positions,
)
from tracegraph.ir import Node, Role, Value
from tracegraph.ir import dim as dims
from tracegraph.nn.parameter import Parameter
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Definition
from tracegraph.ops.graphs.recording import Traced, base_of
from tracegraph.tensor import Tensor

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Input, Tracer


class GradFn:
    """Stands for `grad_fn` of a computed tensor: there is one, and nothing else is known of it."""


class TensorStates:
    """The states of the tensors of one trace."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        #: leaves by the values that stood for them
        self._leaves: dict[Value, Leaf] = {}
        #: gradients of tensors made by the trace, by the identity of their handles, which are kept
        self._grads: dict[int, tuple[Traced, Any]] = {}
        self._grad_fns: dict[Value, GradFn] = {}
        #: the Parameters that the trace has made, by the identity of their handles, which are kept
        self._parameters: dict[int, Traced] = {}
        #: arguments whose addresses the program has asked for, with the bytes behind their beginning
        self.places: list[tuple[Input, int]] = []
        #: tensors that were given other memory, by the values at which their histories begin
        self._rebound: dict[Value, Traced] = {}
        #: arguments that require no grad for a while, by the identity of their handles: what they were, and are
        self._frozen: dict[int, tuple[Value, Value]] = {}
        #: how many leaves the trace has begun
        self._begun = 0
        #: changes of shapes in place: the number of nodes before each, and what counts writes to the tensor
        self.reshaped: list[tuple[int, Value]] = []
        #: computed tensors that keep their gradients, by the identity of their handles
        self._retained: dict[int, Traced] = {}
        #: arguments whose version counters the program has asked for
        self.counted: set[Value] = set()
        #: copies of operands that their own operation overwrites, `x.mul_(w)`, for gradient formulas that read them
        self.kept: dict[tuple[Node, Any], Value] = {}

    # ------------------------------------------------------------------------------------ leaves

    def leaves(self) -> Iterator[tuple[Value, Traced]]:
        """Values at which histories begin in the midst of the graph, with the handles of the tensors."""
        return ((value, leaf.handle) for value, leaf in self._leaves.items())

    def end_leaf(self, tensor: Traced) -> None:
        """Let no backward pass to come end at `tensor`, nor the history of a result."""
        self._leaves.pop(beginning(tensor.value), None)

    def make_before(self, tensor: Traced) -> None:
        """Let a leaf that the trace makes exist before its graph, if it can.

        Raises:
            Foreseen: it will, in the next attempt.
        """
        leaf = self._leaves.get(beginning(tensor.value))
        if leaf is not None and leaf.number is not None and self._tracer.foresight.give(leaf.number):
            raise Foreseen

    def is_leaf(self, tensor: Traced) -> bool:
        """`tensor.is_leaf`, guarded where it depends on the arguments."""
        value = beginning(tensor.value)
        if not tensor.requires_grad or value in self._leaves:
            return True
        given = self._tracer.input_of(tensor)
        if given is None or value is not given.value or tensor.recorder.has_history(tensor.value):
            return False
        return given.is_made or bool(self._tracer.read(given.tensor.is_leaf, Slot(given.source, "is_leaf")))

    def grad_fn(self, tensor: Traced) -> Any:
        """`tensor.grad_fn`: None, or something that can be told from None and from others."""
        if self.is_leaf(tensor):
            return None
        return self._grad_fns.setdefault(tensor.value, self._tracer.fresh(GradFn()))

    def is_leaf_memory(self, value: Value) -> bool:
        """Whether `value` is, or is a view of, a leaf that requires grad: eager execution refuses to write to it."""
        base = beginning(base_of(value))
        if base in self._leaves:
            return True
        return any(i.value is base and i.tensor.requires_grad and i.tensor.is_leaf for i in self._tracer.inputs)

    def set_requires_grad(self, tensor: Traced, flag: bool) -> None:
        """`tensor.requires_grad_(flag)`.

        Raises:
            Break: eager execution refuses it, or may do so: in a function that `vmap` maps.
        """
        if self._tracer.recorder.likes is not None:
            raise Break(reasons.USER_EXCEPTION, "requires_grad_() in a function that vmap maps")
        self.switch_requires_grad(tensor, flag)

    def switch_requires_grad(self, tensor: Traced, flag: bool) -> None:
        """As `set_requires_grad`, wherever it is."""
        if flag == tensor.requires_grad:
            return
        self._check_own(tensor, "requires_grad_()")
        if not tensor.dtype.is_floating or not self.is_leaf(tensor):
            raise Break(reasons.USER_EXCEPTION, "requires_grad_() of a tensor that is no floating leaf")
        if flag and not self._tracer.is_outside(tensor):
            self._begin_leaf(tensor)
            return
        frozen = self._frozen.pop(id(tensor), None)
        if frozen is not None and tensor.value is frozen[1]:
            tensor.value, tensor.requires_grad = frozen[0], True  # the leaf that it was
        else:
            before = tensor.value
            self._become(tensor, F.detach(tensor), flag)
            if not flag and self._tracer.input_of(tensor) is not None:
                self._frozen[id(tensor)] = before, tensor.value
        self._replay(tensor, "requires_grad", flag)

    def make_parameter(self, data: Traced, requires_grad: bool) -> Traced:
        """`Parameter(data, requires_grad)`: a leaf in the memory of `data`, with a version counter of its own."""
        self._check_own(data, "a new Parameter")
        made: Traced = self._tracer.fresh(F.tensor_data(data))
        self._parameters[id(made)] = made
        self.set_requires_grad(made, requires_grad)
        return made

    def is_made_parameter(self, tensor: Traced) -> bool:
        """Whether the trace has made `tensor` as a Parameter."""
        return id(tensor) in self._parameters

    def detach(self, tensor: Traced) -> None:
        """`tensor.detach_()`.

        Raises:
            Break: it has views, which follow it, or is one; or its history begins before the trace.
        """
        if not tensor.requires_grad:
            return
        self._check_own(tensor, "detach_()")
        if self._tracer.is_outside(tensor) and not self.is_leaf(tensor):
            raise Break(reasons.TENSOR_ATTRIBUTE, "Tensor.detach_ of a tensor with a history from outside")
        if base_of(tensor.value) is not tensor.value or any(is_tracked_view(n) for n in tensor.value.users):
            raise Break(reasons.TENSOR_ATTRIBUTE, "Tensor.detach_ of a tensor with views")
        self._become(tensor, F.detach(tensor), False)
        self._replay(tensor, "requires_grad", False)

    def _begin_leaf(self, tensor: Traced) -> None:
        """Let a tensor that the trace has made be a leaf that requires grad.

        Where results depend on it, which another attempt has found out, it is an object that exists before the graph
        runs, and is given the memory of `tensor`.
        """
        self._begun += 1
        is_parameter = self.is_made_parameter(tensor)
        may_be_given = tensor.value.type.is_static and (is_parameter or is_alone(tensor.value))
        if not may_be_given or not self._tracer.foresight.is_given(self._begun):
            self._become(tensor, F.detach(tensor), True)
            self._leaves[tensor.value].number = self._begun if may_be_given else None
            return
        facts: Any = (Parameter if is_parameter else Tensor, tensor.dtype, self._begun, *tensor.shape)
        source = Computed(Reference(new_leaf), tuple(map(constant_source, facts)))
        memory = F.tensor_data(tensor)
        tensor.value = self._tracer.builder.placeholder(tensor.value.type, f"leaf{self._begun}", Role.PARAMETER)
        tensor.requires_grad = True
        self._tracer.note_made(source, new_leaf(*facts), tensor)
        self._rebind(tensor, memory)
        self._replay(tensor, "data", memory)

    def _become(self, tensor: Traced, state: Traced, requires_grad: bool) -> None:
        """Let `tensor` be what `state` is, without the history of that."""
        tensor.value, tensor.requires_grad = state.value, requires_grad
        if requires_grad:
            leaf = self._leaves[tensor.value] = Leaf(tensor)
            self._tracer.fresh(leaf)

    def _replay(self, tensor: Traced, name: str, value: Any) -> None:
        if self._tracer.is_outside(tensor):
            self._tracer.effects.set_attribute(tensor, name, value)

    def _check_own(self, tensor: Traced, what: str) -> None:
        """Break if `tensor` belongs to a branch or loop body, whose states nobody follows."""
        if tensor.recorder is not self._tracer.recorder:
            raise Break(reasons.CONTROL_FLOW, f"{what} in a branch or loop body")

    # ------------------------------------------------------------------------------------ results

    def check_history(self, value: Value) -> Leaf | None:
        """The leaf of this trace at which the history of a result begins, if there is one.

        Raises:
            Break: a gradient formula reads what has another shape since, which the tape refuses.
        """
        positions = {node: i for i, node in enumerate(self._tracer.builder.graph.nodes)} if self.reshaped else {}
        for node in self.history(value) if self._leaves or self.reshaped else ():
            if self.reshaped and self.is_changed(node, positions[node], self.reshaped):
                raise Break(reasons.TENSOR_ATTRIBUTE, "a new shape of what gradients are computed from", Extent.FRAME)
            leaf = next((self._leaves[v] for v in node.values if v in self._leaves), None)
            if leaf is not None:
                return leaf
        return None

    def check_arguments(self) -> Leaf | None:
        """As `check_history`, of the arguments that have a history because they were written to."""
        written = (i.value for i in self._tracer.inputs if self._tracer.recorder.has_history(i.value))
        return next((leaf for leaf in map(self.check_history, written) if leaf is not None), None)

    def keep_for_gradients(self, target: Traced, source: Any) -> None:
        """Before `source` is written to `target`, copy what the gradient of the operation that made it reads there.

        The tape does so too: `x.mul_(w)` is `copy_(x, mul(x, w))`, whose gradient by `w` reads the former `x`.
        """
        node = source.value.node if type(source) is Traced and source.requires_grad else None
        if node is None or not node.is_call or target.value not in node.args:
            return
        op = node.target
        if not isinstance(op, Definition) or op.vjp is None or (node, target.value) in self.kept:
            return
        reads = op.vjp_reads(len(node.args)).operands
        if any(a is target.value and is_read for a, is_read in zip(node.args, reads, strict=True)):
            self.kept[node, target.value] = F.clone(target).value

    def is_changed(self, node: Node, position: int, writes: Sequence[tuple[int, Value]]) -> bool:
        """Whether the gradient formula of the node at `position` reads what one of `writes` changed later.

        Args:
            writes: the position of each, and the value whose version counter counts it.
        """
        op = node.target
        if not writes or not isinstance(op, Definition) or node.op != "call":
            return False
        read = {counter_of(v) for v in _read_by_gradient(node, op)}
        return any(at > position and counter in read for at, counter in writes)

    def history(self, value: Value) -> Iterator[Node]:
        """The nodes that a backward pass from `value` goes through, writes included, up to where histories begin."""
        recorder = self._tracer.recorder
        seen, ahead = set[Value](), [value]
        while ahead:
            value = ahead.pop()
            if value in seen:
                continue
            seen.add(value)
            if recorder.has_history(value) and base_of(value) is value:
                for write in self._writes_to(value):
                    yield write
                    ahead += write.operands
            yield value.node
            op = value.node.target
            if isinstance(op, Definition) and op.is_differentiable and value not in self._leaves:
                ahead += value.node.operands

    def _writes_to(self, base: Value) -> list[Node]:
        """Writes to `base` and its views, last first."""
        writes = (
            n for n in self._tracer.builder.graph.calls for i in written_positions(n) if base_of(n.operands[i]) is base
        )
        return list(writes)[::-1]

    # ------------------------------------------------------------------------------------ elements

    def data(self, tensor: Traced) -> Traced:
        """`tensor.data`: its elements, without history, and without anybody taking notice of writes."""
        result: Traced = F.tensor_data(tensor)
        return result

    def set_data(self, tensor: Traced, elements: Any) -> None:
        """`tensor.data = elements`: it shares the memory of `elements` from now on.

        Raises:
            Break: eager execution refuses it, or the tensor is a view or has a history.
        """
        if type(elements) is not Traced:
            raise Break(reasons.USER_EXCEPTION, "Tensor.data set to something that is no tensor")
        self._check_own(tensor, "Tensor.data")
        if base_of(tensor.value) is not tensor.value or not self.is_leaf(tensor):
            raise Break(reasons.TENSOR_ATTRIBUTE, "assignment to Tensor.data of a view, or of what has a history")
        if self._is_view_outside(tensor):
            raise Break(reasons.TENSOR_ATTRIBUTE, "assignment to Tensor.data of a view")
        memory = F.tensor_data(elements)
        if _same_type(tensor, memory):
            self._rebind(tensor, memory)
        elif any(isinstance(n.target, Definition) and n.target.is_differentiable for n in tensor.value.users):
            raise Break(reasons.TENSOR_ATTRIBUTE, "assignment of another shape or dtype to Tensor.data after its use")
        else:
            self._become(tensor, memory, tensor.requires_grad)
        self._replay(tensor, "data", memory)

    def _is_view_outside(self, tensor: Traced) -> bool:
        given = self._tracer.input_of(tensor)
        if given is None or given.is_made:
            return False
        return self._tracer.read(given.tensor._view, Slot(given.source, "_view")) is not None

    def set_shape(self, tensor: Traced, name: str, view: Traced) -> None:
        """`tensor.unsqueeze_()` and the like: the tensor becomes this view of itself.

        What the tape has saved of it had another shape, so that gradients which read it are refused, as after a write.

        Raises:
            Break: the tensor is an argument, a leaf that requires grad, or has hooks.
        """
        self._check_own(tensor, name)
        is_hooked = any(h.handle is tensor for h in self._tracer.hooked.values())
        is_special = tensor.value in self._leaves or any(t is tensor for t in self._rebound.values())
        is_special = is_special or self.is_made_parameter(tensor)
        if self._tracer.input_of(tensor) is not None or is_special or is_hooked:
            raise Break(reasons.TENSOR_ATTRIBUTE, f"Tensor.{name}")
        self.reshaped.append((len(self._tracer.builder.graph.nodes), counter_of(tensor.value)))
        tensor.value, tensor.requires_grad = view.value, view.requires_grad

    def _rebind(self, tensor: Traced, memory: Traced) -> None:
        recorder = tensor.recorder
        mode, recorder.grad_enabled = recorder.grad_enabled, True  # its history stays what it is in any mode
        try:
            tensor.value = F.set_data(memory, tensor).value
        finally:
            recorder.grad_enabled = mode
        self._rebound[beginning(tensor.value)] = tensor

    def read_in_backward(self, value: Value) -> Value:
        """What a formula that read `value` reads in a backward pass that begins now."""
        tensor = self._rebound.get(beginning(value)) if self._rebound else None
        return tensor.value if tensor is not None and beginning(tensor.value) is beginning(value) else value

    def version(self, tensor: Traced) -> Any:
        """`tensor._version`: how often elements of its memory were written to, as far as that is counted.

        Raises:
            Break: the tensor stands for something that is no tensor.
        """
        self._check_own(tensor, "Tensor._version")
        counter = counter_of(tensor.value)
        calls = self._tracer.builder.graph.calls
        writes = sum(counter_of(n.operands[i]) is counter for n in calls for i in written_positions(n))
        given = next((i for i in self._tracer.inputs if i.value is counter), None)
        if given is None:
            return writes
        if given.convert is not None:
            raise Break(reasons.TENSOR_ATTRIBUTE, "Tensor._version of an array")
        if given.is_made:
            return writes
        self.counted.add(counter)
        return self._tracer.read(given.tensor._version, Slot(given.source, "_version")) + writes

    # ------------------------------------------------------------------------------------ gradients

    def grad(self, tensor: Traced) -> Any:
        """`tensor.grad` as the trace has left it."""
        given = self._tracer.input_of(tensor)
        if given is None:
            return self._grads.get(id(tensor), (tensor, None))[1]
        pending = self._tracer.effects.pending(tensor, "grad")
        if pending is not None:
            return pending.value
        return None if given.is_made else self._tracer.read(given.tensor.grad, Slot(given.source, "grad"))

    def retain_grad(self, tensor: Traced) -> None:
        """Let backward passes set `grad` of a computed tensor."""
        self._retained[id(tensor)] = tensor

    def retains_grad(self, tensor: Traced) -> bool:
        """Whether backward passes set `grad` of this computed tensor.

        Raises:
            Break: they should, and it has been written to since.
        """
        if id(tensor) not in self._retained:
            return False
        if self._writes_to(base_of(tensor.value)) or root_of(tensor.value) is not tensor.value:
            raise Break(reasons.TENSOR_ATTRIBUTE, "Tensor.retain_grad of what is written to later", Extent.FRAME)
        return True

    def retaining(self) -> list[Traced]:
        """The computed tensors of which backward passes set `grad`."""
        return [tensor for tensor in self._retained.values() if self.retains_grad(tensor)]

    def set_grad(self, tensor: Traced, gradient: Any) -> None:
        """`tensor.grad = gradient`, a tensor or None."""
        if self._tracer.input_of(tensor) is not None:
            self._tracer.effects.set_attribute(tensor, "grad", gradient)
            return
        self._check_own(tensor, "Tensor.grad")
        self._grads[id(tensor)] = tensor, gradient


def _same_type(a: Traced, b: Traced) -> bool:
    return a.dtype is b.dtype and dims.same_shape(tuple(a.shape), tuple(b.shape))


def _read_by_gradient(node: Node, op: Definition) -> Iterator[Value]:
    """The values whose elements the gradient formula of a node reads; all, if its decomposition decides."""
    if op.vjp is None:
        yield from (*node.operands, *node.values)
        return
    operands, results = op.vjp_reads(len(node.args))
    yield from (a for a, is_read in zip(node.args, operands, strict=True) if is_read and isinstance(a, Value))
    yield from (v for v in node.values if results and v.index not in op.unread_results)
