"""Ops that make tensors from numbers alone."""

from __future__ import annotations

from typing import Any

from tracegraph.ir import Kind
from tracegraph.ops.core.device import check_device
from tracegraph.ops.kinds.derived import Derived
from tracegraph.ops.kinds.element import Element


class Factory:
    """Mixin of ops that make tensors: calls also take `device` (only the CPU there is) and `requires_grad`."""

    def __call__(self, *args: Any, device: object = None, requires_grad: bool = False, **kwargs: Any) -> Any:
        check_device(device)
        result = super().__call__(*args, **kwargs)  # type: ignore[misc]
        return result.requires_grad_() if requires_grad else result


class Creation(Factory, Element):
    """An op without tensor operands; `signature` names shape and dtype."""

    kind = Kind.CREATION
    method = False
    takes_scalars = True


class DerivedCreation(Factory, Derived):
    """A function that makes tensors by other creation ops."""

    method = False
