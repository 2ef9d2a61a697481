"""Backward passes inside a trace: the gradient formulas are recorded behind what they differentiate, in one graph.

    u = (x * x).sum()                                  %0: f32[4] = mul(%x, %x)
    (g,) = autograd.grad(u, x, create_graph=True)  -->  %1: f32[] = sum(%0)
    return g                                           %2: f32[4] = expand(%t, size=(4,))    the formula of sum
                                                       %3: f32[4] = mul(%2, %x)              and of mul ...

The formulas are those of the tape, in its order (`ops/graphs/backward_pass.py`). `backward()` adds to the `.grad` of
leaves, which is an effect like any other: a new `.grad` is set when the graph has run, one that is there is written to.

Writes in place are gone back through like other operations. What happens outside of the trace stays with the tape:
where the way from outputs to inputs leaves the trace, or a formula reads what was overwritten, the graph breaks and the
tape does it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tracegraph.autograd import engine
from tracegraph.autograd.anomaly import DETECTION
from tracegraph.autograd.tape import SpentNode, attach
from tracegraph.capture.guards.sources import Slot
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break, Extent
from tracegraph.capture.tensors.gradient_hooks import gradient_value
from tracegraph.capture.trace.memories import counter_of, is_rebinding, view_chain, view_op, written_positions
from tracegraph.ir import Node, Value
from tracegraph.ir import dim as dims
from tracegraph.ops import functional as F
from tracegraph.ops.core.autocast import not_casting
from tracegraph.ops.core.definition import Definition
from tracegraph.ops.graphs.backward_pass import BackwardPass, Step, formula_reads
from tracegraph.ops.graphs.recording import Traced, base_of
from tracegraph.ops.handles.tensor_class import REPLACEMENTS
from tracegraph.tensor import Tensor

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Input, Tracer


def call_grad(
    tracer: Tracer,
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: Any = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool = False,
) -> tuple[Any, ...]:
    """`autograd.grad` of tensors of the trace; arguments as there.

    Raises:
        Break: the tape has to do it, or it is an error, which the tape words.
    """
    roots, wanted = _handles(tracer, outputs), _handles(tracer, inputs)
    given = [None] * len(roots) if grad_outputs is None else _optional_handles(tracer, grad_outputs)
    if len(given) != len(roots) or not all(t.requires_grad for t in (*roots, *wanted)):
        raise _left_to_the_tape("arguments that autograd.grad refuses")
    retain = bool(create_graph) if retain_graph is None else bool(retain_graph)
    with _grad_mode(tracer, bool(create_graph)):
        backward = _TracedBackward(tracer, bool(create_graph), retain)
        for root, gradient in zip(roots, given, strict=True):
            backward.accumulate(root.value, _root_gradient(root, gradient))
        try:
            gradients = backward.run([gradient_value(tracer, w) for w in wanted])
        except Break as stop:
            if any(tracer.input_of(w) is None and not tracer.tensors.is_leaf(w) for w in wanted):
                # the tape knows how results of a graph depend on its inputs, not on one another
                stop.extent = Extent.FRAME
            raise
        if any(True for _ in backward.retained()):
            raise _left_to_the_tape("tensors that keep their gradients on the way")
    if None in gradients and not allow_unused:
        raise _left_to_the_tape("an input that the outputs do not depend on")
    return tuple(gradients)


def call_backward(
    tracer: Tracer,
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: Any = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """`autograd.backward` of tensors of the trace; arguments as there.

    Raises:
        Break: as `call_grad`.
    """
    roots = _handles(tracer, tensors)
    grad_tensors = grad_variables if grad_tensors is None else grad_tensors
    given = [None] * len(roots) if grad_tensors is None else _optional_handles(tracer, grad_tensors)
    chosen = None if inputs is None else _handles(tracer, inputs)
    if chosen is not None and not (chosen and all(map(tracer.tensors.is_leaf, chosen))):
        raise _left_to_the_tape("inputs that are no leaves")
    if create_graph or len(given) != len(roots) or not all(t.requires_grad for t in roots):
        raise _left_to_the_tape("arguments that backward() refuses, or create_graph=True")
    with _grad_mode(tracer, False):
        backward = _TracedBackward(tracer, False, bool(retain_graph))
        for root, gradient in zip(roots, given, strict=True):
            backward.accumulate(root.value, _root_gradient(root, gradient))
        for leaf, gradient in backward.run_to_leaves(chosen):
            _add_to_grad(tracer, leaf, gradient)
        for tensor, gradient in backward.retained():
            if chosen is not None:
                raise _left_to_the_tape("inputs, and tensors that keep their gradients on the way")
            _add_to_grad(tracer, tensor, gradient)


def _add_to_grad(tracer: Tracer, leaf: Traced, gradient: Traced) -> None:
    known = tracer.tensors.grad(leaf)
    if known is None:
        # a tensor of its own, so that adding to it in place later changes nothing else
        tracer.tensors.set_grad(leaf, gradient.clone())
    else:
        known.add_(gradient)


@contextmanager
def _grad_mode(tracer: Tracer, mode: bool) -> Iterator[None]:
    """Record in this grad mode, as the tape executes formulas.

    Raises:
        Break: anomalies are looked for, which the tape does.
    """
    if tracer.settings.get(DETECTION, "enabled"):
        raise _left_to_the_tape("anomaly detection on")
    before = tracer.recorder.grad_enabled
    tracer.recorder.grad_enabled = mode
    try:
        with not_casting():
            yield
    finally:
        tracer.recorder.grad_enabled = before


def _left_to_the_tape(why: str) -> Break:
    return Break(reasons.BACKWARD, f"a backward pass with {why}")


def _handles(tracer: Tracer, tensors: Any) -> list[Traced]:
    found = _optional_handles(tracer, tensors)
    if None in found:
        raise _left_to_the_tape("something that is no tensor")
    return found


def _optional_handles(tracer: Tracer, tensors: Any) -> list[Any]:
    from tracegraph.capture.protocols.iteration import walk

    found = [tensors] if type(tensors) is Traced else list(walk(tracer, tensors))
    if not all(t is None or type(t) is Traced for t in found):
        raise _left_to_the_tape("something that is no tensor")
    return found


def _root_gradient(root: Traced, gradient: Traced | None) -> Traced:
    if gradient is None:
        if not all(isinstance(n, int) and n == 1 for n in root.shape):
            raise _left_to_the_tape("an output of several elements and no gradient for it")
        ones: Traced = F.ones_like(root)
        return ones
    if not dims.same_shape(tuple(gradient.shape), tuple(root.shape)):
        raise _left_to_the_tape("a gradient of another shape")
    return gradient if gradient.dtype is root.dtype else gradient.to(root.dtype)


def tracked_values(tracer: Tracer) -> set[Value]:
    """The values of the trace that have a history."""
    return _TracedBackward(tracer, False, True).tracked


# ------------------------------------------------------------------------------------------ the pass


class _TracedBackward(BackwardPass):
    """One backward pass over what the trace has recorded so far.

    Args:
        create_graph: whether the gradients have a history of their own.
        retain_graph: whether the way may be gone again.
    """

    def __init__(self, tracer: Tracer, create_graph: bool, retain_graph: bool) -> None:
        inputs = {i.value for i in tracer.inputs if i.tensor.requires_grad}
        super().__init__(tracer.recorder, inputs.union(value for value, _ in tracer.tensors.leaves()))
        self._tracer = tracer
        self._create_graph = create_graph
        self._retain_graph = retain_graph
        self._nodes = tuple(tracer.builder.graph.nodes)
        tracer.last_pass = len(self._nodes)
        self._track(self._nodes)
        self._position = {node: i for i, node in enumerate(self._nodes)}
        #: writes, each with its position and what counts it; what others count is read as it is, and nobody notices
        self._writes = [
            (self._position[node], counter_of(node.operands[i]))
            for node in tracer.builder.graph.calls
            for i in written_positions(node)
        ] + tracer.tensors.reshaped
        #: what this pass has gone through: where a tensor is written to, views of it early, and perhaps once more
        self._passed: set[Node] = set()
        self._visited: set[Node] = set()

    def _track(self, nodes: Iterable[Node]) -> None:
        """Note the results of `nodes` that have a history."""
        for node in nodes:
            op = node.target
            if not isinstance(op, Definition):
                continue
            self.tracked.update(filter(self.recorder.has_history, node.operands))
            if op.is_differentiable and not self.tracked.isdisjoint(node.operands):
                self.tracked.update(v for v in node.values if v.type.dtype.is_floating)

    def run(self, wanted: Sequence[Value]) -> list[Traced | None]:
        """The gradients of `wanted`, None where the outputs do not depend on one."""
        if any(map(self.recorder.has_history, wanted)):
            raise _left_to_the_tape("an input that got its history by a write in place")
        self.undo(self._nodes)
        self._check_ends(wanted)
        found = [self.gradients.get(v) for v in wanted]
        return found if self._create_graph else [None if g is None else g.detach() for g in found]

    def run_to_leaves(self, chosen: Sequence[Traced] | None) -> list[tuple[Traced, Traced]]:
        """The leaves that are reached, of those `chosen`, with their gradients."""

        def is_asked(leaf: Traced) -> bool:
            return chosen is None or any(leaf is c for c in chosen)

        self.undo(self._nodes)
        inputs = [
            i
            for i in self._tracer.inputs
            if i.value in self.gradients and i.tensor.requires_grad and is_asked(i.handle)
        ]
        for graph_input in inputs:
            if not self._check_end(graph_input):
                raise _left_to_the_tape("an input that is no leaf")
        ends = [(i.handle, i.value) for i in inputs]
        made = [(leaf, value) for value, leaf in self._tracer.tensors.leaves() if is_asked(leaf)]
        ends += [(leaf, value) for leaf, value in made if value in self.gradients]
        return [(leaf, self.gradients[value].detach()) for leaf, value in ends]

    def retained(self) -> Iterator[tuple[Traced, Traced]]:
        """The computed tensors that keep their gradients, of those that the pass has reached, with these."""
        for tensor in self._tracer.tensors.retaining():
            if tensor.value in self.gradients:
                yield tensor, self.gradients[tensor.value].detach()

    def handle(self, value: Value) -> Traced:
        return self.recorder.traced(value, self._create_graph and value in self.tracked)

    def pullback(self, step: Step) -> Sequence[Traced | None]:
        node = step.node
        if not step.op.is_differentiable:
            return [None] * len(step.operands)
        if any(step.needs):
            self._pass(node)
            if step.op.vjp is not None:
                return self._by_formula(step)
            if self._tracer.tensors.is_changed(node, self._place(node), self._writes):
                raise _left_to_the_tape("a tensor on the way that is written to later")
            self._through_expansion(step)
        return [None] * len(step.operands)

    def _by_formula(self, step: Step) -> Sequence[Traced | None]:
        node, op = step.node, step.op
        changed = {counter for position, counter in self._writes if position > self._place(node)}
        kept = self._tracer.tensors.kept
        read_in_backward = self._tracer.tensors.read_in_backward
        operands = tuple(
            self.handle(kept.get((node, a)) or read_in_backward(a)) if isinstance(a, Value) else operand
            for a, operand in zip(node.args, step.operands, strict=True)
        )

        def on_read(names: Collection[str]) -> None:
            read = (v for v, _ in formula_reads(node, op, names) if (node, v) not in kept)
            if changed and any(counter_of(value) in changed for value in read):
                raise _left_to_the_tape("a tensor on the way that is written to later")

        return op.pullback(step.cotangents, step.results, operands, dict(node.attrs), step.needs, on_read)

    def _place(self, node: Node) -> int:
        """Where a node stands in the graph; what this pass has recorded, behind all others."""
        return self._position.get(node, len(self._position))

    def _pass(self, node: Node) -> None:
        """Note that this pass goes through `node`.

        Raises:
            Break: another one did, for good.
        """
        if is_rebinding(node):
            return  # of a leaf, which has no way behind it
        if node in self._tracer.undone and node not in self._passed:
            raise _left_to_the_tape("a way that was gone before, without retain_graph=True")
        self._passed.add(node)
        if not self._retain_graph:
            self._tracer.undone.add(node)

    # ------------------------------------------------------------------------------------ writes

    def visit(self, node: Node) -> list[Value]:
        if node.is_call and written_positions(node):
            self._undo_write(node)
            return []
        self._visited.add(node)
        return super().visit(node)

    def _undo_write(self, node: Node) -> None:
        """Go back through `copy_(%target, %source)`: gradients of what it wrote are gradients of the source.

        With a view as target, gradients of the rest of the base are gradients of what the base was.
        """
        target, source = node.operands
        base = base_of(target)
        if not self.recorder.has_history(base):
            return  # written to outside grad mode
        self._collect_in(base)
        gradient = self.gradients.pop(base, None)
        if gradient is None:
            return
        if any(i.value is base for i in self._tracer.inputs):
            raise _left_to_the_tape("a tensor on the way that got its history by a write in place")
        self._pass(node)
        written = gradient
        chain = view_chain(base, target)
        for view in chain:
            written = self.recorder.handle(view_op(view), (written,), dict(view.attrs))
        if chain:
            self.gradients[base] = _scattered(gradient, F.zeros_like(written), chain)
        if source in self.tracked:
            found = written if written.dtype is source.type.dtype else written.to(source.type.dtype)
            self.accumulate(source, found.sum_to_size(source.type.shape))

    def _collect_in(self, base: Value) -> None:
        """Turn the gradients of views of `base` into gradients of `base`."""
        while True:
            views = [v for v in self.gradients if v is not base and base_of(v) is base and v.node not in self._visited]
            if not views:
                return
            last = max(views, key=lambda v: self._place(v.node))
            super().visit(last.node)
            del self.gradients[last]

    def _through_expansion(self, step: Step) -> None:
        """An op that is differentiated through its decomposition: record that, and go back through it."""
        if step.op.decompose is None:
            raise _left_to_the_tape(f"the operation {step.op.name} on the way")
        graph = self._tracer.builder.graph
        before = len(graph.nodes)
        results = step.op.expand(step.operands, dict(step.node.attrs))
        new = tuple(graph.nodes[before:])
        self._track(new)
        packed = results if isinstance(results, tuple) else (results,)
        for cotangent, result in zip(step.cotangents, packed, strict=True):
            if cotangent is not None:
                self.accumulate(result.value, cotangent)
        self.undo(new)

    def _check_ends(self, wanted: Sequence[Value]) -> None:
        """Where the way leaves the trace, nothing that was asked for may lie beyond; guarded for later calls.

        Raises:
            Break: it may; or a hook wants to see a gradient.
        """
        others = {i.value for i in self._tracer.inputs} & set(wanted)
        for graph_input in self._tracer.inputs:
            value = graph_input.value
            if value in self.gradients and not self._check_end(graph_input) and others - {value}:
                raise _left_to_the_tape("an input that lies before the start of the trace")

    def _check_end(self, graph_input: Input) -> bool:
        """Whether an input is a leaf, guarded.

        Raises:
            Break: it has a hook, which wants to see the gradient.
        """
        tensor, source = graph_input.tensor, graph_input.source
        is_hooked = any(r.target is graph_input.handle for r in self._tracer.effects.hook_registrations)
        if graph_input.is_made and not is_hooked:
            return True
        if is_hooked or self._tracer.read(tensor._hooks, Slot(source, "_hooks")):
            raise _left_to_the_tape("a hook on the way")
        return bool(self._tracer.read(tensor.is_leaf, Slot(source, "is_leaf")))


def _scattered(base: Traced, source: Traced, chain: Sequence[Node]) -> Traced:
    """`base` with the region seen through `chain` replaced by `source`."""
    view, *rest = chain
    op = view_op(view)
    if rest:
        source = _scattered(base.recorder.handle(op, (base,), dict(view.attrs)), source, rest)
    found: Traced = op.scatter(base, source, **view.attrs)
    return found


def _call_method(
    tracer: Tracer,
    tensor: Traced,
    gradient: Any = None,
    retain_graph: Any = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """`tensor.backward(...)`."""
    call_backward(tracer, tensor, gradient, retain_graph, create_graph, inputs=inputs)


# ------------------------------------------------------------------------------------------ histories that are spent


def spent_op(tracer: Tracer, tensor: Traced) -> tuple[str, str] | None:
    """The op at which a backward pass from `tensor` would fail, because another one has gone there for good.

    Returns:
        the name of the op that gave `tensor`, and of that one.
    """
    if not tracer.undone or not tensor.requires_grad:
        return None
    undone = (n for n in tracer.tensors.history(tensor.value) if n in tracer.undone)
    own = tensor.value.node.call_op.name if tensor.value.node.is_call else ""
    return next(((own, n.call_op.name) for n in undone if _keeps_elements(n)), None)


def _keeps_elements(node: Node) -> bool:
    """Whether the tape keeps elements for the gradient of a node; one that keeps none can be gone through again."""
    op = node.call_op
    assert isinstance(op, Definition)
    if op.vjp is None:
        return True  # the operations that it is made of do
    operands, results = op.vjp_reads(len(node.args))
    return results or any(kept and isinstance(o, Value) for kept, o in zip(operands, node.args, strict=True))


def as_spent(tensor: Tensor, op: str, spent: str) -> Tensor:
    """`tensor` as a result of `op` behind which the saved values of the op `spent` have been freed."""
    attach(SpentNode(op, spent), (tensor,))
    return tensor


#: handlers by function of the library
HANDLERS: dict[Any, Callable[..., Any]] = {engine.grad: call_grad, engine.backward: call_backward}
METHODS: dict[Any, Callable[..., Any]] = {REPLACEMENTS.original(Tensor, "backward"): _call_method}
