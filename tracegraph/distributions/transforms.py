"""Functions with known derivatives, which turn one distribution into another (`torch.distributions.transforms`)."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

from tracegraph.distributions import constraints
from tracegraph.distributions.constraints import Constraint
from tracegraph.distributions.distribution import Shape
from tracegraph.distributions.parameters import eps_of, sum_rightmost, tiny_of
from tracegraph.errors import MissingRuleError, ValueRangeError
from tracegraph.ops import functional as F
from tracegraph.ops.core.definition import Handle
from tracegraph.ops.core.promotion import broadcast_shapes


class Transform:
    """An invertible function of tensors, with the logarithm of the absolute determinant of its Jacobian.

    Rules:
        _call(self, x), _inverse(self, y): the function and its inverse.
        log_abs_det_jacobian(self, x, y): of shape x without the dimensions of one value.

    Class attributes:
        domain, codomain: constraints on what goes in and comes out.
        bijective: whether the inverse is one.
        sign: 1 or -1 where the function rises or falls.

    Args:
        cache_size: 1 keeps the last pair of values: the inverse of that y is that x, without rounding.
    """

    domain: Constraint = constraints.real
    codomain: Constraint = constraints.real
    bijective: bool = False

    def __init__(self, cache_size: int = 0) -> None:
        if cache_size not in (0, 1):
            raise ValueRangeError(f"cache_size must be 0 or 1, got {cache_size}")
        self._cache_size = cache_size
        self._cached: tuple[Handle, Handle] | None = None

    def _call(self, x: Handle) -> Handle:
        raise MissingRuleError(f"{type(self).__name__} has no _call")

    def _inverse(self, y: Handle) -> Handle:
        raise MissingRuleError(f"{type(self).__name__} has no inverse")

    def log_abs_det_jacobian(self, x: Handle, y: Handle) -> Handle:
        """log |det dy/dx| at x, where y is what the function gives."""
        raise MissingRuleError(f"{type(self).__name__} has no log_abs_det_jacobian")

    @property
    def sign(self) -> Any:
        raise MissingRuleError(f"{type(self).__name__} has no sign")

    @property
    def event_dim(self) -> int:
        """The number of dimensions of one value.

        Raises:
            ValueRangeError: it is another one for what goes in and what comes out.
        """
        if self.domain.event_dim != self.codomain.event_dim:
            raise ValueRangeError("Please use either .domain.event_dim or .codomain.event_dim")
        return self.domain.event_dim

    @property
    def inv(self) -> Transform:
        """The inverse function."""
        return _Inverse(self)

    def with_cache(self, cache_size: int = 1) -> Transform:
        """This transform, with another size of its cache."""
        if cache_size == self._cache_size:
            return self
        found = copy.copy(self)
        Transform.__init__(found, cache_size)
        return found

    def __call__(self, x: Handle) -> Handle:
        if self._cached is not None and self._cached[0] is x:
            return self._cached[1]
        y = self._call(x)
        if self._cache_size:
            self._cached = x, y
        return y

    def _invert(self, y: Handle) -> Handle:
        if self._cached is not None and self._cached[1] is y:
            return self._cached[0]
        x = self._inverse(y)
        if self._cache_size:
            self._cached = x, y
        return x

    def forward_shape(self, shape: Shape) -> Shape:
        """The shape of y, given that of x."""
        return shape

    def inverse_shape(self, shape: Shape) -> Shape:
        """The shape of x, given that of y."""
        return shape

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _Inverse(Transform):
    """The inverse of a transform; what it caches, that one caches."""

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self._inv = transform
        self.domain, self.codomain = transform.codomain, transform.domain
        self.bijective = transform.bijective

    @property
    def sign(self) -> Any:
        return self._inv.sign

    @property
    def inv(self) -> Transform:
        return self._inv

    def __call__(self, x: Handle) -> Handle:
        return self._inv._invert(x)

    def _invert(self, y: Handle) -> Handle:
        return self._inv(y)

    def log_abs_det_jacobian(self, x: Handle, y: Handle) -> Handle:
        return -self._inv.log_abs_det_jacobian(y, x)

    def forward_shape(self, shape: Shape) -> Shape:
        return self._inv.inverse_shape(shape)

    def inverse_shape(self, shape: Shape) -> Shape:
        return self._inv.forward_shape(shape)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Inverse) and self._inv == other._inv

    def __hash__(self) -> int:
        return hash((_Inverse, self._inv))

    def __repr__(self) -> str:
        return f"Inverse({self._inv!r})"


class ComposeTransform(Transform):
    """Several transforms, one after the other."""

    def __init__(self, parts: Sequence[Transform], cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.parts = list(parts)
        self.bijective = all(p.bijective for p in self.parts)
        if self.parts:
            self.domain = _with_dims(self.parts[0].domain, self._event_dim(self.parts, "domain", "codomain"))
            backwards = self.parts[::-1]
            self.codomain = _with_dims(backwards[0].codomain, self._event_dim(backwards, "codomain", "domain"))

    @staticmethod
    def _event_dim(parts: Sequence[Transform], entry: str, exit: str) -> int:
        """Dimensions of one value before the first of `parts`, so that every part finds as many as it needs."""
        needed = 0
        for part in reversed(parts):
            before, after = getattr(part, entry).event_dim, getattr(part, exit).event_dim
            needed = max(before, needed + before - after)
        return needed

    @property
    def sign(self) -> Any:
        sign = 1
        for part in self.parts:
            sign = sign * part.sign
        return sign

    def _call(self, x: Handle) -> Handle:
        for part in self.parts:
            x = part(x)
        return x

    def _inverse(self, y: Handle) -> Handle:
        for part in reversed(self.parts):
            y = part.inv(y)
        return y

    def log_abs_det_jacobian(self, x: Handle, y: Handle) -> Handle:
        if not self.parts:
            return F.zeros_like(x)
        total: Handle = 0
        dims = self.domain.event_dim
        values = [x]
        for part in self.parts[:-1]:
            values.append(part(values[-1]))
        for part, before, after in zip(self.parts, values, [*values[1:], y], strict=True):
            total = total + sum_rightmost(part.log_abs_det_jacobian(before, after), dims - part.domain.event_dim)
            dims += part.codomain.event_dim - part.domain.event_dim
        return total

    def forward_shape(self, shape: Shape) -> Shape:
        for part in self.parts:
            shape = part.forward_shape(shape)
        return shape

    def inverse_shape(self, shape: Shape) -> Shape:
        for part in reversed(self.parts):
            shape = part.inverse_shape(shape)
        return shape

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ComposeTransform) and self.parts == other.parts

    def __hash__(self) -> int:
        return hash((ComposeTransform, *self.parts))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.parts!r})"


def _with_dims(constraint: Constraint, dims: int) -> Constraint:
    missing = dims - constraint.event_dim
    return constraints.independent(constraint, missing) if missing > 0 else constraint


class IndependentTransform(Transform):
    """A transform with further dimensions taken as part of one value."""

    def __init__(self, base_transform: Transform, reinterpreted_batch_ndims: int, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.base_transform = base_transform
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        self.bijective = base_transform.bijective
        self.domain = constraints.independent(base_transform.domain, reinterpreted_batch_ndims)
        self.codomain = constraints.independent(base_transform.codomain, reinterpreted_batch_ndims)

    @property
    def sign(self) -> Any:
        return self.base_transform.sign

    def _call(self, x: Handle) -> Handle:
        return self.base_transform(self._checked(x, self.domain))

    def _inverse(self, y: Handle) -> Handle:
        return self.base_transform.inv(self._checked(y, self.codomain))

    @staticmethod
    def _checked(value: Handle, constraint: Constraint) -> Handle:
        if value.ndim < constraint.event_dim:
            raise ValueRangeError(f"a value of {value.ndim} dimensions is too small, one has {constraint.event_dim}")
        return value

    def log_abs_det_jacobian(self, x: Handle, y: Handle) -> Handle:
        return sum_rightmost(self.base_transform.log_abs_det_jacobian(x, y), self.reinterpreted_batch_ndims)

    def forward_shape(self, shape: Shape) -> Shape:
        return self.base_transform.forward_shape(shape)

    def inverse_shape(self, shape: Shape) -> Shape:
        return self.base_transform.inverse_shape(shape)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_transform!r}, {self.reinterpreted_batch_ndims})"


class AffineTransform(Transform):
    """y = loc + scale * x; `event_dim` dimensions make one value."""

    bijective = True

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.loc = loc
        self.scale = scale
        self.domain = self.codomain = _with_dims(constraints.real, event_dim)

    @property
    def sign(self) -> Any:
        if isinstance(self.scale, int | float):
            return 1 if self.scale > 0 else -1 if self.scale < 0 else 0
        return self.scale.sign()

    def _call(self, x: Handle) -> Handle:
        return self.loc + self.scale * x

    def _inverse(self, y: Handle) -> Handle:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Handle, y: Handle) -> Handle:
        shape = tuple(x.shape)
        if isinstance(self.scale, int | float):
            found = F.full_like(x, math.log(abs(self.scale)))
        else:
            found = F.broadcast_tensors(self.scale.abs().log(), x)[0]
        return sum_rightmost(found, self.event_dim).expand(shape[: len(shape) - self.event_dim])

    def forward_shape(self, shape: Shape) -> Shape:
        return tuple(broadcast_shapes(shape, _shape(self.loc), _shape(self.scale)))

    inverse_shape = forward_shape

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AffineTransform) and _same(self.loc, other.loc) and _same(self.scale, other.scale)

    __hash__ = Transform.__hash__


def _shape(value: Any) -> Shape:
    return () if isinstance(value, int | float) else tuple(value.shape)


def _same(a: Any, b: Any) -> bool:
    return a == b if isinstance(a, int | float) and isinstance(b, int | float) else bool((a == b).all())


class _WithoutParameters(Transform):
    """Base: functions of which all of one class are alike."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


