"""Lowering: a node of a graph, or the body of a fused one, to a kernel in loop IR.

The one decision here is which file does it: bodies of element and reduce rules run in a loop nest (`lower_rows`,
`lower_columns`), scatters and scans have loops of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tracegraph.codegen.lowering.kernel_builder import KernelBuilder, Lowered
from tracegraph.codegen.lowering.loop_plan import Style, addresses_of, plan_loops
from tracegraph.codegen.lowering.lower_columns import ColumnsLowering
from tracegraph.codegen.lowering.lower_rows import RowsLowering
from tracegraph.codegen.lowering.lower_scan import lower_scan
from tracegraph.codegen.lowering.lower_scatter import lower_scatter
from tracegraph.ir import dim as dims
from tracegraph.ir.builder import Builder
from tracegraph.ir.dim import is_zero
from tracegraph.ir.fused import free_symbols
from tracegraph.ir.graph import Graph, Value
from tracegraph.ir.loop_nest import Nest, elementwise_nest, survey
from tracegraph.ir.memory_plan import Placement
from tracegraph.ir.rules import Rule, rule_of


def lower_nest(
    name: str, body: Graph, nest: Nest, inputs: Mapping[Value, Placement], outputs: Sequence[Placement]
) -> Lowered:
    """The kernel of a body of element and reduce rules.

    Args:
        inputs: places of the placeholders and large constants of the body.
        outputs: places of its results.

    Raises:
        IRError: the body does not fit the loops of `nest`.
    """
    if any(is_zero(nest.loops[n]) for n in nest.outer):
        return KernelBuilder(name, inputs, outputs, symbols_of(body, [*inputs.values(), *outputs])).lowered()
    found = survey(body, nest)
    used = {a.source: inputs[a.source] for a in found.accesses}
    cost = max(found.costs.values(), default=1.0)
    plan = plan_loops(nest, found, addresses_of(nest, found, used, outputs), cost)
    builder = KernelBuilder(name, used, outputs, symbols_of(body, [*used.values(), *outputs]))
    lowering = ColumnsLowering if plan.style is Style.COLUMNS else RowsLowering
    return lowering(builder, body, nest, found, plan).run()


def lower_body(
    name: str, body: Graph, nest: Nest | None, inputs: Mapping[Value, Placement], outputs: Sequence[Placement]
) -> Lowered:
    """The kernel of a body; without a nest it has the loops of the scatter or scan that ends it."""
    if nest is not None:
        return lower_nest(name, body, nest, inputs, outputs)
    root = next(v.node for v in body.outputs if isinstance(v, Value))
    builder = KernelBuilder(name, inputs, outputs, symbols_of(body, [*inputs.values(), *outputs]))
    if any(map(is_zero, root.value.type.shape)):
        return builder.lowered()
    return _OWN_LOOPS[rule_of(root.call_op)](builder, root)


def lower_copy(value: Value, source: Placement, target: Placement) -> Lowered:
    """The kernel that copies a value from one place to another."""
    builder = Builder("copy")
    placeholder = builder.placeholder(value.type)
    body = builder.output(placeholder)
    return lower_nest("kernel", body, elementwise_nest(value.type.shape), {placeholder: source}, [target])


def symbols_of(body: Graph, places: Sequence[Placement]) -> set[str]:
    """Size symbols that a kernel may mention."""
    found = set(free_symbols(body))
    for place in places:
        for dim in (place.offset, place.storage.size, *place.strides):
            found |= dims.symbols(dim)
    return found


_OWN_LOOPS = {Rule.SCATTER: lower_scatter, Rule.SCAN: lower_scan}
