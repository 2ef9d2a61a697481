"""Backward hooks of modules: identities on the inputs and the outputs of a call, whose backward calls the hooks.

    y = module(x)      -->      y = outputs(module.forward(inputs(x)))

The gradients of the outputs are known first. The identity on them calls the hooks that go before the module's backward
pass, and leaves what they return for the identity on the inputs, which calls the others.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tracegraph.autograd import Function, is_grad_enabled
from tracegraph.autograd.function import Form, fitted
from tracegraph.errors import AutogradError
from tracegraph.ops import functional as F
from tracegraph.tensor import Tensor

if TYPE_CHECKING:
    from tracegraph.nn.module import Module

Hook = Callable[..., Any]
Gradients = tuple[Any, ...]


class BackwardWatch:
    """Shows the gradients of one call of a module to its hooks.

    Attributes:
        hooks: called `hook(module, grad_input, grad_output)`.
        pre_hooks: called `hook(module, grad_output)`.
        taken, given: the number of arguments, and of results.
        watched: the positions of the tensors among the arguments; None if no gradient goes back to them.
        shown: the same of the results.
    """

    def __init__(self, module: Module, hooks: Sequence[Hook], pre_hooks: Sequence[Hook]) -> None:
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.taken = self.given = 0
        self.watched: tuple[int, ...] | None = None
        self.shown: tuple[int, ...] | None = None
        self._grad_output: Gradients | None = None

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, tensors among them through an identity."""
        self.taken = len(args)
        self.watched = tensors_to_watch(args)
        if self.watched is None:
            return args
        return replaced(args, self.watched, _Watched.apply(self._back_to_inputs, *(args[i] for i in self.watched)))

    def outputs(self, output: Any) -> Any:
        """The output, or the tensors in it if it is a tuple, through an identity."""
        if not isinstance(output, Tensor | tuple):
            warnings.warn(
                "For backward hooks to be called, module output should be a Tensor or a tuple of Tensors but received "
                f"{type(output)}",
                stacklevel=2,
            )
        listed = output if isinstance(output, tuple) else (output,)
        self.given = len(listed)
        self.shown = tensors_to_watch(listed)
        if self.shown is None:
            return output
        listed = replaced(listed, self.shown, _Watched.apply(self._back_to_outputs, *(listed[i] for i in self.shown)))
        return listed if isinstance(output, tuple) else listed[0]

    # What follows is called in backward; `seen_output` and `seen_input` leave nothing behind but what hooks do.

    def _back_to_outputs(self, gradients: Gradients, forms: Sequence[Any]) -> Gradients:
        self._grad_output = self.seen_output(gradients)
        passed_on = tuple([self._grad_output[i] for i in self.shown or ()])
        if self.watched is None:
            self._grad_output = None
        return passed_on

    def _back_to_inputs(self, gradients: Gradients, forms: Sequence[Any]) -> Gradients:
        grad_output, self._grad_output = self._grad_output, None
        return self.seen_input(filled(gradients, forms), grad_output)

    def seen_output(self, gradients: Gradients) -> Gradients:
        """`grad_output` for the hooks, from the gradients of the tensors among the results.

        Raises:
            AutogradError: a hook returns another number of gradients, or gradients for what needs none.
        """
        assert self.shown is not None
        grad_output = spread(gradients, self.shown, self.given)
        for hook in self.pre_hooks:
            found = hook(self.module, grad_output)
            if found is None:
                continue
            if len(found) != self.given:
                raise AutogradError(
                    "Backward pre hook returned an invalid number of grad_output, got "
                    f"{len(found)}, but expected {self.given}"
                )
            grad_output = found
        if self.watched is None:
            self._show_without_inputs(grad_output)
        return grad_output

    def _show_without_inputs(self, grad_output: Gradients) -> None:
        """Call the hooks of a module none of whose arguments requires grad."""
        for hook in self.hooks:
            found = hook(self.module, (None,) * self.taken, grad_output)
            if found is not None and not (isinstance(found, tuple) and all(g is None for g in found)):
                raise AutogradError(
                    "Backward hook for Modules where no input requires gradient should always return None or None for "
                    "all gradients."
                )

    def seen_input(self, gradients: Gradients, grad_output: Gradients | None) -> Gradients:
        """The gradients of the tensors among the arguments when the hooks have seen them.

        Args:
            grad_output: None where gradients have come another way than through the results, which hooks do not see.

        Raises:
            AutogradError: a hook returns another number of gradients.
        """
        if grad_output is None:
            return gradients
        assert self.watched is not None
        grad_input = spread(gradients, self.watched, self.taken)
        for hook in self.hooks:
            found = hook(self.module, grad_input, grad_output)
            if found is None:
                continue
            if len(found) != self.taken:
                raise AutogradError(
                    "Backward hook returned an invalid number of grad_input, got "
                    f"{len(found)}, but expected {self.taken}"
                )
            grad_input = found
        return tuple([grad_input[i] for i in self.watched])


