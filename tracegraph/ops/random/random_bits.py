"""Random tensors as pure functions of a key: the primitives under `rand`, `randn`, `randint` and dropout.

`next_key` draws a key from a generator; `reserve_keys` and `release_keys` draw a number of keys that shows only
when the graph runs. All others are pure. Element i (counted in row-major order) of what a key makes is made of the
Philox words at position i.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from tracegraph import dtypes
from tracegraph.dtypes import DType
from tracegraph.errors import ArgumentError, DataDependentError, DTypeError, ShapeError, ValueRangeError
from tracegraph.ir import Kind, TensorType
from tracegraph.ir.dim import Dim
from tracegraph.ir.rules import Index, Load, OperandTypes, Scalar
from tracegraph.ops.core.definition import define_op
from tracegraph.ops.core.layout import Shape, contiguous_strides
from tracegraph.ops.core.random_key import KEY
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import equal
from tracegraph.ops.creation.creation import check_size
from tracegraph.ops.kinds import Creation, Effect, Element
from tracegraph.ops.kinds.batching import Batch
from tracegraph.ops.numerics import philox
from tracegraph.ops.numerics.quiet import quiet
from tracegraph.ops.numerics.scalar import NUMPY, cast_array
from tracegraph.ops.random.generator import Generator, default_generator, key_of, state_of

_I64 = dtypes.int64
_A_KEY = A((2,), 0, 1 << 40, dtype=_I64)
# elements the numpy rule works on at a time: what it makes on the way stays in the cache
_CHUNK = 1 << 14

Words = Callable[[int], Scalar]


@define_op
class NextKey(Effect):
    """The key of the next draw from the default generator, or from `generator`: i64[2], seed and number of the draw.

    A node of a graph draws from the default generator.
    """

    signature = "(*, generator: any = None)"
    method = False
    takes_scalars = True
    samples = samples()  # differs from call to call: tests of its own

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        generator = attrs["generator"]
        if generator is None:
            return operands, {}
        if not isinstance(generator, Generator):
            raise ArgumentError(f"generator must be a tracegraph.Generator or None, got {type(generator).__name__}")
        return operands, attrs

    def draws_key(self, attrs: Mapping[str, Any]) -> bool:
        return (attrs.get("generator") or default_generator) is default_generator

    def infer(self, *, generator: Generator | None = None) -> tuple[TensorType, ...]:
        if generator is not None:
            raise DataDependentError("a random number from a generator of its own")
        return (KEY,)

    def eager(self, *, generator: Generator | None = None) -> np.ndarray:
        return (generator or default_generator).next_key()


@define_op
class ReserveKeys(Effect):
    """The key of the next draw from the default generator, i64[2], for who draws keys from there on itself.

    `release_keys` ends that. Between the two the generator gives other keys.
    """

    signature = "()"
    method = False
    takes_scalars = True
    samples = samples()  # as those of next_key

    def infer(self) -> tuple[TensorType, ...]:
        return (KEY,)

    def eager(self) -> np.ndarray:
        return key_of(default_generator.reserve())


@define_op
class ReleaseKeys(Effect):
    """Let the default generator go on at the key `next`, after those drawn since `reserve_keys` gave `first`.

    If others have drawn from it since, it goes on after them.
    """

    signature = "(first: Tensor, next: Tensor)"
    method = False
    samples = samples()

    def infer(self, first: TensorType, next: TensorType) -> tuple[TensorType, ...]:
        return ()

    def run(self, first: np.ndarray, next: np.ndarray) -> tuple[np.ndarray, ...]:
        release_keys_from(first, next)
        return ()

    def batched(self, batch: Batch) -> None:
        batch.call([o[0] if v else o for o, v in zip(batch.operands, batch.varies, strict=True)])


def release_keys_from(first: np.ndarray, next: np.ndarray) -> None:
    """`release_keys`, of arrays."""
    default_generator.release(state_of(first), int(next[1]) - int(first[1]))


@define_op
class FixedKey(Creation):
    """The key i64[2] of a given seed and draw: how a draw after `manual_seed(7)` in a captured function enters."""

    signature = "(seed: int, draw: int)"
    samples = samples(call(7, 3))

    def infer(self, *, seed: int, draw: int) -> tuple[TensorType, ...]:
        return (KEY,)

    def eager(self, *, seed: int, draw: int) -> np.ndarray:
        return np.array([seed, draw], np.int64)

    def element(
        self, k: Any, load: Load, index: tuple[Index, ...], types: OperandTypes, attrs: dict[str, Any]
    ) -> Scalar:
        return k.where(k.index_scalar(index[0]) == 0, k.const(attrs["seed"], _I64), k.const(attrs["draw"], _I64))


class Random(Element):
    """A tensor of random numbers made from a key.

    Rules:
        value(self, k, word, attrs): one element from `word(0)` to `word(3)`, i64 scalars of 32 random bits each.
    """

    kind = Kind.RANDOM
    method = False
    value: ClassVar[Any] = None

    def incomplete(self) -> list[str]:
        return super().incomplete() + ([] if self.value is not None else ["it needs a value rule"])

    def infer(self, key: TensorType, *, size: Shape, dtype: DType, **attrs: Any) -> tuple[TensorType, ...]:
        if key.dtype is not _I64 or key.ndim != 1 or not equal(key.shape[0], 2):
            raise ShapeError(f"{self.name}: the key is {key}, not the i64[2] that next_key() gives")
        return (TensorType(dtype, size),)

    def eager(self, key: np.ndarray, *, size: tuple[int, ...], dtype: DType, **attrs: Any) -> np.ndarray:
        result = np.empty(math.prod(size), dtype.np)
        seed, draw = map(int, key)
        with quiet():
            for start in range(0, result.size, _CHUNK):
                part = result[start : start + _CHUNK]
                bits = philox.words(seed, draw, np.arange(start, start + part.size))
                word = [b.view(np.int64) for b in bits].__getitem__
                part[:] = cast_array(self.value(NUMPY, word, {"dtype": dtype, **attrs}), dtype)
        return result.reshape(size)

    def batched(self, batch: Batch) -> Any:
        """Keys of samples are equal: the numbers of all samples are those of one of them."""
        return batch.call([batch.operands[0][0]], size=(batch.size, *batch.attrs["size"]))

    def element(
        self, k: Any, load: Load, index: tuple[Index, ...], types: OperandTypes, attrs: dict[str, Any]
    ) -> Scalar:
        position: Index = 0
        for i, step in zip(index, contiguous_strides(attrs["size"]), strict=True):
            position = position + i * step
        seed, draw, place = load(0, (0,)), load(0, (1,)), k.index_scalar(position)
        return k.cast(self.value(k, lambda word: k.philox(seed, draw, place, word), attrs), attrs["dtype"])


def _floating(op: str, dtype: DType | None) -> DType:
    dtype = dtype or dtypes.DEFAULT.dtype
    if not dtype.is_floating:
        raise DTypeError(f"{op}: random fractions need a floating dtype, got {dtype.long_name}; use randint")
    return dtype


# how many random bits fill the significand of a uniform number, so that no rounding reaches 1
_BITS = {dtypes.float16: 11, dtypes.bfloat16: 8, dtypes.float32: 24}


def _fraction(k: Any, word: Words, first: int, dtype: DType) -> Scalar:
    """A uniform number in [0, 1) of the compute dtype from words `first` and, for float64, `first + 1`."""
    if dtype is dtypes.float64:
        return k.cast(_bits53(k, word, first), dtype) * 2.0**-53
    bits = _BITS[dtype]
    return k.cast(k.shr(word(first), 32 - bits), dtypes.float32) * 2.0**-bits


def _bits53(k: Any, word: Words, first: int) -> Scalar:
    return k.shl(word(first), 21) | k.shr(word(first + 1), 11)


class RandomFraction(Random):
    """Base: random numbers of a floating dtype; float32 by default."""

    signature = "(key: Tensor, size: size, *, dtype: OptionalDtype = None)"

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        check_size(self.name, attrs["size"])
        return operands, {**attrs, "dtype": _floating(self.name, attrs["dtype"])}


@define_op
class PhiloxUniform(RandomFraction):
    """Uniform numbers in [0, 1) from a key; float32 by default."""

    samples = samples(
        call(_A_KEY, (3, 5), differentiable=False),
        call(_A_KEY, (67,), dtype=dtypes.float64, differentiable=False),
        call(_A_KEY, (4,), dtype=dtypes.float16, differentiable=False),
        call(_A_KEY, (0, 2), dtype=dtypes.bfloat16, differentiable=False),
    )

    def value(self, k: Any, word: Words, attrs: dict[str, Any]) -> Scalar:
        return _fraction(k, word, 0, attrs["dtype"])


@define_op
class PhiloxNormal(RandomFraction):
    """Numbers of the standard normal distribution from a key (Box and Muller's method); float32 by default."""

    samples = samples(
        call(_A_KEY, (3, 5), differentiable=False),
        call(_A_KEY, (67,), dtype=dtypes.float64, differentiable=False),
        call(_A_KEY, (4,), dtype=dtypes.float16, differentiable=False),
    )

    def value(self, k: Any, word: Words, attrs: dict[str, Any]) -> Scalar:
        if attrs["dtype"] is dtypes.float64:
            above_zero = (k.cast(_bits53(k, word, 0), dtypes.float64) + 1.0) * 2.0**-53
            angle = _fraction(k, word, 2, dtypes.float64)
        else:
            above_zero = k.cast(word(0) + 1, dtypes.float32) * 2.0**-32
            angle = _fraction(k, word, 1, dtypes.float32)
        return k.sqrt(k.log(above_zero) * -2.0) * k.cos(angle * (2 * math.pi))


@define_op
class PhiloxRandint(Random):
    """Integers in [low, high) from a key, all equally likely but for at most one part in 2**63 / (high - low).

    Raises:
        ValueRangeError: there are none, or more than fit int64.
    """

    title = "randint"
    signature = "(key: Tensor, low: int, high: int, size: size, *, dtype: OptionalDtype = None)"
    samples = samples(
        call(_A_KEY, 0, 10, (3, 5), differentiable=False),
        call(_A_KEY, -5, 1 << 40, (67,), differentiable=False),
        call(_A_KEY, 0, 2, (4,), dtype=dtypes.float32, differentiable=False),
    )

    def canonicalize(self, operands: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        check_size(self.name, attrs["size"])
        low, high = attrs["low"], attrs["high"]
        if not low < high:
            raise ValueRangeError(f"randint: expected low < high, got low={low}, high={high}")
        if isinstance(low, int) and isinstance(high, int) and high - low >= 1 << 63:
            raise ValueRangeError(f"randint: more than 2**63 numbers from low={low} to high={high}")
        return operands, {**attrs, "dtype": attrs["dtype"] or _I64}

    def value(self, k: Any, word: Words, attrs: dict[str, Any]) -> Scalar:
        low, high = (_integer(k, attrs[name]) for name in ("low", "high"))
        number = k.shl(word(1) & 0x7FFFFFFF, 32) | word(0)
        return k.mod(number, high - low) + low


def _integer(k: Any, value: Dim) -> Scalar:
    return k.const(value, _I64) if isinstance(value, int) else k.index_scalar(value)
