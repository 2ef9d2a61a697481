"""Recurrent layers over a sequence, and one step of each.

What of a step does not depend on the state, W_ih x + b_ih, comes as `input`: over a sequence it is one product for all
steps. Where the length of the sequence is a number, the graph has the steps one after the other, and optimises across
them; where it varies, it has a `scan`, and serves every length.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from tracegraph import dtypes
from tracegraph.errors import ShapeError
from tracegraph.ir import dim as dims
from tracegraph.ops import functional as F
from tracegraph.ops.core.autocast import CASTING, is_casting
from tracegraph.ops.core.definition import Handle, define_op
from tracegraph.ops.core.samples import A, call, samples
from tracegraph.ops.core.shapes import describe
from tracegraph.ops.kinds import Derived

#: the 16-bit dtypes overflow in other places where steps are fused
_WIDE = (dtypes.float32, dtypes.float64)
_WEIGHTS = "weight: Tensor, bias: OptionalTensor = None, reverse: bool = False"


def rnn_step(projected: Any, h: Any, w_hh: Any, b_hh: Any, nonlinearity: str) -> Any:
    """nonlinearity(W_ih x + b_ih + W_hh h + b_hh), the new h."""
    total = projected + F.linear(h, w_hh, b_hh)
    return total.tanh() if nonlinearity == "tanh" else total.relu()


def lstm_step(projected: Any, h: Any, c: Any, w_hh: Any, b_hh: Any) -> tuple[Any, Any]:
    """One step of an LSTM: gates input, forget, cell, output, in this order; the new h and c."""
    i, f, g, o = (projected + F.linear(h, w_hh, b_hh)).chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def gru_step(projected: Any, h: Any, w_hh: Any, b_hh: Any) -> Any:
    """One step of a GRU: gates reset, update, new, in this order; the new h."""
    ir, iz, inew = projected.chunk(3, -1)
    hr, hz, hnew = F.linear(h, w_hh, b_hh).chunk(3, -1)
    update = (iz + hz).sigmoid()
    new = (inew + (ir + hr).sigmoid() * hnew).tanh()
    return new + update * (h - new)


class Steps(Derived):
    """Base of the layers: step after step, each with the state of the one before.

    Class attributes:
        states: how many tensors a state is.

    Rules:
        step(self, projected, state, weight, bias, **attrs): the next state; its first tensor is the output.
    """

    method = False
    states: ClassVar[int] = 1

    @abstractmethod
    def step(
        self, projected: Handle, state: tuple[Handle, ...], weight: Handle, bias: Handle | None, **attrs: Any
    ) -> Any:
        """One step, as a tuple."""

    def decompose(self, projected: Handle, *operands: Any, reverse: bool, **attrs: Any) -> tuple[Handle, ...]:
        state, (weight, bias) = operands[: self.states], operands[self.states :]
        if projected.ndim < 2 or dims.is_zero(projected.shape[0]):
            raise ShapeError(f"{self.name}: {describe(projected)} must be a sequence of at least one step")
        # where a program casts, the first step may change the dtype of the state, which a scan keeps
        if not dims.is_static(projected.shape[0]) and not (CASTING and is_casting()):
            return self._scanned(projected, state, weight, bias, reverse, attrs)
        steps = list(projected.unbind(0))
        outputs = []
        for step in reversed(steps) if reverse else steps:
            state = self.step(step, state, weight, bias, **attrs)
            outputs.append(state[0])
        return (F.stack(outputs[::-1] if reverse else outputs), *state)

    def _scanned(
        self,
        projected: Handle,
        state: tuple[Handle, ...],
        weight: Handle,
        bias: Handle | None,
        reverse: bool,
        attrs: dict[str, Any],
    ) -> tuple[Handle, ...]:
        def step(state: tuple[Handle, ...], projected: Handle) -> tuple[tuple[Handle, ...], Handle]:
            state = self.step(projected, state, weight, bias, **attrs)
            return state, state[0]

        state, outputs = F.scan(step, state, projected, reverse=reverse)
        return (outputs, *state)


@define_op
class RnnSteps(Steps):
    """h = nonlinearity(input[t] + W_hh h + b_hh) for every t of `input` [L, N, H]: all h [L, N, H], and the last.

    With `reverse` from the end on. Elman, "Finding Structure in Time" (1990).
    """

    signature = f"(input: Tensor, hx: Tensor, {_WEIGHTS}, nonlinearity: str = 'tanh')"
    samples = samples(
        call(A((3, 2, 4)), A((2, 4)), A((4, 4)), A((4,)), dtypes=_WIDE),
        call(A((2, 3, 2)), A((3, 2)), A((2, 2)), reverse=True, nonlinearity="relu", dtypes=_WIDE),
    )

    def step(
        self, projected: Handle, state: tuple[Handle, ...], weight: Handle, bias: Handle | None, **attrs: Any
    ) -> Any:
        return (rnn_step(projected, state[0], weight, bias, attrs["nonlinearity"]),)


@define_op
class LstmSteps(Steps):
    """A long short-term memory over `input` [L, N, 4 H], from h and c on: all h [L, N, H], the last h, the last c.

    With `reverse` from the end on. Hochreiter and Schmidhuber (1997), with the forget gate of Gers et al. (2000).
    """

    signature = f"(input: Tensor, hx: Tensor, cx: Tensor, {_WEIGHTS})"
    states = 2
    samples = samples(
        call(A((3, 2, 8)), A((2, 2)), A((2, 2)), A((8, 2)), A((8,)), dtypes=_WIDE),
        call(A((2, 1, 8)), A((1, 2)), A((1, 2)), A((8, 2)), reverse=True, dtypes=_WIDE),
    )

    def step(
        self, projected: Handle, state: tuple[Handle, ...], weight: Handle, bias: Handle | None, **attrs: Any
    ) -> Any:
        return lstm_step(projected, state[0], state[1], weight, bias)


@define_op
class GruSteps(Steps):
    """Gated recurrent units over `input` [L, N, 3 H]: all h [L, N, H], and the last.

    With `reverse` from the end on. Cho et al. (2014).
    """

    signature = f"(input: Tensor, hx: Tensor, {_WEIGHTS})"
    samples = samples(
        call(A((3, 2, 6)), A((2, 2)), A((6, 2)), A((6,)), dtypes=_WIDE),
        call(A((2, 1, 6)), A((1, 2)), A((6, 2)), reverse=True, dtypes=_WIDE),
    )

    def step(
        self, projected: Handle, state: tuple[Handle, ...], weight: Handle, bias: Handle | None, **attrs: Any
    ) -> Any:
        return (gru_step(projected, state[0], weight, bias),)
