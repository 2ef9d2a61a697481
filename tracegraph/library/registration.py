"""Making custom ops, and completing them by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tracegraph.errors import ArgumentError
from tracegraph.ir.op import REGISTRY
from tracegraph.library.custom_op import CustomOp
from tracegraph.library.mutating_op import FunctionalForm, MutatingOp
from tracegraph.library.schema import Schema, infer_schema


def custom_op(
    name: str,
    fn: Callable[..., Any] | None = None,
    /,
    *,
    mutates_args: str | Iterable[str] = (),
    device_types: Any = None,
) -> Any:
    """Make an op of a Python function; without `fn`, a decorator.

    The function may do whatever Python, numpy or C can do with its arguments; graphs hold it as one node and compiled
    code calls it. The annotations of its parameters and of its result say what the op takes and returns. It gets
    tensors that do not require grad, must not write to any that `mutates_args` does not name, and must return tensors
    that share no memory with its arguments.

    Args:
        name: `namespace::name`. An op that had the name before is replaced.
        mutates_args: names of the tensors that the function writes to.
        device_types: None or "cpu".

    Returns:
        The op, to be called like the function, with `register_fake`, `register_autograd`, `register_kernel`.

    Raises:
        ArgumentError: a bad name or annotation, see `infer_schema`.

    Example:
        >>> import numpy as np
        >>> import tracegraph as tg
        >>> @tg.library.custom_op("docs::sort_rows")
        ... def sort_rows(x: tg.Tensor) -> tg.Tensor:
        ...     return tg.from_numpy(np.sort(x.numpy(), axis=-1))
        >>> @sort_rows.register_fake
        ... def _(x):
        ...     return tg.empty_like(x)
        >>> tg.compile(lambda x: sort_rows(x) * 2)(tg.tensor([[3.0, 1.0, 2.0]]))
        tensor([[2., 4., 6.]])
    """
    if fn is None:
        return lambda function: custom_op(name, function, mutates_args=mutates_args, device_types=device_types)
    if not callable(fn):
        raise ArgumentError(f"custom op {name}: expected a function, got {type(fn).__name__}")
    if device_types not in (None, "cpu", ["cpu"], ("cpu",)):
        raise ArgumentError(f"custom op {name}: device_types={device_types!r}; there is only cpu")
    schema = infer_schema(fn, name=name, mutates_args=mutates_args)
    if not schema.mutated:
        return _define(CustomOp, schema, fn)
    op = _define(MutatingOp, schema, fn)
    assert isinstance(op, MutatingOp)
    form = Schema(f"{name}.functional", schema.text, schema.parameters, schema.returns + len(schema.mutated))
    functional = _define(FunctionalForm, form, fn, origin=op)
    assert isinstance(functional, FunctionalForm)
    op.functional = functional
    return op


def _define(base: type[CustomOp], schema: Schema, fn: Callable[..., Any], **members: Any) -> CustomOp:
    body = {
        "name": schema.name,
        "signature": schema.text,
        "schema": schema,
        "function": staticmethod(fn),
        "__doc__": fn.__doc__ or f"The custom op {schema.name}.",
        "__module__": fn.__module__,
        **members,
    }
    op: CustomOp = type(schema.name.replace("::", "_"), (base,), body)()
    REGISTRY[schema.name] = op
    return op


def find_op(op: str | CustomOp) -> CustomOp:
    """The custom op of this name, or the op itself.

    Raises:
        ArgumentError: there is none.
    """
    if isinstance(op, CustomOp):
        return op
    found = REGISTRY.get(op)
    if not isinstance(found, CustomOp):
        known = sorted(n for n, o in REGISTRY.items() if isinstance(o, CustomOp) and not isinstance(o, FunctionalForm))
        raise ArgumentError(f"there is no custom op {op!r}; there are {', '.join(known) or 'none'}")
    return found


def register_fake(op: str | CustomOp, fn: Callable[..., Any] | None = None, /) -> Any:
    """`CustomOp.register_fake` of an op given by name; without `fn`, a decorator."""
    found = find_op(op)
    return found.register_fake if fn is None else found.register_fake(fn)


def register_autograd(
    op: str | CustomOp, backward: Callable[..., Any], /, *, setup_context: Callable[..., Any] | None = None
) -> None:
    """`CustomOp.register_autograd` of an op given by name."""
    find_op(op).register_autograd(backward, setup_context=setup_context)


def register_kernel(op: str | CustomOp, device_types: Any = "cpu", fn: Callable[..., Any] | None = None, /) -> Any:
    """`CustomOp.register_kernel` of an op given by name; without `fn`, a decorator."""
    return find_op(op).register_kernel(device_types, fn)
