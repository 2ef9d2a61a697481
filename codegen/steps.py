"""A planned graph as a list of steps: what the native program does, in order.

    kernel add_0(in0, in1, buf0)
    gemm f32 [64, 784] @ [784, 10]: buf0 in2^T buf1
    eager sort #0
    kernel copy_0(in0, out1)

Views that the plan placed within their operand's storage are no step.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from tracegraph.codegen.contraction import Gemm, gemm_of
from tracegraph.codegen.kernel_builder import Lowered
from tracegraph.codegen.loop_ir import Kernel
from tracegraph.codegen.loop_text import print_kernel
from tracegraph.codegen.lower import lower_body, lower_copy
from tracegraph.errors import CompileError
from tracegraph.ir.fused import nest_attributes
from tracegraph.ir.graph import Graph, Node, Value
from tracegraph.ir.loop_nest import Nest, body_of, body_operands, nest_of
from tracegraph.ir.memory_plan import MemoryPlan, Storage
from tracegraph.ir.op import Kind
from tracegraph.ir.rules import Rule, rule_of


@dataclass(frozen=True)
class KernelStep:
    """Run a generated kernel."""

    lowered: Lowered

    def __str__(self) -> str:
        return f"kernel {self.lowered.kernel.name}({', '.join(s.name for s in self.lowered.storages)})"


@dataclass(frozen=True)
class GemmStep:
    """Multiply matrices with BLAS."""

    gemm: Gemm

    def __str__(self) -> str:
        return str(self.gemm)


@dataclass(frozen=True)
class EagerStep:
    """Call the eager rule of a node back from native code; `number` counts these steps."""

    node: Node
    number: int

    def __str__(self) -> str:
        return f"eager {self.node.call_op.name} #{self.number}"


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
        place = self.plan.placements[value]
        return self._kernel(lambda name: lower_copy(name, value, place, storage), "copy")

    def _call(self, node: Node) -> Step:
        rule = rule_of(node.call_op)
        if rule is Rule.CONTRACT and (gemm := gemm_of(node, self.plan.placements)) is not None:
            return GemmStep(gemm)
        if rule is Rule.NONE and node.call_op.kind is not Kind.FUSED:
            self.eager_calls += 1
            return EagerStep(node, self.eager_calls - 1)
        return self._kernel(lambda name: self._lower(name, node), _kernel_name(node))

    def _lower(self, name: str, node: Node) -> Lowered:
        body, nest = _body(node)
        places = self.plan.placements
        inputs = {p: places[o] for p, o in zip(body.placeholders, body_operands(node), strict=True)}
        return lower_body(name, body, nest, inputs, [places[v] for v in node.values])

    def _kernel(self, lower: Callable[[str], Lowered], name: str) -> KernelStep:
        lowered = lower(name)
        text = print_kernel(lowered.kernel)
        if text not in self.kernels:
            number = self.names[name] = self.names.get(name, -1) + 1
            self.kernels[text] = replace(lowered.kernel, name=f"{name}_{number}")
        return KernelStep(replace(lowered, kernel=self.kernels[text]))


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
