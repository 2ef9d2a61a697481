"""The methods every tensor handle has, eager or traced.

Most come from op definitions (`install` is called by `define_op`); what is more than one op stands here, written in
tensor arithmetic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from tracegraph import dtypes
from tracegraph.dtypes import as_dtype
from tracegraph.errors import ArgumentError, DTypeError, ShapeError
from tracegraph.ir import lookup
from tracegraph.ops import functional as F
from tracegraph.ops.core.arguments import NUMBER_TYPES, TENSOR_TYPES
from tracegraph.ops.core.canonical import normalize_dim
from tracegraph.ops.core.device import check_device, names_device
from tracegraph.ops.core.error_names import CALL_ERRORS, rename
from tracegraph.ops.core.layout import Strides, is_contiguous
from tracegraph.ops.handles import indexing
from tracegraph.ops.handles.attributes import TensorAttributes
from tracegraph.ops.handles.tensor_class import TensorClass

if TYPE_CHECKING:
    from tracegraph.ops.core.definition import Definition

# x + y tries x.__add__(y), then y.__radd__(x); comparisons reflect into one another by themselves
_REFLECTED = frozenset(
    f"__{n}__"
    for n in (
        "add",
        "sub",
        "mul",
        "truediv",
        "floordiv",
        "mod",
        "pow",
        "matmul",
        "and",
        "or",
        "xor",
        "lshift",
        "rshift",
    )
)


class TensorMethods(TensorAttributes, metaclass=TensorClass):
    """Mixin of tensor handles. A subclass provides `shape`, `dtype`, `requires_grad` and registers a handler."""

    __slots__ = ()
    __tracegraph_tensor__ = True
    # numpy must not take over `array + tensor`
    __array_priority__ = 1000
    __array_ufunc__ = None

    if TYPE_CHECKING:

        def stride(self) -> Strides: ...

        # installed by the ops that name them in `operators`
        def __add__(self, other: Any) -> Any: ...
        def __radd__(self, other: Any) -> Any: ...
        def __sub__(self, other: Any) -> Any: ...
        def __rsub__(self, other: Any) -> Any: ...
        def __mul__(self, other: Any) -> Any: ...
        def __rmul__(self, other: Any) -> Any: ...
        def __truediv__(self, other: Any) -> Any: ...
        def __rtruediv__(self, other: Any) -> Any: ...
        def __floordiv__(self, other: Any) -> Any: ...
        def __rfloordiv__(self, other: Any) -> Any: ...
        def __mod__(self, other: Any) -> Any: ...
        def __rmod__(self, other: Any) -> Any: ...
        def __pow__(self, other: Any) -> Any: ...
        def __rpow__(self, other: Any) -> Any: ...
        def __matmul__(self, other: Any) -> Any: ...
        def __rmatmul__(self, other: Any) -> Any: ...
        def __and__(self, other: Any) -> Any: ...
        def __rand__(self, other: Any) -> Any: ...
        def __or__(self, other: Any) -> Any: ...
        def __ror__(self, other: Any) -> Any: ...
        def __xor__(self, other: Any) -> Any: ...
        def __rxor__(self, other: Any) -> Any: ...
        def __lshift__(self, other: Any) -> Any: ...
        def __rlshift__(self, other: Any) -> Any: ...
        def __rshift__(self, other: Any) -> Any: ...
        def __rrshift__(self, other: Any) -> Any: ...
        def __lt__(self, other: Any) -> Any: ...
        def __le__(self, other: Any) -> Any: ...
        def __gt__(self, other: Any) -> Any: ...
        def __ge__(self, other: Any) -> Any: ...
        def __neg__(self) -> Any: ...
        def __pos__(self) -> Any: ...
        def __abs__(self) -> Any: ...
        def __invert__(self) -> Any: ...

    def size(self, dim: int | None = None) -> Any:
        """The shape, or one size of it.

        Raises:
            IndexRangeError: `dim` is out of range.
        """
        return self.shape if dim is None else self.shape[normalize_dim("size", "dim", dim, len(self.shape))]

    def is_contiguous(self) -> bool:
        """Whether the elements lie dense in row-major order."""
        return is_contiguous(tuple(self.shape), tuple(self.stride()))

    def __len__(self) -> int:
        if not self.shape:
            raise ArgumentError("len() of a 0-d tensor")
        return int(self.shape[0])

    def __getitem__(self, key: Any) -> Any:
        return indexing.getitem(self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        indexing.setitem(self, key, value)

    # ---------------------------------------------------------------------------------- conversions

    def to(
        self,
        *args: Any,
        dtype: Any = None,
        device: Any = None,
        copy: bool = False,
        non_blocking: bool = False,
    ) -> Any:
        """The tensor in another dtype; itself if it has that dtype already, unless `copy`.

        Takes `to(dtype)`, `to(device)`, `to(device, dtype)` and `to(other)`; the only device is "cpu".

        Raises:
            ArgumentError: a device that does not exist.
            DTypeError: an argument that names neither a dtype nor a device.
        """
        for arg in args:
            if hasattr(type(arg), "__tracegraph_tensor__"):
                dtype = arg.dtype
            elif names_device(arg):
                device = arg
            elif isinstance(arg, bool):  # non_blocking by position: nothing blocks on a CPU
                continue
            elif arg is not None:
                dtype = arg
        check_device(device)
        wanted = self.dtype if dtype is None else as_dtype(dtype)
        if wanted is self.dtype:
            return F.clone(self) if copy else self
        return F.cast(self, wanted)

    def polygamma(self, n: int) -> Any:
        """The n-th derivative of digamma."""
        return F.polygamma(n, self)

    def where(self, condition: Any, other: Any) -> Any:
        """The tensor's elements where `condition` holds, those of `other` elsewhere."""
        return F.where(condition, self, other)

    def float(self) -> Any:
        return self.to(dtypes.float32)

    def double(self) -> Any:
        return self.to(dtypes.float64)

    def half(self) -> Any:
        return self.to(dtypes.float16)

    def bfloat16(self) -> Any:
        return self.to(dtypes.bfloat16)

    def long(self) -> Any:
        return self.to(dtypes.int64)

    def int(self) -> Any:
        return self.to(dtypes.int32)

    def short(self) -> Any:
        return self.to(dtypes.int16)

    def char(self) -> Any:
        return self.to(dtypes.int8)

    def byte(self) -> Any:
        return self.to(dtypes.uint8)

    def bool(self) -> Any:
        return self.to(dtypes.bool_)

    def type_as(self, other: TensorMethods) -> Any:
        return self.to(other.dtype)


