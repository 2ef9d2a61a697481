"""`opcheck`: whether the registrations of a custom op agree with what its function does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracegraph.autograd import no_grad
from tracegraph.errors import ArgumentError, OptionError, TracegraphError
from tracegraph.ir import TensorType
from tracegraph.library.custom_op import CustomOp, type_of
from tracegraph.library.mutating_op import MutatingOp
from tracegraph.library.registration import find_op
from tracegraph.tensor import Tensor


class OpCheckError(TracegraphError):
    """A custom op does not do what its registrations say."""


def opcheck(
    op: str | CustomOp,
    args: Sequence[Any],
    kwargs: dict[str, Any] | None = None,
    *,
    test_utils: str | Sequence[str] = (
        "test_schema",
        "test_autograd_registration",
        "test_faketensor",
        "test_aot_dispatch_dynamic",
    ),
    raise_exception: bool = True,
    rtol: float = 1e-5,
    atol: float = 1e-6,
) -> dict[str, Any]:
    """Check a custom op on example arguments; the names and the result are those of `torch.library.opcheck`.

    Args:
        op: the op or its name.
        args, kwargs: the arguments of a call.
        test_utils: which checks: "test_schema" (the function writes to nothing but what the schema names, and returns
            nothing that shares memory with its arguments), "test_autograd_registration" (there is a gradient if an
            argument requires grad), "test_faketensor" (the fake function gives the types of the real results),
            "test_aot_dispatch_dynamic" (captured with symbolic sizes and compiled, it gives the same results and
            gradients).
        raise_exception: raise what the first failing check finds, rather than return it.
        rtol, atol: tolerance of the last check.

    Returns:
        "SUCCESS" or the exception, by check.

    Raises:
        OptionError: no such check.
    """
    found = find_op(op)
    names = (test_utils,) if isinstance(test_utils, str) else tuple(test_utils)
    for name in names:
        if name not in _CHECKS:
            raise OptionError(f"opcheck: there is no check {name!r}: one of {', '.join(_CHECKS)}")
    results: dict[str, Any] = {}
    for name in names:
        call = _Call(found, tuple(args), dict(kwargs or {}), rtol, atol)
        try:
            _CHECKS[name](call)
            results[name] = "SUCCESS"
        except Exception as error:
            if raise_exception:
                raise OpCheckError(f"opcheck({found.name}): {name} failed: {error}") from error
            results[name] = error
    return results


class _Call:
    """The call that is checked; every use gets copies of its tensors."""

    def __init__(self, op: CustomOp, args: tuple[Any, ...], kwargs: dict[str, Any], rtol: float, atol: float) -> None:
        self.op = op
        self.args, self.kwargs = args, kwargs
        self.rtol, self.atol = rtol, atol
        operands, _ = op.binder.bind(args, kwargs)
        self.requires_grad = any(isinstance(o, Tensor) and o.requires_grad for o in operands)

    def copies(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments, with other tensors."""
        return tuple(map(_copy, self.args)), {k: _copy(v) for k, v in self.kwargs.items()}

    def operands(self) -> tuple[list[Any], dict[str, Any]]:
        """Operands and attributes of a call outside of grad mode."""
        args, kwargs = self.copies()
        operands, attrs = self.op.binder.bind(args, kwargs)
        return [o.detach() if isinstance(o, Tensor) else o for o in operands], attrs

    def real_types(self) -> list[TensorType]:
        """What the function returns."""
        operands, attrs = self.operands()
        return [type_of(a) for a in self.op.execute(operands, attrs)]

    def fake_types(self) -> tuple[TensorType, ...]:
        """What the fake function returns."""
        operands, attrs = self.operands()
        return self.op.infer(*(type_of(o._np) if isinstance(o, Tensor) else o for o in operands), **attrs)


def _copy(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(map(_copy, value))
    if not isinstance(value, Tensor):
        return value
    copy: Tensor = value.detach().clone()
    copy.requires_grad = value.requires_grad
    return copy


def _tensors(values: Any) -> list[Tensor]:
    """The tensors in arguments or results, within lists and tuples."""
    if isinstance(values, list | tuple):
        return [t for v in values for t in _tensors(v)]
    return [values] if isinstance(values, Tensor) else []


# ------------------------------------------------------------------------------------------ checks


def _check_schema(call: _Call) -> None:
    operands, attrs = call.operands()
    mutated = set(call.op.positions(len(operands))) if isinstance(call.op, MutatingOp) else set[int]()
    before = [o._np.copy() if isinstance(o, Tensor) else o for o in operands]
    call.op.execute(operands, attrs)
    for i, (operand, old) in enumerate(zip(operands, before, strict=True)):
        # bytes, since nan differs from itself
        if isinstance(operand, Tensor) and i not in mutated and operand._np.tobytes() != old.tobytes():
            raise ArgumentError(f"the function writes to tensor argument {i}, which mutates_args does not name")


def _check_autograd(call: _Call) -> None:
    if call.requires_grad and not call.op.has_gradient:
        raise ArgumentError("an argument requires grad and no gradient is registered; use register_autograd")


def _check_fake(call: _Call) -> None:
    if call.op.schema.returns == 0:
        return
    if not call.op.has_fake:
        raise ArgumentError("no fake function is registered; use register_fake")
    for position, (expected, found) in enumerate(zip(call.fake_types(), call.real_types(), strict=True)):
        if expected != found:
            raise ArgumentError(f"result {position} is {found}, the fake function said {expected}")


def _check_compiled(call: _Call) -> None:
    from tracegraph.compiler.api import compile

    op = call.op

    def run(*args: Any, **kwargs: Any) -> Any:
        return op(*args, **kwargs)

    compiled = compile(run, dynamic=True, fullgraph=True, options={"strict": True})
    for expected, actual in zip(_outcome(run, call), _outcome(compiled, call), strict=True):
        np.testing.assert_allclose(actual.numpy(), expected.numpy(), rtol=call.rtol, atol=call.atol)


def _outcome(function: Callable[..., Any], call: _Call) -> list[Tensor]:
    """Results of a call, its tensor arguments afterwards, and their gradients."""
    args, kwargs = call.copies()
    inputs = _tensors([*args, *kwargs.values()])
    if not (call.requires_grad and call.op.has_gradient):
        with no_grad():
            return [*_tensors(function(*args, **kwargs)), *(i.detach() for i in inputs)]
    results = _tensors(function(*args, **kwargs))
    sum(r.sum() for r in results if r.requires_grad).backward()
    gradients = [i.grad for i in inputs if i.grad is not None]
    return [*(r.detach() for r in results), *gradients]


_CHECKS: dict[str, Callable[[_Call], None]] = {
    "test_schema": _check_schema,
    "test_autograd_registration": _check_autograd,
    "test_faketensor": _check_fake,
    "test_aot_dispatch_dynamic": _check_compiled,
}
