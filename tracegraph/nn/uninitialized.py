"""Parameters and buffers that have a dtype and no shape yet."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from tracegraph import dtypes
from tracegraph.dtypes import DType
from tracegraph.errors import ArgumentError
from tracegraph.nn.parameter import Parameter
from tracegraph.tensor import Tensor


def _refuse(tensor: Any) -> NoReturn:
    raise ArgumentError(
        f"a {type(tensor).__name__} has no shape and no elements before the first call of the lazy module that holds "
        "it; call the module once, for example on a small batch"
    )


class _Uninitialized(Tensor):
    """What both kinds share: nothing can be asked of them but their dtype."""

    __slots__ = ()

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        _refuse(self)

    @property
    def ndim(self) -> int:
        _refuse(self)

    def numel(self) -> int:
        """Always an error."""
        _refuse(self)

    def materialize(self, shape: Any, device: Any = None, dtype: DType | None = None) -> None:
        """Become an ordinary parameter or buffer of this shape, its elements zero."""
        self.dtype = dtype or self.dtype
        self._np = np.zeros(tuple(shape), self.dtype.np)
        self.__class__ = Parameter if isinstance(self, Parameter) else Tensor  # type: ignore[assignment]

    def detach(self) -> Any:
        """Itself: there is nothing to detach, and a state dict shows what is missing."""
        return self

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return _made, (type(self), self.requires_grad, self.dtype)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            memo[id(self)] = _made(type(self), self.requires_grad, self.dtype)
        return memo[id(self)]


class UninitializedParameter(Parameter, _Uninitialized):
    """A parameter that gets its shape later, by `materialize`."""

    __slots__ = ()

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: DType | None = None) -> None:
        Tensor.__init__(self, np.zeros((0,), (dtype or dtypes.DEFAULT.dtype).np), requires_grad)


class UninitializedBuffer(_Uninitialized):
    """A buffer that gets its shape later, by `materialize`."""

    __slots__ = ()

    def __init__(self, requires_grad: bool = False, device: Any = None, dtype: DType | None = None) -> None:
        Tensor.__init__(self, np.zeros((0,), (dtype or dtypes.DEFAULT.dtype).np), requires_grad)


def _made(cls: Any, requires_grad: bool, dtype: DType) -> Any:
    return cls(requires_grad, dtype=dtype)


def is_uninitialized(tensor: object) -> bool:
    """Whether `tensor` has no shape yet."""
    return isinstance(tensor, _Uninitialized)
