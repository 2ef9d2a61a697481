"""Jacobians and Hessians of functions, as functions (`torch.func`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracegraph.autograd.grad_mode import enable_grad, is_grad_enabled
from tracegraph.func.derivatives import Argnums, Differentiated, Forward, result_and_aux, tensors_of
from tracegraph.func.levels import end, left
from tracegraph.ops import functional as F
from tracegraph.pytree import tree_unflatten
from tracegraph.tensor.tensor import Tensor


def jacrev(
    func: Callable[..., Any], argnums: Argnums = 0, *, has_aux: bool = False, chunk_size: int | None = None
) -> Callable[..., Any]:
    """The function that gives the Jacobian of `func`, one backward pass for each element of the results.

    In the structure of the results there are, in the structure of the arguments chosen, tensors of the shape of the
    result followed by the argument's.

    Args:
        argnums: the positions of the arguments to differentiate by; a tuple gives tuples.
        has_aux: `func` returns (result, something else); the Jacobian comes with the latter.
        chunk_size: accepted for compatibility; rows are computed one by one.

    Raises:
        ArgumentError: an argument to differentiate by is not there or no floating tensor, or a result is no tensor.
    """

    def jacobian(*args: Any, **kwargs: Any) -> Any:
        create_graph = is_grad_enabled()
        with enable_grad():
            by = Differentiated("jacrev", args, argnums, create_graph)
            output, aux = result_and_aux("jacrev", func(*by.args, **kwargs), has_aux)
            results, spec = tensors_of("jacrev", output)
            blocks = [by.packed(left(_rows(by, r, create_graph), by.tensors)) for r in results]
            aux = by.leave(aux)
            end(by.tensors)
        found = tree_unflatten(blocks, spec)
        return (found, aux) if has_aux else found

    return jacobian


def _rows(by: Differentiated, result: Tensor, create_graph: bool) -> list[Tensor]:
    """The Jacobian of one result by each tensor."""
    elements = result.reshape((-1,))
    rows = [by.gradients([element], None, create_graph) for element in elements.unbind(0)]
    return [_block([row[i] for row in rows], 0, result, t) for i, t in enumerate(by.tensors)]


def jacfwd(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    randomness: str = "error",
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """As `jacrev`, one product with a tangent for each element of the arguments: for few of these and many results.

    Args:
        randomness, chunk_size: accepted for compatibility; `func` is called once.
    """

    def jacobian(*args: Any, **kwargs: Any) -> Any:
        create_graph = is_grad_enabled()
        with enable_grad():
            by = Differentiated("jacfwd", args, argnums, create_graph)
            output, aux = result_and_aux("jacfwd", func(*by.args, **kwargs), has_aux)
            results, spec = tensors_of("jacfwd", output)
            forward = Forward(by, results)
            own = [*by.tensors, *forward.cotangents]
            columns = [_columns(by, i, forward, create_graph) for i in range(len(by.tensors))]
            blocks = [by.packed(left([c[i] for c in columns], own)) for i in range(len(results))]
            aux = by.leave(aux)
            end(own)
        found = tree_unflatten(blocks, spec)
        return (found, aux) if has_aux else found

    return jacobian


def _columns(by: Differentiated, position: int, forward: Forward, create_graph: bool) -> list[Tensor]:
    """The Jacobian of each result by one tensor."""
    tensor = by.tensors[position]
    zeros = [F.zeros_like(t.detach()) for t in by.tensors]
    columns = []
    for unit in F.eye(tensor.numel(), dtype=tensor.dtype).unbind(0):
        directions = [unit.reshape(tuple(tensor.shape)) if i == position else z for i, z in enumerate(zeros)]
        columns.append(forward.products(directions, create_graph))
    return [_block([column[i] for column in columns], -1, r, tensor) for i, r in enumerate(forward.results)]


def _block(parts: Sequence[Tensor], axis: int, result: Tensor, tensor: Tensor) -> Tensor:
    """Rows or columns joined to a tensor of the shape of a result followed by an argument's."""
    shape = (*result.shape, *tensor.shape)
    return F.stack(list(parts), axis).reshape(shape) if parts else F.zeros(shape, dtype=result.dtype)


def hessian(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """The function that gives the Hessian of `func`: the Jacobian of its Jacobian. Arguments as for `jacrev`."""
    return jacrev(jacrev(func, argnums), argnums)
