"""A planned graph as a list of steps: what the native program does, in order.

    kernel add_0(in0, in1 + 5, buf0)
    gemm f32 [64, 784] @ [784, 10]: buf0 in2^T buf1
    eager sort #0
    kernel copy_0(in0, out1)

Views that the plan placed within their operand's storage are no step.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from tracegraph.codegen.loops.loop_ir import Kernel
from tracegraph.codegen.loops.loop_text import print_kernel
from tracegraph.codegen.lowering.kernel_builder import Lowered
from tracegraph.codegen.lowering.lower import lower_body, lower_copy
from tracegraph.codegen.native.contraction import Gemm, gemm_of
from tracegraph.codegen.native.kernel_places import Argument, localise
from tracegraph.errors import CompileError
from tracegraph.ir.dim import Dim
from tracegraph.ir.fused import nest_attributes
from tracegraph.ir.graph import Graph, Node, Value
from tracegraph.ir.loop_nest import Nest, body_of, body_operands, nest_of
from tracegraph.ir.memory_plan import MemoryPlan, Placement, Storage, whole
from tracegraph.ir.op import Kind
from tracegraph.ir.rules import Rule, rule_of
from tracegraph.ir.signature import call_signature, value_key


@dataclass(frozen=True)
class KernelStep:
    """Run a generated kernel; `arguments` are its buffers, in order."""

    kernel: Kernel
    arguments: tuple[Argument, ...]

    def __str__(self) -> str:
        return f"kernel {self.kernel.name}({', '.join(map(str, self.arguments))})"


@dataclass(frozen=True)
class GemmStep:
    """Multiply matrices with BLAS."""

    gemm: Gemm

    def __str__(self) -> str:
        return str(self.gemm)


@dataclass(frozen=True)
class EagerStep:
    """Call the eager rule of a node back from native code; `number` counts these steps.

    That of a node that holds graphs is the control flow alone: the graphs are compiled.
    """

    node: Node
    number: int

    def __str__(self) -> str:
        kind = "control" if self.node.call_op.kind is Kind.CONTROL else "eager"
        return f"{kind} {self.node.call_op.name} #{self.number}"


Step: TypeAlias = KernelStep | GemmStep | EagerStep


def steps_of(plan: MemoryPlan) -> list[Step]:
    """The steps of a planned graph; kernels that do the same are one.

    Raises:
        CompileError: an op has a side effect, which native code cannot order with the rest of the program.
    """
    return _Steps(plan).run()


class _Steps:
    def __init__(self, plan: MemoryPlan) -> None:
        self.plan = plan
        self.steps: list[Step] = []
        self.eager_calls = 0
        #: what was lowered, by what it says and where its values lie
        self.lowered: dict[Hashable, Lowered] = {}
        #: kernels by their text
        self.kernels: dict[str, Kernel] = {}
        self.names: dict[str, int] = {}

    def run(self) -> list[Step]:
        for node in self.plan.graph.calls:
            if not node.call_op.is_pure:
                where = f" at {node.location}" if node.location else ""
                raise CompileError(f"op {node.call_op.name}{where} has a side effect; functionalise the graph first")
            if not self.plan.is_view(node):
                self.steps.append(self._call(node))
        self.steps += [self._copy(value, storage) for value, storage in self.plan.copies]
        return self.steps

    def _copy(self, value: Value, storage: Storage) -> Step:
        shape = value.type.shape
        places = [(self.plan.placements[value], shape), (whole(storage, shape), shape)]
        return self._kernel("copy", ("copy", value_key(value.type)), places, lambda p: lower_copy(value, *p))

    def _call(self, node: Node) -> Step:
        rule = rule_of(node.call_op)
        if rule is Rule.CONTRACT and (gemm := gemm_of(node, self.plan.placements)) is not None:
            return GemmStep(gemm)
        if rule is Rule.NONE and node.call_op.kind is not Kind.FUSED:
            self.eager_calls += 1
            return EagerStep(node, self.eager_calls - 1)
        values = [*body_operands(node), *node.values]
        places = [(self.plan.placements[v], v.type.shape) for v in values]
        return self._kernel(_kernel_name(node), call_signature(node), places, lambda p: _lower(node, p))

    def _kernel(
        self,
        name: str,
        signature: Hashable,
        places: Sequence[tuple[Placement, tuple[Dim, ...]]],
        lower: Callable[[Sequence[Placement]], Lowered],
    ) -> KernelStep:
        """The step of a kernel of which all but its name is known."""
        local = localise(places)
        key = signature, local.key
        if key not in self.lowered:
            self.lowered[key] = self._named(name, lower(local.placements))
        lowered = self.lowered[key]
        return KernelStep(lowered.kernel, tuple(local.arguments[s] for s in lowered.storages))

    def _named(self, name: str, lowered: Lowered) -> Lowered:
        """A lowered kernel under a name of its own, or that of the kernel that says the same."""
        text = print_kernel(lowered.kernel)
        if text not in self.kernels:
            number = self.names[name] = self.names.get(name, -1) + 1
            self.kernels[text] = replace(lowered.kernel, name=f"{name}_{number}")
        return replace(lowered, kernel=self.kernels[text])


def _lower(node: Node, places: Sequence[Placement]) -> Lowered:
    """The kernel of a call, for its operands and results at `places`."""
    body, nest = _body(node)
    inputs = dict(zip(body.placeholders, places, strict=False))
    return lower_body("kernel", body, nest, inputs, places[len(inputs) :])


#: rules whose kernels are loop nests
NESTED = (Rule.ELEMENT, Rule.REDUCE, Rule.CONTRACT)


def _body(node: Node) -> tuple[Graph, Nest | None]:
    """What the kernel of a node computes, and its loops if it is a loop nest."""
    if node.call_op.kind is Kind.FUSED:
        body = node.attrs["body"]
        assert isinstance(body, Graph)
        return body, nest_attributes(node.attrs)
    return body_of(node), nest_of(node) if rule_of(node.call_op) in NESTED else None


def _kernel_name(node: Node) -> str:
    """`add`, or for a fused node the names of its ops."""
    if node.call_op.kind is not Kind.FUSED:
        names = [node.call_op.name]
    else:
        body = node.attrs["body"]
        assert isinstance(body, Graph)
        names = [n.call_op.name for n in body.calls if n.call_op.kind is not Kind.VIEW]
    text = "_".join(names[:2] + (["etc", names[-1]] if len(names) > 3 else names[2:]))
    return re.sub(r"\W", "_", text) or "view"
