"""Scatters: fill the result, then accumulate into computed positions one source element after the other.

    for m1 < 12 vector { store out[m1] = 0 }
    for i0 < n { check 0 <= index[i0] < 4; for i1 < 3 { store out[3*index[i0] + i1] += x[3*i0 + i1] } }

Two updates may meet in one place, so the loops over the source stay serial.
"""

from __future__ import annotations

from contextlib import ExitStack

from tracegraph.codegen.loops.loop_ir import Mark
from tracegraph.codegen.loops.scalar_handler import Scalar
from tracegraph.codegen.lowering.kernel_builder import KernelBuilder, Lowered
from tracegraph.codegen.lowering.loop_split import Loop
from tracegraph.codegen.lowering.lower_nest import BodyEvaluator, nested
from tracegraph.errors import IRError
from tracegraph.ir import dim as dims
from tracegraph.ir.evaluator import Position
from tracegraph.ir.graph import Node, Value
from tracegraph.ir.node_rules import scatter_rule
from tracegraph.ir.rules import Scatter

_COMBINES = {"mul": "mul", "maximum": "maximum", "minimum": "minimum"}


def lower_scatter(builder: KernelBuilder, root: Node) -> Lowered:
    """The kernel of a body that ends in the scatter `root`."""
    rule = scatter_rule(root)
    evaluator = BodyEvaluator(builder)
    _fill(builder, root, rule, evaluator)
    loops = [Loop(f"i{n}", extent) for n, extent in enumerate(rule.extents)]
    with nested(builder, loops, {}), evaluator.scope():
        index = tuple(dims.sym(loop.name) for loop in loops)
        target, value, *condition = rule.update(builder, evaluator.loader(root), index)
        with ExitStack() as stack:
            if condition:
                stack.enter_context(builder.if_(condition[0]))
            _combine(builder, rule.combine, target, builder.cast(value, root.value.type.dtype))
    return builder.lowered()


def _fill(builder: KernelBuilder, root: Node, rule: Scatter, evaluator: BodyEvaluator) -> None:
    """The result as it is before the first update."""
    shape = root.value.type.shape
    loops = [Loop(f"f{axis}", size) for axis, size in enumerate(shape)]
    with nested(builder, loops, {len(loops) - 1: {Mark.VECTOR}}), evaluator.scope():
        index = tuple(dims.sym(loop.name) for loop in loops)
        if rule.base is None:
            start: Scalar = builder.const(0, root.value.type.dtype)
        else:
            base = root.args[rule.base]
            assert isinstance(base, Value)
            start = evaluator.at(base, index)
        builder.write(0, index, start)


def _combine(builder: KernelBuilder, combine: str, target: Position, value: Scalar) -> None:
    if combine == "set":
        builder.write(0, target, value)
    elif combine == "add":
        builder.write(0, target, value, accumulate=True)
    elif combine in _COMBINES:
        builder.write(0, target, builder.apply(_COMBINES[combine], builder.reread(0, target), value))
    else:
        raise IRError(f"unknown combination {combine!r}; one of set, add, {', '.join(_COMBINES)}")
