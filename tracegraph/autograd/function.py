"""User-defined differentiable functions: forward and backward written by hand.

`apply` and what it calls are ordinary Python, which capture traces like any; the one step that it takes in another
way is `recorded`, which puts the application on the tape (see `capture.tensors.autograd_functions`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeAlias

from tracegraph.autograd.batched import SamplesNode, for_every_sample, levels_of, samples_of
from tracegraph.autograd.grad_mode import is_grad_enabled, no_grad
from tracegraph.autograd.inplace import check_target, rewrite_history
from tracegraph.autograd.tape import Node, edge_to, modified_error
from tracegraph.errors import ArgumentError, AutogradError, VmapError
from tracegraph.ops import functional as F
from tracegraph.ops.graphs.batched import LEVELS, innermost
from tracegraph.tensor.tensor import Tensor

#: shape and dtype of a tensor
Form: TypeAlias = "tuple[tuple[Any, ...], Any]"


class Context:
    """Carries values from `forward` to `backward`; any attribute may be set on it.

    Attributes:
        needs_input_grad: of each argument of `apply`, whether it is a tensor that requires grad.
    """

    def __init__(self) -> None:
        self._saved: tuple[Any, ...] = ()
        self._versions: tuple[int, ...] = ()
        self._dirty: tuple[Any, ...] = ()
        self._non_differentiable: tuple[Any, ...] = ()
        self._materialize = True
        self.needs_input_grad: tuple[bool, ...] = ()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for `backward`; a change of one in place after `forward` is an error there.

        Raises:
            ArgumentError: one is neither a tensor nor None; keep it as an attribute.
        """
        for tensor in tensors:
            if tensor is not None and not isinstance(tensor, Tensor):
                raise ArgumentError(
                    f"save_for_backward() keeps tensors, got {type(tensor).__name__}; set an attribute of ctx instead"
                )
        self._saved = tensors

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What `save_for_backward` kept.

        Raises:
            AutogradError: one of them was written to since.
        """
        for tensor, version in zip(self._saved, self._versions, strict=False):
            if tensor is not None and tensor._version != version:
                raise modified_error("a saved tensor", "autograd.Function", tensor.shape, version, tensor._version)
        return self._saved

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Say which arguments `forward` has written to; it must return them."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Say which results have no gradient; `backward` gets zeros for theirs."""
        self._non_differentiable = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether gradients that are absent reach `backward` as zeros (the default) or as None."""
        self._materialize = value

    def freeze_versions(self) -> None:
        """From now on, refuse writes to what was saved."""
        self._versions = tuple(0 if t is None else t._version for t in self._saved)


class Function:
    """Derive, write `forward` and `backward` as static methods, and call `apply` (`torch.autograd.Function`).

    Either `forward(ctx, *args)`, or `forward(*args)` and `setup_context(ctx, inputs, output)`; and
    `backward(ctx, *gradients)`, which is given one gradient per result and returns one per argument, None where there
    is none.
    """

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        raise AutogradError("a Function must define a static method forward(ctx, *args)")

    @staticmethod
    def setup_context(ctx: Context, inputs: tuple[Any, ...], output: Any) -> None:
        raise AutogradError("a Function without setup_context has a forward(ctx, *args)")

    @staticmethod
    def backward(ctx: Context, *cotangents: Any) -> Any:
        raise AutogradError("a Function must define a static method backward(ctx, *gradients)")

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run `forward` unrecorded, and put the application on the tape.

        Raises:
            AutogradError: `mark_dirty` was given something other than an argument that is returned; or, as for any
                write in place, a leaf that requires grad. In backward: `backward` returns other gradients than one
                per argument, of its shape.
        """
        context = Context()
        takes_context = cls.setup_context is Function.setup_context
        if kwargs or not takes_context:
            args = positional(cls.forward, (context, *args) if takes_context else args, kwargs)
            args = args[1:] if takes_context else args
        context.needs_input_grad = tuple([isinstance(a, Tensor) and a.requires_grad for a in args])
        with no_grad():
            if takes_context:
                results = cls.forward(context, *args)
            else:
                results = cls.forward(*args)
                cls.setup_context(context, args, results)
        if not is_grad_enabled() or not any(context.needs_input_grad):
            return results
        listed = results if isinstance(results, tuple) else (results,)
        replaced = recorded(cls, context, args, listed)
        return replaced if isinstance(results, tuple) else replaced[0]


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator of a `backward` that is not made of differentiable operations: gradients of what it returns are an
    error (`torch.autograd.function.once_differentiable`).
    """

    @wraps(backward)
    def wrapper(ctx: Context, *gradients: Any) -> Any:
        with no_grad():
            found = backward(ctx, *gradients)
        given = [g for g in gradients if isinstance(g, Tensor) and g.requires_grad]
        if not is_grad_enabled() or not given:
            return found
        listed = found if isinstance(found, tuple) else (found,)
        return tuple([F.undifferentiable(g, given) if isinstance(g, Tensor) else g for g in listed])

    return wrapper


def positional(forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """The arguments of a call by position, defaults among them."""
    bound = inspect.signature(forward).bind(*args, **kwargs)
    bound.apply_defaults()
    return (*bound.args, *bound.kwargs.values())


# ------------------------------------------------------------------------------------------ gradients


def is_differentiable(context: Context, result: Any) -> bool:
    """Whether a result of `forward` has a history."""
    if not isinstance(result, Tensor) or not result.dtype.is_floating:
        return False
    return not any(result is other for other in context._non_differentiable)


def check_dirty(function: type[Function], context: Context, args: Sequence[Any], results: Sequence[Any]) -> None:
    """Raise AutogradError unless what `forward` wrote to are arguments that it returns."""
    for tensor in context._dirty:
        if not any(tensor is a for a in args) or not any(tensor is r for r in results):
            raise AutogradError(
                f"{function.__name__}.forward: mark_dirty() takes arguments that are written to and returned; a tensor "
                f"of shape {list(tensor.shape)} is not"
            )


def form_of(value: Any) -> Form | None:
    """Shape and dtype of a tensor, None for anything else."""
    return (tuple(value.shape), value.dtype) if isinstance(value, Tensor) else None


def pull_back(
    function: type[Function],
    context: Context,
    results: Sequence[Form | None],
    inputs: Sequence[Form | None],
    cotangents: Sequence[Any],
) -> tuple[Any, ...]:
    """The gradients that `backward` returns, one per argument, in the forms that they must have.

    Args:
        results: forms of the results of `forward`.
        inputs: forms of the arguments whose gradients are wanted, None for others.
        cotangents: one per result, None where nothing has reached it.
    """
    if context._materialize:
        cotangents = [
            F.zeros(form[0], dtype=form[1]) if c is None and form is not None else c
            for c, form in zip(cotangents, results, strict=True)
        ]
    found = function.backward(context, *cotangents)
    listed = found if isinstance(found, tuple) else (found,)
    name = f"{function.__name__}Backward"
    if len(listed) > len(inputs) and all(g is None for g in listed[len(inputs) :]):
        listed = listed[: len(inputs)]
    if len(listed) != len(inputs):
        raise AutogradError(
            f"{name} returned an incorrect number of gradients (expected {len(inputs)}, got {len(listed)}): "
            "backward() must return one per argument of forward, None where there is none"
        )
    return tuple([fitted(name, i, g, form) for i, (g, form) in enumerate(zip(listed, inputs, strict=True))])


def pull_back_of_some(
    function: type[Function],
    context: Context,
    results: Sequence[Form | None],
    inputs: Sequence[Form | None],
    positions: Sequence[int],
    *cotangents: Any,
) -> tuple[Any, ...]:
    """As `pull_back`, with cotangents of the results at `positions` only; the gradients that are wanted."""
    every: list[Any] = [None] * len(results)
    for position, cotangent in zip(positions, cotangents, strict=True):
        every[position] = cotangent
    found = pull_back(function, context, results, inputs, every)
    return tuple([g for g, form in zip(found, inputs, strict=True) if form is not None])


def fitted(name: str, position: int, gradient: Any, form: Form | None) -> Any:
    """A gradient in the shape and dtype of its input; one that the input broadcasts to is summed up."""
    if gradient is None or form is None:
        return None
    if not isinstance(gradient, Tensor):
        raise AutogradError(f"{name} returned a {type(gradient).__name__} at index {position}, not a tensor or None")
    shape, dtype = form
    if tuple(gradient.shape) != shape:
        if not _broadcasts(shape, tuple(gradient.shape)):
            raise AutogradError(
                f"{name} returned an invalid gradient at index {position}: got shape {list(gradient.shape)}, expected "
                f"{list(shape)}"
            )
        gradient = gradient.sum_to_size(shape)
    return gradient if gradient.dtype is dtype else gradient.to(dtype)


def _broadcasts(shape: Sequence[Any], to: Sequence[Any]) -> bool:
    trailing = to[len(to) - len(shape) :]
    return len(shape) <= len(to) and all(n in (1, m) for n, m in zip(shape, trailing, strict=True))


# ------------------------------------------------------------------------------------------ the tape


class FunctionNode(Node):
    """The tape node of one application."""

    __slots__ = ("context", "function", "inputs", "outputs")

    def __init__(self, function: type[Function], context: Context, args: Sequence[Any], results: Sequence[Any]) -> None:
        super().__init__(tuple(map(edge_to, args)), len(results))
        self.function = function
        self.context: Context | None = context
        self.outputs = [form_of(r) for r in results]
        self.inputs = [form_of(a) if e is not None else None for a, e in zip(args, self.edges, strict=True)]

    @property
    def name(self) -> str:
        return f"{self.function.__name__}Backward"

    def backward(self, cotangents: tuple[Tensor | None, ...]) -> Sequence[Tensor | None]:
        if self.context is None:
            raise AutogradError(f"backward through {self.function.__name__} a second time; pass retain_graph=True")
        return pull_back(self.function, self.context, self.outputs, self.inputs, cotangents)

    def release(self) -> None:
        self.context = None


def recorded(
    function: type[Function], context: Context, args: Sequence[Any], results: tuple[Any, ...]
) -> tuple[Any, ...]:
    """The results of an application, made those of a node on the tape."""
    check_dirty(function, context, args, results)
    if LEVELS.stack and innermost([*args, *results]) is not None:
        return _recorded_of_samples(function, context, args, results)
    node = FunctionNode(function, context, args, results)
    replaced: list[Any] = []
    for index, result in enumerate(results):
        if not is_differentiable(context, result):
            replaced.append(result)
        elif any(result is t for t in context._dirty):
            check_target(result)
            rewrite_history(result, _adopted(node, Tensor(result._np), index))
            replaced.append(result)
        else:
            is_own = result._view is None and not any(result is other for other in (*args, *replaced))
            # in the memory of another tensor it gets an alias, with this history and not the other's
            replaced.append(_adopted(node, result if is_own else result.detach(), index))
    context.freeze_versions()
    return tuple(replaced)


def _adopted(node: Node, tensor: Tensor, index: int) -> Tensor:
    """`tensor` as a result of `node`."""
    tensor._requires_grad = True
    tensor._grad_fn, tensor._grad_index = node, index
    return tensor


def _recorded_of_samples(
    function: type[Function], context: Context, args: Sequence[Any], results: tuple[Any, ...]
) -> tuple[Any, ...]:
    """`recorded` inside of `vmap`: `forward` and `backward` are mapped over samples like any code.

    Raises:
        VmapError: `forward` wrote to an argument.
    """
    if context._dirty:
        raise VmapError(f"vmap: {function.__name__}.forward writes to an argument; let it return a new tensor")
    outputs = [form_of(r) for r in results]
    inputs = [form_of(a) if isinstance(a, Tensor) and a.requires_grad else None for a in args]

    def backward(cotangents: Sequence[Any]) -> tuple[Any, ...]:
        return pull_back(function, context, outputs, inputs, cotangents)

    levels = levels_of(args)
    node = SamplesNode(f"{function.__name__}Backward", args, len(results), backward)
    replaced: list[Any] = []
    for index, result in enumerate(results):
        if not is_differentiable(context, result):
            replaced.append(result)
            continue
        whole = for_every_sample(result, levels).detach()
        _adopted(node, samples_of(whole), index)
        replaced.append(whole)
    context.freeze_versions()
    return tuple(replaced)