def install(op: Definition) -> None:
    """Give tensors the methods an op's definition asks for."""
    takes_tensor_first = bool(op.binder.parameters) and op.binder.parameters[0].sort in ("Tensor", "Number")
    names = (op.name, *op.aliases)
    for name in names:
        if op.method and takes_tensor_first and not hasattr(TensorMethods, name):
            setattr(TensorMethods, name, op)
    for operator in op.operators:
        setattr(TensorMethods, operator, _operator(op))
        if operator in _REFLECTED:
            setattr(TensorMethods, f"__r{operator[2:]}", _reflected(op))
    if op.inplace:
        for name in names:
            setattr(TensorMethods, f"{name}_", _inplace(op, f"{name}_"))
        for operator in op.operators:
            if operator in _REFLECTED:
                setattr(TensorMethods, f"__i{operator[2:]}", _inplace_operator(op, f"__i{operator[2:]}"))


def _operator(op: Definition) -> Any:
    return _unary(op) if len([p for p in op.binder.parameters if p.is_operand]) == 1 else _binary(op)


def _unary(op: Definition) -> Any:
    def method(self: Any) -> Any:
        return op(self)

    return _named(method, op.name)


def _binary(op: Definition) -> Any:
    """`x + y`: operands of the usual types need no binding."""
    usual, defaults, apply = _usual_types(op), op.binder.defaults(), op.apply

    def method(self: Any, other: Any) -> Any:
        kind = type(other)
        if kind in TENSOR_TYPES or kind in usual:
            try:
                return apply((self, other), defaults.copy())
            except CALL_ERRORS as error:
                op.name_call(error, (self, other), {})
                raise
        return op(self, other) if _is_operand(other) else NotImplemented

    return _named(method, op.name)


def _reflected(op: Definition) -> Any:
    usual, defaults, apply = _usual_types(op), op.binder.defaults(), op.apply

    def method(self: Any, other: Any) -> Any:
        if type(other) in usual:
            try:
                return apply((other, self), defaults.copy())
            except CALL_ERRORS as error:
                op.name_call(error, (other, self), {})
                raise
        return op(other, self) if _is_operand(other) else NotImplemented

    return _named(method, f"r{op.name}")


def _usual_types(op: Definition) -> frozenset[type]:
    """Types of numbers that `op` takes in place of either operand."""
    takes_numbers = all(p.sort == "Number" for p in op.binder.parameters[:2])
    return frozenset((bool, int, float)) if takes_numbers else frozenset()


def _named(method: Any, name: str) -> Any:
    """`method` under the name users see, marked as what capture calls natively with traced tensors."""
    method.__name__ = method.__qualname__ = name
    method.__tracegraph_op__ = True
    return method


def _is_operand(other: Any) -> bool:
    kind = type(other)
    return (
        kind in NUMBER_TYPES
        or hasattr(kind, "__tracegraph_tensor__")
        or hasattr(kind, "__index__")
        or issubclass(kind, float)
        or (getattr(other, "shape", None) == () and hasattr(other, "item"))
    )


def _inplace(op: Definition, name: str) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            result = op(self, *args, **kwargs)
        except CALL_ERRORS as error:
            rename(error, op.title, f"{op.title}_")
            raise
        return assign(self, result, f"{op.title}_")

    method.__doc__ = f"In-place version of `{op.name}`: the result replaces the elements of the tensor."
    return _named(method, name)


def _inplace_operator(op: Definition, name: str) -> Any:
    """`x += y`: where `y` is no operand, it is asked as for `x + y`."""
    write = _inplace(op, name)

    def method(self: Any, other: Any) -> Any:
        return write(self, other) if _is_operand(other) else NotImplemented

    method.__doc__ = write.__doc__
    return _named(method, name)


def assign(target: Any, result: Any, name: str) -> Any:
    """Write `result` into `target`, as an in-place operation called `name` does; returns `target`.

    Raises:
        ShapeError: the result does not have the target's shape.
        DTypeError: the result's dtype is of a higher category (a float result into an integer tensor).
    """
    if tuple(result.shape) != tuple(target.shape):  # symbolic sizes are compared, and the outcome guarded
        raise ShapeError(
            f"{name}: the result has shape {list(result.shape)}, which is not the shape {list(target.shape)} of the "
            "tensor written to; in-place operations do not broadcast the tensor they write to"
        )
    if result.dtype.category > target.dtype.category:
        raise DTypeError(
            f"{name}: the result has dtype {result.dtype}, which cannot be stored in a tensor of dtype {target.dtype}; "
            "use the out-of-place operation"
        )
    write = cast("Definition", lookup("copy_"))
    write.apply((target, result), {})
    return target
