"""A backend of one's own: counts the operations of every graph, then hands it to the LLVM backend or runs it itself.

    python examples/custom_backend.py

A backend is a callable `(graph_module, example_inputs) -> callable`, as in PyTorch.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import tracegraph as tg
from tracegraph.compiler import GraphModule, list_backends, register_backend

COUNTS: Counter[str] = Counter()


@register_backend("counting")
def counting(module: GraphModule, example_inputs: Sequence[tg.Tensor]) -> Callable[..., Any]:
    """Count the operations, print the graph as Python, run it op by op."""
    COUNTS.update(node.target.name for node in module.graph.nodes if node.op == "call")
    print(module.code, "\n")
    return module


def f(x: tg.Tensor, steps: int) -> tg.Tensor:
    for _ in range(steps):
        x = tg.sin(x) * 2 + 1
    return x.sum()


def main() -> int:
    print("backends:", ", ".join(list_backends()), "\n")
    compiled = tg.compile(f, backend="counting")
    x = tg.ones(3, requires_grad=True)
    result = compiled(x, 2)
    result.backward()
    gradient = x.grad.clone()
    x.grad = None
    f(x, 2).backward()
    print("operations:", dict(COUNTS))
    print("result", result.item(), "gradient", gradient.tolist())
    same = result.item() == f(x, 2).item() and gradient.tolist() == x.grad.tolist()
    return 0 if same and COUNTS["sin"] == 2 else 1


if __name__ == "__main__":
    sys.exit(main())