class _Rising(_WithoutParameters):
    """Base: functions of single numbers that rise everywhere."""

    bijective = True

    @property
    def sign(self) -> Any:
        return 1


class ExpTransform(_Rising):
    """y = exp(x)."""

    codomain = constraints.positive

    def _call(self, x: Handle) -> Handle:
        return x.exp()

    def _inverse(self, y: Handle) -> Handle:
        return y.log()

    def log_abs_det_jacobian(self, x: Handle, y: Handle) -> Handle:
        return x


class PowerTransform(Transform):
    """y = x ** exponent, of positive numbers."""

    domain = codomain = constraints.positive
    bijective = True

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.exponent = exponent

    @property
    def sign(self) -> Any:
        if isinstance(self.exponent, int | float):
            return 1 if self.exponent > 0 else -1
        return self.exponent.sign()

    def _call(self, x: Handle) -> Handle:
        return x.pow(self.exponent)

    def _inverse(self, y: Handle) -> Handle:
        return y.pow(1 / self.exponent)

    def log_abs_det_jacobian(self, x: Handle, y: Handle) -> Handle:
        return (self.exponent * y / x).abs().log()

    def forward_shape(self, shape: Shape) -> Shape:
        return tuple(broadcast_shapes(shape, _shape(self.exponent)))

    inverse_shape = forward_shape

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PowerTransform) and _same(self.exponent, other.exponent)

    __hash__ = Transform.__hash__


