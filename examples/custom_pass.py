"""A pass of one's own in the pipeline: division by a number becomes multiplication by its reciprocal.

    python examples/custom_pass.py

The rewrite changes the last bit of some results, so the compiler does not do it on its own; here the user allows it.
"""

from __future__ import annotations

import sys

import tracegraph as tg
from tracegraph.compiler import stages
from tracegraph.ir import Graph, Node, Rebuilder, lookup, rebuild


def reciprocal_division(graph: Graph) -> Graph:
    """Multiply by the reciprocal instead of dividing by a number.

    %0: f32[4] = div(%x, 3.0)        -->    %0: f32[4] = mul(%x, 0.3333333333333333)
    """
    return rebuild(graph, _visit)


def _visit(rebuilder: Rebuilder, node: Node) -> bool:
    """Replace `node` if it is such a division; False lets the rebuilder copy it."""
    if not node.is_call or node.call_op is not lookup("div") or not isinstance(node.args[1], int | float):
        return False
    dividend = rebuilder.operand(node.args[0])
    rebuilder.replace(node, rebuilder.builder.call(lookup("mul"), dividend, 1.0 / node.args[1]))
    return True


def f(x: tg.Tensor) -> tg.Tensor:
    return (x / 3.0 + 1.0).exp()


def main() -> int:
    x = tg.linspace(-1, 1, 7)
    compiled = tg.compile(f, options={"custom_passes": (reciprocal_division,)})
    with stages.recorded() as log:
        result = compiled(x)
    before = next(p for p in log if p.stage == "functionalise")
    after = next(p for p in log if p.stage == "optimise")
    print(before.text(), "\n\n-->\n")
    print(after.text(), "\n")
    difference = (result - f(x)).abs().max().item()
    print(f"largest difference from division: {difference:.1e}")
    return 0 if "div" not in after.text() and difference < 1e-6 else 1


if __name__ == "__main__":
    sys.exit(main())
