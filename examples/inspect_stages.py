"""Every stage of the compiler for one small function, each product as text.

    python examples/inspect_stages.py [stage ...]

The same from the command line, for any function:

    tracegraph dump --stage all examples/inspect_stages.py:f "f32[4,8]" "f32[8,3]:grad"
"""

from __future__ import annotations

import sys

import tracegraph as tg
from tracegraph.compiler import stages


def f(x: tg.Tensor, w: tg.Tensor) -> tg.Tensor:
    """Mean of squared softmax probabilities: a product, a row reduction, pointwise work and a full reduction."""
    probabilities = tg.softmax((x @ w).relu(), dim=-1)
    return (probabilities * probabilities).mean()


def main() -> int:
    wanted = set(sys.argv[1:])
    unknown = wanted - set(stages.STAGES)
    if unknown:
        print(f"unknown stage {', '.join(sorted(unknown))}: one of {', '.join(stages.STAGES)}", file=sys.stderr)
        return 2
    tg.manual_seed(0)
    x, w = tg.randn(4, 8), tg.randn(8, 3).requires_grad_()
    compiled = tg.compile(f, fullgraph=True)
    with stages.recorded() as log:
        loss = compiled(x, w)
        loss.backward()
    for product in log:
        if not wanted or product.stage in wanted:
            print(f"===== {product.stage}: {product.title} ({1e3 * product.seconds:.1f} ms)")
            print(product.text())
            print()
    gradient = w.grad.clone()
    w.grad = None
    eager = f(x, w)
    eager.backward()
    print(f"compiled {loss.item():.7f}, eager {eager.item():.7f}")
    print(f"largest difference of the gradients {(gradient - w.grad).abs().max().item():.1e}")
    return 0 if tg.allclose(gradient, w.grad, atol=1e-6) else 1


if __name__ == "__main__":
    sys.exit(main())
