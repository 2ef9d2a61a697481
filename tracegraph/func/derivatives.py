"""Gradients of functions, and products with their Jacobians, as functions (`torch.func`).

Arguments and results may be nested containers of tensors. Everything can be nested and differentiated again; nothing
is accumulated into any `.grad`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracegraph.autograd import engine
from tracegraph.autograd.grad_mode import enable_grad, is_grad_enabled
from tracegraph.errors import ArgumentError, ShapeError
from tracegraph.func.levels import end, entered, left
from tracegraph.ops import functional as F
from tracegraph.pytree import TreeSpec, tree_flatten, tree_map, tree_unflatten
from tracegraph.tensor.questions import is_tensor
from tracegraph.tensor.tensor import Tensor

Argnums = int | tuple[int, ...]


def grad(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """The function that gives the gradient of `func`, whose result is a tensor of one element without dimensions.

    Args:
        argnums: the positions of the arguments to differentiate by; a tuple gives a tuple of gradients.
        has_aux: `func` returns (result, something else); the gradient comes with the latter.

    Raises:
        ArgumentError: an argument to differentiate by is not there or no floating tensor, or the result is none.
        ShapeError: the result has dimensions.

    Example:
        >>> import tracegraph as tg
        >>> tg.func.grad(tg.func.grad(lambda x: x**3))(tg.tensor(2.0))
        tensor(12.)
    """
    both = grad_and_value(func, argnums, has_aux)

    def gradient(*args: Any, **kwargs: Any) -> Any:
        found, value = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return gradient


def grad_and_value(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """The function that gives (gradient, result) of `func`; the result is a pair if `has_aux`. As `grad` otherwise."""

    def gradient_and_value(*args: Any, **kwargs: Any) -> Any:
        create_graph = is_grad_enabled()
        with enable_grad():
            by = Differentiated("grad", args, argnums, create_graph)
            output, aux = result_and_aux("grad", func(*by.args, **kwargs), has_aux)
            if not is_tensor(output):
                raise ArgumentError(f"grad(): the function must return a tensor, got {type(output).__name__}")
            if output.ndim != 0:
                raise ShapeError(
                    f"grad(): the function must return a tensor without dimensions, got one of shape "
                    f"{list(output.shape)}; see vjp and jacrev"
                )
            found = by.gradients([output], None, create_graph)
            gradients = left(found, by.tensors)
            value = by.leave(output)
            aux = by.leave(aux)
            end(by.tensors)
        return by.packed(gradients), (value, aux) if has_aux else value

    return gradient_and_value


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """The result of `func(*primals)`, and the function from cotangents of it to those of the primals.

    That function takes what has the structure of the result, and gives a tuple, also if there is one primal.

    Args:
        has_aux: `func` returns (result, something else), which comes third.

    Raises:
        ArgumentError: a primal or a result is no tensor.
    """
    create_graph = is_grad_enabled()
    with enable_grad():
        by = Differentiated("vjp", primals, tuple(range(len(primals))), create_graph)
        output, aux = result_and_aux("vjp", func(*by.args), has_aux)
        results, spec = tensors_of("vjp", output)

    def pull_back(cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        given = _fitting("vjp", cotangents, spec, results)
        recorded = is_grad_enabled() if create_graph is None else create_graph
        with enable_grad():
            found = left(by.gradients(results, given, recorded), by.tensors)
        return by.packed(found)

    value = by.leave(output)
    return (value, pull_back, by.leave(aux)) if has_aux else (value, pull_back)


def jvp(
    func: Callable[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...], *, strict: bool = False,
    has_aux: bool = False,
) -> tuple[Any, ...]:  # fmt: skip
    """The result of `func(*primals)`, and the product of its Jacobian with `tangents`, which are like `primals`.

    Computed backwards twice: the product with a cotangent is linear in that, and its own gradient is the answer.

    Args:
        strict: accepted for compatibility; where a result depends on no primal, its tangent is zero.
        has_aux: `func` returns (result, something else), which comes third.

    Raises:
        ArgumentError: primals or tangents are no tuples of tensors, or do not fit each other.
    """
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple) or len(primals) != len(tangents):
        raise ArgumentError("jvp(): primals and tangents must be tuples of the same length")
    create_graph = is_grad_enabled()
    with enable_grad():
        by = Differentiated("jvp", primals, tuple(range(len(primals))), create_graph)
        directions = _fitting("jvp", tangents, by.spec, by.tensors)
        output, aux = result_and_aux("jvp", func(*by.args), has_aux)
        results, spec = tensors_of("jvp", output)
        forward = Forward(by, results)
        products = left(forward.products(directions, create_graph), [*by.tensors, *forward.cotangents])
        value = by.leave(output)
        aux = by.leave(aux)
        end([*by.tensors, *forward.cotangents])
    tangent = tree_unflatten(products, spec)
    return (value, tangent, aux) if has_aux else (value, tangent)


class Differentiated:
    """The arguments of a call that is differentiated, with tensors of its own in the place of some.

    Args:
        is_recorded: whether the call is made in grad mode, so that its results have histories.

    Attributes:
        args: the arguments.
        tensors: what is differentiated by.
        spec: the structure of the arguments chosen.
    """

    def __init__(self, name: str, args: tuple[Any, ...], argnums: Argnums, is_recorded: bool) -> None:
        self.name = name
        self.is_recorded = is_recorded
        self.is_single = isinstance(argnums, int)
        places = [_place(name, n, len(args)) for n in ((argnums,) if isinstance(argnums, int) else argnums)]
        leaves, self.spec = tree_flatten(tuple([args[p] for p in places]))
        for leaf in leaves:
            if not is_tensor(leaf) or not leaf.dtype.is_floating:
                what = f"a tensor of dtype {leaf.dtype}" if is_tensor(leaf) else type(leaf).__name__
                raise ArgumentError(f"{name}(): what is differentiated by must be floating tensors, got {what}")
        self.tensors = [entered(leaf) for leaf in leaves]
        chosen = tree_unflatten(self.tensors, self.spec)
        replaced = dict(zip(places, chosen, strict=True))
        self.args = tuple([replaced.get(i, arg) for i, arg in enumerate(args)])

    def gradients(
        self, outputs: Sequence[Tensor], cotangents: Sequence[Tensor] | None, create_graph: bool
    ) -> list[Tensor]:
        """Gradients of the outputs, weighted, by the tensors; zeros where there is no dependence."""
        chosen = [i for i, o in enumerate(outputs) if o.requires_grad]
        found: Sequence[Tensor | None] = [None] * len(self.tensors)
        if chosen and self.tensors:
            roots = [outputs[i] for i in chosen]
            given = None if cotangents is None else [cotangents[i] for i in chosen]
            found = engine.grad(roots, self.tensors, given, True, create_graph, allow_unused=True)
        return [F.zeros_like(t.detach()) if g is None else g for g, t in zip(found, self.tensors, strict=True)]

    def packed(self, values: Sequence[Any]) -> Any:
        """One value for each tensor, in the structure of the arguments chosen."""
        tree = tree_unflatten(values, self.spec)
        return tree[0] if self.is_single else tree

    def leave(self, tree: Any) -> Any:
        """A tree without the history that begins at the tensors; outside of grad mode, without any."""

        def outer(leaf: Any) -> Any:
            if not is_tensor(leaf):
                return leaf
            return left([leaf], self.tensors)[0] if self.is_recorded else leaf.detach()

        return tree_map(outer, tree)


class Forward:
    """Products of a Jacobian with tangents: gradients, by the cotangents, of the products with those."""

    def __init__(self, by: Differentiated, results: Sequence[Tensor]) -> None:
        self.results = results
        self.cotangents = [entered(F.zeros_like(r.detach())) for r in results]
        self._pulled_back = by.gradients(results, self.cotangents, True)

    def products(self, directions: Sequence[Tensor], create_graph: bool) -> list[Tensor]:
        """The tangents of the results."""
        dependent = [i for i, g in enumerate(self._pulled_back) if g.requires_grad]
        found: Sequence[Tensor | None] = [None] * len(self.results)
        if dependent and self.cotangents:
            roots, weights = [self._pulled_back[i] for i in dependent], [directions[i] for i in dependent]
            found = engine.grad(roots, self.cotangents, weights, True, create_graph, allow_unused=True)
        return [F.zeros_like(r.detach()) if p is None else p for p, r in zip(found, self.results, strict=True)]


def result_and_aux(name: str, output: Any, has_aux: bool) -> tuple[Any, Any]:
    """What a function returned, and what it returned besides.

    Raises:
        ArgumentError: with `has_aux` it did not return a pair.
    """
    if not has_aux:
        return output, None
    if not isinstance(output, tuple) or len(output) != 2:
        raise ArgumentError(f"{name}(): with has_aux=True the function must return the pair (result, aux)")
    return output[0], output[1]


def tensors_of(name: str, output: Any) -> tuple[list[Tensor], TreeSpec]:
    """The tensors that a function returned, and their structure.

    Raises:
        ArgumentError: it returned something else.
    """
    results, spec = tree_flatten(output)
    for result in results:
        if not is_tensor(result):
            raise ArgumentError(f"{name}(): the function must return tensors, got {type(result).__name__}")
    return results, spec


def _place(name: str, argnum: Any, count: int) -> int:
    if not isinstance(argnum, int) or not -count <= argnum < count:
        raise ArgumentError(f"{name}(): argnums={argnum} of a call with {count} positional arguments")
    return argnum % count


def _fitting(name: str, tree: Any, spec: TreeSpec, like: Sequence[Tensor]) -> list[Tensor]:
    """The tensors of a tree that has the structure `spec` and shapes `like`."""
    found, structure = tree_flatten(tree)
    if structure != spec:
        raise ArgumentError(f"{name}(): expected tensors in the structure of {spec}, got {structure}")
    for tensor, wanted in zip(found, like, strict=True):
        if tuple(tensor.shape) != tuple(wanted.shape):
            raise ShapeError(f"{name}(): a tensor of shape {list(tensor.shape)} for one of {list(wanted.shape)}")
    return found
