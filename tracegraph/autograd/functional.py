"""Derivatives of functions of tensors: Jacobians, Hessians, and products with them (`torch.autograd.functional`).

`inputs` is a tensor or a tuple of tensors; results have the same structure. The function is called on tensors made of
the inputs for this, so nothing is accumulated into any `.grad`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from tracegraph.autograd.engine import grad
from tracegraph.autograd.grad_mode import enable_grad
from tracegraph.errors import ArgumentError, AutogradError, ShapeError
from tracegraph.ops import functional as F
from tracegraph.tensor.tensor import Tensor

#: a tensor or a tuple of them
Tensors: TypeAlias = "Tensor | tuple[Tensor, ...]"


def vjp(
    func: Callable[..., Any],
    inputs: Tensors,
    v: Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The results of `func`, and the product of `v` with its Jacobian.

    Args:
        v: of the shapes of the results; may be left out for a single element.
        create_graph: let both be differentiated again.
        strict: an input that the results do not depend on is an error, not a gradient of zeros.

    Raises:
        AutogradError: results do not depend on the inputs, and `strict` is set.
        ShapeError: `v` has other shapes than the results.
    """
    with enable_grad():
        given = _Given("vjp", inputs, create_graph)
        outputs = given.call(func)
        weights = _weights("vjp", v, outputs)
        gradients = given.gradients(outputs, weights, create_graph, strict)
    return given.packed_outputs(outputs, create_graph), given.packed(gradients)