class SigmoidTransform(_Rising):
    """y = 1 / (1 + exp(-x))."""

    codomain = constraints.unit_interval

    def _call(self, x: Handle) -> Handle:
        return x.sigmoid().clamp(min=tiny_of(x), max=1 - eps_of(x))

    def _inverse(self, y: Handle) -> Handle:
        y = y.clamp(min=tiny_of(y), max=1 - eps_of(y))
        return y.log() - (-y).log1p()

    def log_abs_det_jacobian(self, x: Handle, y: Handle) -> Handle:
        return -F.softplus(-x) - F.softplus(x)


class TanhTransform(_Rising):
    """y = tanh(x). Far out tanh is 1 to the bit: keep x with `cache_size=1` rather than inverting."""

    codomain = constraints.interval(-1.0, 1.0)

    def _call(self, x: Handle) -> Handle:
        return x.tanh()

    def _inverse(self, y: Handle) -> Handle:
        return y.atanh()

    def log_abs_det_jacobian(self, x: Handle, y: Handle) -> Handle:
        # log(1 - tanh(x)**2), without cancellation
        return 2.0 * (math.log(2.0) - x - F.softplus(-2.0 * x))


class SoftplusTransform(_Rising):
    """y = log(1 + exp(x))."""

    codomain = constraints.positive

    def _call(self, x: Handle) -> Handle:
        return F.softplus(x)

    def _inverse(self, y: Handle) -> Handle:
        return (-(-y).expm1()).log() + y

    def log_abs_det_jacobian(self, x: Handle, y: Handle) -> Handle:
        return -F.softplus(-x)


class AbsTransform(_WithoutParameters):
    """y = |x|; its inverse gives the one that is not negative."""

    codomain = constraints.positive

    def _call(self, x: Handle) -> Handle:
        return x.abs()

    def _inverse(self, y: Handle) -> Handle:
        return y


class SoftmaxTransform(_WithoutParameters):
    """y = softmax(x) of vectors; its inverse is the logarithm."""

    domain = constraints.real_vector
    codomain = constraints.simplex

    def _call(self, x: Handle) -> Handle:
        return x.softmax(-1)

    def _inverse(self, y: Handle) -> Handle:
        return y.log()


identity_transform = ComposeTransform([])
