"""Scans: a running total along one axis, strictly in order.

    for i0 < rows parallel { acc t = 0; for i1 < n { t = t + x[i0, i1]; store out[i0, i1] = t } }

The rows are independent, the steps along the axis are not.
"""

from __future__ import annotations

from tracegraph.codegen.loops.loop_ir import Mark
from tracegraph.codegen.loops.scalar_ops import identity
from tracegraph.codegen.lowering.kernel_builder import KernelBuilder, Lowered
from tracegraph.codegen.lowering.loop_split import Loop
from tracegraph.codegen.lowering.lower_nest import BodyEvaluator, nested
from tracegraph.ir import dim as dims
from tracegraph.ir.graph import Node
from tracegraph.ir.node_rules import scan_rule


def lower_scan(builder: KernelBuilder, root: Node) -> Lowered:
    """The kernel of a body that ends in the scan `root`."""
    rule = scan_rule(root)
    type = root.value.type
    loops = [Loop(f"i{axis}", size) for axis, size in enumerate(type.shape)]
    along = loops[rule.axis : rule.axis + 1]
    evaluator = BodyEvaluator(builder)
    index = tuple(dims.sym(loop.name) for loop in loops)
    across = [loop for loop in loops if loop not in along]
    with nested(builder, across, {0: {Mark.PARALLEL}} if across else {}):
        start = identity(rule.combine, rule.accumulator)
        if rule.combine == "add" and rule.accumulator.is_floating:
            start = -0.0  # 0.0 would change a -0.0 that comes first
        total = builder.acc(rule.accumulator, start)
        with nested(builder, along, {}), evaluator.scope():
            term = builder.cast(evaluator.loader(root)(0, index), rule.accumulator)
            builder.set(total, builder.apply(rule.combine, total, term))
            builder.write(0, index, builder.cast(total, type.dtype))
    return builder.lowered()
