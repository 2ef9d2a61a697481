"""Types of values: a dtype and a shape of `Dim`s."""

from __future__ import annotations

from tracegraph.dtypes import DType
from tracegraph.ir import dim as dims
from tracegraph.ir.dim import Dim


class TensorType:
    """The type of a tensor value: element dtype and shape. Immutable; text form `f32[s0, 64]`."""

    __slots__ = ("dtype", "shape")

    def __init__(self, dtype: DType, shape: tuple[Dim, ...]) -> None:
        object.__setattr__(self, "dtype", dtype)
        object.__setattr__(self, "shape", tuple(shape))

    dtype: DType
    shape: tuple[Dim, ...]

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("TensorType is immutable; make a new one")

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def numel(self) -> Dim:
        """Number of elements."""
        return dims.product(self.shape)

    @property
    def nbytes(self) -> Dim:
        return self.numel * self.dtype.itemsize

    @property
    def is_static(self) -> bool:
        return all(map(dims.is_static, self.shape))

    def with_shape(self, shape: tuple[Dim, ...]) -> TensorType:
        return TensorType(self.dtype, shape)

    def with_dtype(self, dtype: DType) -> TensorType:
        return TensorType(dtype, self.shape)

    def __eq__(self, other: object) -> bool:
        """Structural: same dtype, and every dim the same expression."""
        return isinstance(other, TensorType) and self.dtype is other.dtype and dims.same_shape(self.shape, other.shape)

    def __hash__(self) -> int:
        return hash((self.dtype.name, self.shape))

    def __repr__(self) -> str:
        return f"{self.dtype.name}[{', '.join(map(str, self.shape))}]"

    def __reduce__(self) -> tuple[object, ...]:
        return TensorType, (self.dtype, self.shape)