def jvp(
    func: Callable[..., Any],
    inputs: Tensors,
    v: Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The results of `func`, and the product of its Jacobian with `v`, of the shapes of the inputs.

    Computed backwards twice: the product with a cotangent is linear in that, and its own gradient is the answer.
    Arguments and errors as for `vjp`.
    """
    with enable_grad():
        given = _Given("jvp", inputs, create_graph)
        directions = _weights("jvp", v, given.tensors)
        outputs = given.call(func)
        cotangents = [F.zeros_like(o).requires_grad_() for o in outputs]
        gradients = given.gradients(outputs, cotangents, True, strict)
        dependent = [(g, d) for g, d in zip(gradients, directions, strict=True) if g.requires_grad]
        found: Sequence[Tensor | None] = [None] * len(outputs)
        if dependent:
            roots, weights = zip(*dependent, strict=True)
            found = grad(roots, cotangents, weights, create_graph=create_graph, allow_unused=True)
    products = [F.zeros_like(o) if p is None else p for p, o in zip(found, outputs, strict=True)]
    return given.packed_outputs(outputs, create_graph), products[0] if given.is_single_output else tuple(products)


def vhp(
    func: Callable[..., Any],
    inputs: Tensors,
    v: Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The result of `func`, a single element, and the product of `v` with its Hessian. As `vjp` otherwise."""
    with enable_grad():
        given = _Given("vhp", inputs, create_graph)
        directions = _weights("vhp", v, given.tensors)
        outputs = given.scalar(func)
        first = given.gradients(outputs, None, True, strict)
        second = given.gradients(first, directions, create_graph, strict)
    return given.packed_outputs(outputs, create_graph), given.packed(second)


def hvp(
    func: Callable[..., Any],
    inputs: Tensors,
    v: Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The result of `func`, a single element, and the product of its Hessian with `v`.

    The Hessian is symmetric, so this is `vhp`, which costs less than going the other way round.
    """
    return vhp(func, inputs, v, create_graph, strict)


def jacobian(
    func: Callable[..., Any], inputs: Tensors, create_graph: bool = False, strict: bool = False, vectorize: bool = False
) -> Any:
    """The Jacobian of `func`: for each result and input, a tensor of the shape of the result followed by the input's.

    Args:
        vectorize: accepted for compatibility; rows are computed one by one.

    Returns:
        A tensor; a tuple by input if those are a tuple; a tuple by result of such if there are several results.
    """
    with enable_grad():
        given = _Given("jacobian", inputs, create_graph)
        outputs = given.call(func)
        blocks = [given.jacobian(output, create_graph, strict) for output in outputs]
    return blocks[0] if given.is_single_output else tuple(blocks)


def hessian(
    func: Callable[..., Any], inputs: Tensors, create_graph: bool = False, strict: bool = False, vectorize: bool = False
) -> Any:
    """The Hessian of `func`, whose result is a single element: for each pair of inputs, a tensor of both shapes.

    Returns:
        A tensor, or a tuple by input of tuples by input.
    """
    is_single = isinstance(inputs, Tensor)

    def slope(*tensors: Tensor) -> Any:
        given = _Given("hessian", tensors, True)
        outputs = given.scalar(func)
        gradients = tuple(given.gradients(outputs, None, True, strict))
        return gradients[0] if is_single else gradients

    return jacobian(slope, inputs, create_graph, strict)


class _Given:
    """The inputs of one call, as tensors to differentiate by."""

    def __init__(self, name: str, inputs: Tensors, create_graph: bool) -> None:
        self.name = name
        self.is_single = isinstance(inputs, Tensor)
        self.is_single_output = True
        listed = (inputs,) if isinstance(inputs, Tensor) else inputs
        if not isinstance(listed, tuple) or not all(isinstance(t, Tensor) and t.dtype.is_floating for t in listed):
            kinds = [type(t).__name__ for t in listed] if isinstance(listed, tuple) else type(inputs).__name__
            raise ArgumentError(f"{name}(): inputs must be a floating tensor or a tuple of them, got {kinds}")
        self.tensors = tuple(
            t.clone() if create_graph and t.requires_grad else t.detach().requires_grad_() for t in listed
        )

    def call(self, func: Callable[..., Any]) -> tuple[Tensor, ...]:
        """The results of the function, which must be tensors."""
        outputs = func(*self.tensors)
        self.is_single_output = isinstance(outputs, Tensor)
        listed = (outputs,) if isinstance(outputs, Tensor) else outputs
        if not isinstance(listed, tuple | list) or not all(isinstance(o, Tensor) for o in listed):
            raise ArgumentError(f"{self.name}(): func must return a tensor or a tuple of them, got {outputs!r:.80}")
        return tuple(listed)

    def scalar(self, func: Callable[..., Any]) -> tuple[Tensor, ...]:
        """The one result of the function, of one element."""
        outputs = self.call(func)
        if len(outputs) != 1 or outputs[0].numel() != 1:
            shapes = [list(o.shape) for o in outputs]
            raise ShapeError(f"{self.name}(): func must return a single element, got tensors of shapes {shapes}")
        return (outputs[0].reshape(()),)

    def gradients(
        self, outputs: Sequence[Tensor], weights: Sequence[Tensor] | None, create_graph: bool, strict: bool
    ) -> list[Tensor]:
        """Gradients of the outputs, weighted, by the inputs; zeros where there is no dependence."""
        chosen = [i for i, o in enumerate(outputs) if o.requires_grad]
        found: Sequence[Tensor | None] = [None] * len(self.tensors)
        if chosen:
            roots = [outputs[i] for i in chosen]
            given = None if weights is None else [weights[i] for i in chosen]
            found = grad(roots, self.tensors, given, retain_graph=True, create_graph=create_graph, allow_unused=True)
        for position, gradient in enumerate(found):
            if gradient is None and strict:
                raise AutogradError(f"{self.name}(strict=True): the results do not depend on input {position}")
        return [F.zeros_like(t.detach()) if g is None else g for g, t in zip(found, self.tensors, strict=True)]

    def jacobian(self, output: Tensor, create_graph: bool, strict: bool) -> Any:
        """The Jacobian of one result, by input."""
        elements = output.reshape(-1)
        rows = [self.gradients([elements[i]], None, create_graph, strict) for i in range(output.numel())]
        blocks = []
        for position, tensor in enumerate(self.tensors):
            shape = (*output.shape, *tensor.shape)
            column = [row[position] for row in rows]
            blocks.append(F.stack(column).reshape(shape) if column else F.zeros(shape, dtype=tensor.dtype))
        return self.packed(blocks)

    def packed(self, values: Sequence[Tensor]) -> Any:
        """One value per input, in the structure of the inputs."""
        return values[0] if self.is_single else tuple(values)

    def packed_outputs(self, outputs: Sequence[Tensor], create_graph: bool) -> Any:
        listed = tuple(o if create_graph else o.detach() for o in outputs)
        return listed[0] if self.is_single_output else listed


def _weights(name: str, v: Tensors | None, like: Sequence[Tensor]) -> list[Tensor]:
    """The vector of a product, one tensor for each of `like`."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            shapes = [list(t.shape) for t in like]
            raise ArgumentError(f"{name}(): v may only be left out for a single element, here it has shapes {shapes}")
        return [F.ones_like(like[0].detach())]
    listed = [v] if isinstance(v, Tensor) else list(v)
    if [t.shape for t in listed] != [t.shape for t in like]:
        found, wanted = [list(t.shape) for t in listed], [list(t.shape) for t in like]
        raise ShapeError(f"{name}(): v has shapes {found}, it takes {wanted}")
    return listed
