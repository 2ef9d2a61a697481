"""Pointwise ops: one output element from the elements at the same (broadcast) position."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any, ClassVar, TypeAlias

import numpy as np

from tracegraph import dtypes
from tracegraph.dtypes import DType
from tracegraph.errors import DTypeError, TracegraphError
from tracegraph.ir import Kind, TensorType
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import SymExpr
from tracegraph.ir.rules import Index, Load, OperandTypes, Scalar, operand_shape
from tracegraph.ops.core.arguments import is_tensor
from tracegraph.ops.core.definition import Definition, Handle
from tracegraph.ops.core.promotion import broadcast_shapes, result_type
from tracegraph.ops.core.weak_numbers import SMALL, fitting, wrapped
from tracegraph.ops.kinds.batching import Batch
from tracegraph.ops.numerics.quiet import enter_quiet, leave_quiet
from tracegraph.ops.numerics.scalar import NUMPY, cast_array

#: how a pointwise op runs on operands of some dtypes and Python types: the dtype each operand is converted to (None if
#: all are arrays of that dtype), the dtype of the result, and the eager rule or the scalar rule on arrays
Plan: TypeAlias = tuple[tuple[DType, ...] | None, DType, Callable[..., Any]]


class Pointwise(Definition):
    """An elementwise op with broadcasting and type promotion.

    Class attributes:
        promotion: how the result dtype follows from the operands:
            "operands": PyTorch's result type; "float": the same, integers become float32;
            "bool": compared in the result type, result bool; "like:N": the dtype of operand N.
        accepts: categories of dtypes the op computes in: any of "b", "i", "f".
        element_numbers: positions of operands that, as Python numbers, must fit the dtype they are converted to; others
            wrap around (see `weak_numbers`).

    Rules:
        scalar(self, k, *scalars, **attrs): the op on scalars of the compute dtype, against a handler; an optional
            operand left out is None.
        eager(self, *arrays, **attrs): optional faster numpy rule, on arrays of the compute dtype.
    """

    kind = Kind.POINTWISE
    promotion: ClassVar[str] = "operands"
    accepts: ClassVar[str] = "bif"
    element_numbers: ClassVar[tuple[int, ...]] = ()
    scalar: ClassVar[Any] = None

    def incomplete(self) -> list[str]:
        problems = [] if self.scalar is not None else ["a pointwise op needs a scalar rule"]
        return problems + [p for p in super().incomplete() if "eager rule" not in p]

    def promote(self, types: OperandTypes) -> tuple[DType, DType]:
        """(dtype the operands are computed in, dtype of the result).

        Raises:
            DTypeError: the op does not take operands of this category.
        """
        common = result_type(*types[: len(types) - self.binder.scalars])
        if self.promotion == "float" and not common.is_floating:
            common = dtypes.DEFAULT.dtype
        elif self.promotion.startswith("like:"):
            like = types[int(self.promotion[5:])]
            common = like.dtype if isinstance(like, TensorType) else dtypes.of_scalar(like)
        if "bif"[common.category] not in self.accepts:
            listed = ", ".join(str(t) for t in types)
            raise DTypeError(f"{self.name}({listed}): not defined for dtype {common.long_name}; convert the operand")
        return common, (dtypes.bool_ if self.promotion == "bool" else common)

    def infer(self, *operands: object, **attrs: object) -> tuple[TensorType, ...]:
        shape = broadcast_shapes(*map(operand_shape, operands), op=self.name)
        self.check_numbers(operands, self.operand_dtypes(operands))
        return (TensorType(self.promote(operands)[1], shape),)

    def check_numbers(self, operands: tuple[object, ...], wanted: Sequence[DType]) -> None:
        """Check that numbers among the operands fit the dtypes `wanted`.

        Raises:
            DTypeError: one does not fit.
        """
        for position, (operand, dtype) in enumerate(zip(operands, wanted, strict=True)):
            if (type(operand) is int and operand in SMALL) or not isinstance(operand, int | SymExpr):
                continue
            if position in self.element_numbers:
                fitting(self.name, self.binder.parameters[position].name, operand, dtype)
            else:
                wrapped(operand, dtype)

    def operand_dtypes(self, types: OperandTypes) -> tuple[DType, ...]:
        """The dtype each operand is converted to before the scalar rule."""
        compute = self.promote(types)[0]
        return tuple(compute for _ in types)

    def run(self, *operands: Any, **attrs: Any) -> tuple[np.ndarray, ...]:
        key = _plan_key(operands)
        wanted, result_dtype, rule = self._plans.get(key) or self._learn(key, operands)
        token = enter_quiet()
        try:
            if wanted is None:
                arrays = operands
            else:
                if self.element_numbers:
                    self.check_numbers(operands, wanted)
                arrays = tuple(map(_converted, operands, wanted))
            result = rule(*arrays, **attrs) if attrs else rule(*arrays)
        except (ValueError, OverflowError) as error:
            raise self._explained(error, operands, attrs) from None
        finally:
            leave_quiet(token)
        if type(result) is np.ndarray and result.dtype is result_dtype.np:
            return (result,)
        return (cast_array(np.asarray(result), result_dtype),)

    def _explained(self, error: Exception, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Exception:
        """What inference says of operands that numpy refused, with op and shapes; numpy's own error if nothing."""
        try:
            self.infer(*map(_type_of, operands), **attrs)
        except TracegraphError as explained:
            return explained
        return error

    @cached_property
    def _plans(self) -> dict[object, Plan]:
        """Plans by `_plan_key`."""
        return {}

    def _learn(self, key: object, operands: tuple[Any, ...]) -> Plan:
        """The plan of operands met for the first time, or of those whose dtype is the default one of the process."""
        types = tuple(_type_of(o) for o in operands)
        is_given = any(isinstance(t, TensorType) and t.dtype.is_floating for t in types)
        if not is_given and self.promote(types)[0].is_floating:
            key = (key, dtypes.DEFAULT.dtype)
            if key in self._plans:
                return self._plans[key]
        wanted = tuple(d.compute for d in self.operand_dtypes(types))
        is_wanted = all(type(o) is np.ndarray and o.dtype is d.np for o, d in zip(operands, wanted, strict=True))
        rule = self.eager if self.eager is not None else partial(self.scalar, NUMPY)
        plan = self._plans[key] = (None if is_wanted else wanted, self.promote(types)[1], rule)
        return plan

    def batched(self, batch: Batch) -> Any:
        """Operands of fewer dimensions than others get new ones behind that of the samples."""
        rank = max(batch.rank(i) for i, o in enumerate(batch.operands) if is_tensor(o))
        operands = [
            batch.padded(i, rank) if v else o for i, (o, v) in enumerate(zip(batch.operands, batch.varies, strict=True))
        ]
        if len({o.dtype for o in operands if is_tensor(o)}) == 1:
            return batch.call(operands)
        # a 0-d tensor has less of a say in the dtype than the tensor of all samples would have
        wanted, result = self.operand_dtypes(batch.types), self.promote(batch.types)[1]
        operands = [o.to(d) if v else o for o, v, d in zip(operands, batch.varies, wanted, strict=True)]
        return batch.call(operands).to(result)

    def element(
        self, k: Any, load: Load, index: tuple[Index, ...], types: OperandTypes, attrs: dict[str, object]
    ) -> Scalar:
        """The element rule: load each operand at its broadcast position, convert, apply the scalar rule."""
        wanted = self.operand_dtypes(types)
        result_dtype = self.promote(types)[1]
        scalars: list[Scalar] = []
        for i, (type, dtype) in enumerate(zip(types, wanted, strict=True)):
            if isinstance(type, TensorType):
                scalars.append(k.cast(load(i, broadcast_index(index, type.shape)), dtype.compute))
            elif isinstance(type, SymExpr):
                scalars.append(k.cast(k.index_scalar(type), dtype.compute))
            elif isinstance(type, int | float):
                scalars.append(k.const(wrapped(type, dtype.compute), dtype.compute))
            else:
                scalars.append(None)
        return k.cast(self.scalar(k, *scalars, **attrs), result_dtype)

    def fit_gradient(self, gradient: Handle, operand: Handle) -> Handle:
        """Sum the gradient over the dimensions the operand was broadcast along."""
        if gradient is None:
            return None
        if not dims.same_shape(tuple(gradient.shape), tuple(operand.shape)):
            gradient = gradient.sum_to_size(tuple(operand.shape))
        return super().fit_gradient(gradient, operand)