def tensors_to_watch(values: Sequence[Any]) -> tuple[int, ...] | None:
    """The positions of the tensors among `values`; None if no gradient goes back to any of them."""
    positions = tuple([i for i, v in enumerate(values) if isinstance(v, Tensor)])
    return positions if is_grad_enabled() and any(values[i].requires_grad for i in positions) else None


def replaced(values: tuple[Any, ...], positions: Sequence[int], by: Sequence[Any]) -> tuple[Any, ...]:
    """A tuple of the same class with other values at these positions."""
    listed = list(values)
    for position, value in zip(positions, by, strict=True):
        listed[position] = value
    return type(values)(*listed) if hasattr(values, "_fields") else tuple(listed)


def spread(values: Sequence[Any], positions: Sequence[int], size: int) -> Gradients:
    """A tuple of this size with `values` at these positions, None elsewhere."""
    found: list[Any] = [None] * size
    for position, value in zip(positions, values, strict=True):
        found[position] = value
    return tuple(found)


def filled(gradients: Sequence[Any], forms: Sequence[Any]) -> Gradients:
    """Gradients with zeros, of these shapes and dtypes, where there is none."""
    pairs = zip(gradients, forms, strict=True)
    return tuple([F.zeros(shape, dtype=dtype) if g is None else g for g, (shape, dtype) in pairs])


# ------------------------------------------------------------------------------------------ in a graph


def through_inputs(
    watch: BackwardWatch,
    forms: Sequence[Form],
    is_needed: Sequence[bool],
    requiring: Sequence[int],
    *gradients: Any,
) -> tuple[Any, ...]:
    """Gradients of the arguments that need them, the hooks' doing without what they leave for each other.

    Args:
        forms: of the tensors among the arguments; `is_needed` says which of them need gradients.
        gradients: of these, and of the results at the positions `requiring`.
    """
    given = iter(gradients)
    own = [next(given) if needed else None for needed in is_needed]
    shown = list(given)
    grad_output = None
    for gradient in shown:
        if gradient is not None:
            grad_output = spread(shown, requiring, watch.given)
    found = watch.seen_input(filled(own, forms), grad_output)
    pairs = zip(found, forms, is_needed, strict=True)
    return tuple([fitted("a backward hook", 0, g, form) for g, form, needed in pairs if needed])


def through_outputs(
    watch: BackwardWatch, forms: Sequence[Form], requiring: Sequence[int], is_twice: bool, *gradients: Any
) -> tuple[Any, ...]:
    """Gradients of the results at the positions `requiring` from those that reach them, as what goes on to the module.

    Args:
        forms: of these results.
        is_twice: whether they are given once more, for `through_inputs`.

    Raises:
        AutogradError: a hook returns gradients that do not fit, or that a graph has no place for.
    """
    assert watch.shown is not None
    every = spread(gradients, requiring, watch.given)
    grad_output = watch.seen_output(tuple([every[i] for i in watch.shown]))
    if type(grad_output) is not tuple:
        raise AutogradError("a backward pre-hook returns something other than a tuple")
    for position, gradient in enumerate(grad_output):
        if gradient is not None and position not in requiring:
            raise AutogradError("a backward pre-hook returns a gradient of what requires none")
    passed_on = [grad_output[i] for i in requiring]
    found = tuple([fitted("a backward pre-hook", 0, g, form) for g, form in zip(passed_on, forms, strict=True)])
    return (*found, *found) if is_twice else found


# ------------------------------------------------------------------------------------------ on the tape


class _Watched(Function):
    """The identity on tensors; `back(gradients, forms of the tensors)` gives the gradients that go on."""

    @staticmethod
    def forward(ctx: Any, back: Callable[[Gradients, Sequence[Any]], Gradients], *tensors: Tensor) -> Any:
        ctx.back = back
        ctx.forms = [(tuple(t.shape), t.dtype) for t in tensors]
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*[t for t in tensors if not t.requires_grad])
        return tensors

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return (None, *ctx.back(gradients, ctx.forms))
