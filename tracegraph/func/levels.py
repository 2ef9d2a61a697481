"""Where a derivative begins and ends: the tensors it is taken by, and what leaves it.

A transform differentiates by tensors of its own, so that transforms may be nested. Its results keep the history that
they have in what surrounds it, parameters for example, and lose the one that begins at the tensors of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracegraph.autograd.batched import for_every_sample, samples_of
from tracegraph.autograd.tape import Node
from tracegraph.ops.graphs.batched import LEVELS
from tracegraph.tensor.tensor import Tensor


def entered(tensor: Tensor) -> Tensor:
    """A tensor with the elements of `tensor` to differentiate by: a copy, if that has a history, else a leaf."""
    tensor = of_every_sample(tensor)
    if tensor.requires_grad:
        return tensor.clone()
    leaf = tensor.detach()
    begin(leaf)
    return leaf


def begin(leaf: Tensor) -> None:
    """Let a tensor without history require grad."""
    samples_of(leaf).requires_grad_()


def of_every_sample(tensor: Tensor) -> Tensor:
    """`tensor` as one for each sample where a function is mapped (`vmap`), so that each has a gradient of its own."""
    found: Tensor = for_every_sample(tensor, LEVELS.stack)
    return found


def left(results: Sequence[Tensor], own: Sequence[Tensor]) -> list[Tensor]:
    """The results of a transform as it returns them, which differentiates by the tensors `own`."""
    return [r if _reaches_others(r, own) else r.detach() for r in results]


def end(own: Sequence[Tensor]) -> None:
    """Nothing will be differentiated by these tensors any more: to captured code they are no leaves from here on."""


def _reaches_others(result: Tensor, own: Sequence[Tensor]) -> bool:
    """Whether the history of `result` begins at a leaf that is none of `own`."""
    if not result.requires_grad:
        return False
    result = samples_of(result)
    leaves = {id(samples_of(t)) for t in own}
    if result.grad_fn is None:
        return id(result) not in leaves
    seen: set[Node] = set()
    ahead: list[Node] = [result.grad_fn]
    while ahead:
        node = ahead.pop()
        if node in seen:
            continue
        seen.add(node)
        for edge in node.edges:
            if edge is None:
                continue
            before, _, leaf = edge
            if before is not None:
                ahead.append(before)
            elif id(leaf) not in leaves:
                return True
    return False