def broadcast_index(index: tuple[Index, ...], shape: tuple) -> tuple[Index, ...]:
    """The position in an operand of `shape` that broadcasts to `index`."""
    tail = index[len(index) - len(shape) :]
    return tuple(0 if isinstance(d, int) and d == 1 else i for i, d in zip(tail, shape, strict=True))


_ARRAYS = (np.ndarray, np.generic)


def _plan_key(operands: tuple[Any, ...]) -> object:
    """What a plan depends on: the dtype if all are arrays of one, else dtype or Python type of each operand."""
    first = operands[0]
    if type(first) is np.ndarray:
        dtype = first.dtype
        for o in operands:
            if type(o) is not np.ndarray or o.dtype is not dtype:
                break
        else:
            return dtype
    return tuple([o.dtype if type(o) is np.ndarray and o.ndim else _weak_key(o) for o in operands])


def _weak_key(operand: Any) -> object:
    """The entry of a 0-d array or a number in the key of a plan."""
    return (operand.dtype,) if isinstance(operand, _ARRAYS) else type(operand)


def _type_of(operand: Any) -> object:
    if isinstance(operand, _ARRAYS):
        return TensorType(dtypes.from_numpy(operand.dtype), operand.shape)
    return operand


def _converted(operand: Any, dtype: DType) -> Any:
    if type(operand) is np.ndarray:
        return operand if operand.dtype is dtype.np else cast_array(operand, dtype)
    if operand is None:
        return None
    # numpy takes 0-d arrays faster than its scalars
    if isinstance(operand, np.generic):
        return cast_array(np.asarray(operand), dtype)
    try:
        return np.array(operand, dtype.np)
    except OverflowError:
        return np.array(wrapped(operand, dtype), dtype.np)
