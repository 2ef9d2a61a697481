"""Recurrent layers: cells for one step, and RNN, LSTM, GRU over sequences."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tracegraph.errors import ShapeError
from tracegraph.nn import functional as F
from tracegraph.nn import init
from tracegraph.nn.arguments import check_choice, check_probabilities, check_sizes
from tracegraph.nn.module import Module
from tracegraph.nn.packed_sequences import PackedSequence
from tracegraph.nn.parameter import Parameter
from tracegraph.ops import functional as ops
from tracegraph.ops.neural.recurrent import gru_step, lstm_step, rnn_step

# ------------------------------------------------------------------------------------------------ one step


class RNNCellBase(Module):
    """Weights of one step; `gates` of them stand one above the other."""

    gates: int

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        check_sizes(self, input_size=input_size)
        check_sizes(self, at_least=1, hidden_size=hidden_size)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = self.gates * hidden_size
        self.weight_ih = Parameter(ops.empty((rows, input_size), device=device, dtype=dtype))
        self.weight_hh = Parameter(ops.empty((rows, hidden_size), device=device, dtype=dtype))
        self.register_parameter("bias_ih", Parameter(ops.empty((rows,), device=device, dtype=dtype)) if bias else None)
        self.register_parameter("bias_hh", Parameter(ops.empty((rows,), device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new values, uniform on +-1 / sqrt(hidden_size)."""
        _reset(self, self.hidden_size)

    def start(self, input: Any) -> Any:
        """The state before the first step.

        Raises:
            ShapeError: the input does not have 1 or 2 dimensions.
        """
        if input.ndim not in (1, 2):
            raise ShapeError(
                f"{type(self).__name__}: an input of shape {list(input.shape)} must be [N, input_size] or [input_size]"
            )
        return ops.zeros((*input.shape[:-1], self.hidden_size), dtype=input.dtype)

    def projected(self, input: Any) -> Any:
        """The input's part of the gates."""
        return F.linear(input, self.weight_ih, self.bias_ih)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}{'' if self.bias else ', bias=False'}"


def _reset(module: Module, hidden_size: int) -> None:
    bound = 1 / math.sqrt(hidden_size) if hidden_size > 0 else 0.0
    for p in module.parameters():
        init.uniform_(p, -bound, bound)


class RNNCell(RNNCellBase):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu."""

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        check_choice(self, ("tanh", "relu"), nonlinearity=nonlinearity)
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Any, hx: Any = None) -> Any:
        h = self.start(input) if hx is None else hx
        return rnn_step(self.projected(input), h, self.weight_hh, self.bias_hh, self.nonlinearity)


class LSTMCell(RNNCellBase):
    """One step of a long short-term memory: (h, c) to (h', c')."""

    gates = 4

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        h, c = (self.start(input), self.start(input)) if hx is None else hx
        return lstm_step(self.projected(input), h, c, self.weight_hh, self.bias_hh)


class GRUCell(RNNCellBase):
    """One step of a gated recurrent unit."""

    gates = 3

    def forward(self, input: Any, hx: Any = None) -> Any:
        h = self.start(input) if hx is None else hx
        return gru_step(self.projected(input), h, self.weight_hh, self.bias_hh)


# ------------------------------------------------------------------------------------------------ sequences


class RNNBase(Module):
    """Steps over sequences [L, N, input_size] (or [N, L, input_size], or [L, input_size]), in layers.

    Weights are called as in PyTorch: `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`, `..._l0_reverse`, ...

    Class attributes:
        gates: how many gates the weights hold.
        states: how many state tensors a step carries (2 for the LSTM).

    Rules:
        step(self, projected, state, w_hh, b_hh): the next state, a tuple; its first tensor is the output.
        steps(self, projected, state, w_hh, b_hh, reverse): all outputs, and the last state.
    """

    gates: int
    states = 1
    step: Callable[..., tuple[Any, ...]]
    steps: Callable[..., tuple[Any, ...]]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_sizes(self, input_size=input_size)
        check_sizes(self, at_least=1, hidden_size=hidden_size, num_layers=num_layers)
        check_probabilities(self, dropout=dropout)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = dropout
        self.bidirectional = bidirectional
        directions = 2 if bidirectional else 1
        rows = self.gates * hidden_size
        for layer in range(num_layers):
            features = input_size if layer == 0 else hidden_size * directions
            for direction in range(directions):
                suffix = _suffix(layer, direction)
                shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, features), "weight_hh": (rows, hidden_size)}
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                for name, shape in shapes.items():
                    self.register_parameter(name + suffix, Parameter(ops.empty(shape, device=device, dtype=dtype)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new values, uniform on +-1 / sqrt(hidden_size)."""
        _reset(self, self.hidden_size)

    def flatten_parameters(self) -> None:
        """Nothing: there is no library that wants the weights in one piece."""

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        kinds = ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if self.bias else ()))
        suffixes = [_suffix(layer, d) for layer in range(self.num_layers) for d in range(1 + self.bidirectional)]
        return [[getattr(self, kind + suffix) for kind in kinds] for suffix in suffixes]

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """Outputs of the last layer at every step, and the last state of every layer and direction.

        Packed sequences (`nn.utils.rnn.pack_padded_sequence`) give packed outputs, and the state each ends with.
        """
        if isinstance(input, PackedSequence):
            return self._packed(input, hx)
        if input.ndim not in (2, 3) or input.shape[-1] != self.input_size:
            order = "[N, L, " if self.batch_first else "[L, N, "
            raise ShapeError(
                f"{type(self).__name__}: an input of shape {list(input.shape)} must be {order}{self.input_size}] or "
                f"[L, {self.input_size}]"
            )
        batched = input.ndim == 3
        sequence = input if batched else input.unsqueeze(1)
        if batched and self.batch_first:
            sequence = sequence.transpose(0, 1)
        output, last = self._layers(sequence, self._initial(sequence.shape[1], sequence.dtype, hx, batched))
        if not batched:
            output, last = output.squeeze(1), tuple(s.squeeze(1) for s in last)
        elif self.batch_first:
            output = output.transpose(0, 1)
        return output, last if self.states > 1 else last[0]

    def _packed(self, input: PackedSequence, hx: Any) -> tuple[PackedSequence, Any]:
        data = input.data
        if data.ndim != 2 or data.shape[1] != self.input_size:
            raise ShapeError(
                f"{type(self).__name__}: packed sequences hold steps of shape {list(data.shape[1:])}, they must be "
                f"[{self.input_size}]"
            )
        sizes = input.batch_sizes.tolist()
        states = self._initial(sizes[0], data.dtype, hx, True)
        if hx is not None and input.sorted_indices is not None:
            states = tuple(s.index_select(1, input.sorted_indices) for s in states)
        output, last = self._layers(data, states, sizes)
        if input.unsorted_indices is not None:
            last = tuple(s.index_select(1, input.unsorted_indices) for s in last)
        return input._replace(data=output), last if self.states > 1 else last[0]

    def _initial(self, batch: Any, dtype: Any, hx: Any, batched: bool) -> tuple[Any, ...]:
        """State tensors [layers * directions, N, hidden_size]."""
        count = self.num_layers * (2 if self.bidirectional else 1)
        shape = (count, batch, self.hidden_size)
        if hx is None:
            zeros = ops.zeros(shape, dtype=dtype)
            return (zeros,) * self.states
        given = tuple(hx) if self.states > 1 else (hx,)
        states = given if batched else tuple(s.unsqueeze(1) for s in given)
        for s in states:
            if tuple(s.shape) != shape:
                raise ShapeError(
                    f"{type(self).__name__}: an initial state has shape {list(s.shape)}, it must be {list(shape)}: "
                    "[num_layers * directions, batch, hidden_size]"
                )
        return states

    def _layers(
        self, sequence: Any, initial: tuple[Any, ...], sizes: list[int] | None = None
    ) -> tuple[Any, tuple[Any, ...]]:
        """Outputs and last states; `sizes` says how many sequences run at each time, if `sequence` is packed."""
        lasts: list[tuple[Any, ...]] = []
        directions = 2 if self.bidirectional else 1
        for layer in range(self.num_layers):
            if layer > 0 and self.dropout > 0:
                sequence = F.dropout(sequence, self.dropout, self.training)
            outputs = []
            for direction in range(directions):
                position = layer * directions + direction
                state = tuple(s[position] for s in initial)
                output, state = self._direction(sequence, state, _suffix(layer, direction), direction == 1, sizes)
                outputs.append(output)
                lasts.append(state)
            sequence = ops.cat(outputs, -1) if directions == 2 else outputs[0]
        return sequence, tuple(ops.stack([state[i] for state in lasts]) for i in range(self.states))

    def _direction(
        self, sequence: Any, state: tuple[Any, ...], suffix: str, reverse: bool, sizes: list[int] | None
    ) -> tuple[Any, Any]:
        weight_ih, weight_hh = (self._parameters[name + suffix] for name in ("weight_ih", "weight_hh"))
        bias_ih, bias_hh = (self._parameters.get(name + suffix) for name in ("bias_ih", "bias_hh"))
        projected = F.linear(sequence, weight_ih, bias_ih)
        if sizes is not None:
            steps = list(projected.split(sizes))
            return self._packed_steps(steps, state, weight_hh, bias_hh, reverse)
        output, *last = self.steps(projected, state, weight_hh, bias_hh, reverse)
        return output, tuple(last)

    def _packed_steps(
        self, steps: list[Any], initial: tuple[Any, ...], w_hh: Any, b_hh: Any, reverse: bool
    ) -> tuple[Any, Any]:
        """Steps of packed sequences: forwards the shortest ones end first, backwards the longest ones begin."""
        outputs: list[Any] = []
        ended: list[tuple[Any, ...]] = []
        state = tuple(s[:0] for s in initial) if reverse else initial
        for step in reversed(steps) if reverse else steps:
            running, size = state[0].shape[0], step.shape[0]
            if size > running:
                begun = (s[running:size] for s in initial)
                state = tuple(ops.cat([s, b]) for s, b in zip(state, begun, strict=True))
            elif size < running:
                ended.insert(0, tuple(s[size:] for s in state))
                state = tuple(s[:size] for s in state)
            state = self.step(step, state, w_hh, b_hh)
            outputs.append(state[0])
        if reverse:
            outputs.reverse()
        last = tuple(ops.cat([s, *(e[i] for e in ended)]) for i, s in enumerate(state))
        return ops.cat(outputs), last

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        for name, default in (("num_layers", 1), ("bias", True), ("batch_first", False), ("dropout", 0.0),
                              ("bidirectional", False)):  # fmt: skip
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)}"
        return text


def _suffix(layer: int, direction: int) -> str:
    return f"_l{layer}{'_reverse' if direction else ''}"


class RNN(RNNBase):
    """A simple recurrent network with tanh or relu."""

    gates = 1

    def __init__(self, *args: Any, nonlinearity: str = "tanh", **kwargs: Any) -> None:
        check_choice(self, ("tanh", "relu"), nonlinearity=nonlinearity)
        super().__init__(*args, **kwargs)
        self.nonlinearity = nonlinearity

    def step(self, projected: Any, state: tuple[Any, ...], w_hh: Any, b_hh: Any) -> tuple[Any, ...]:
        return (rnn_step(projected, state[0], w_hh, b_hh, self.nonlinearity),)

    def steps(self, projected: Any, state: tuple[Any, ...], w_hh: Any, b_hh: Any, reverse: bool) -> tuple[Any, ...]:
        return ops.rnn_steps(projected, *state, w_hh, b_hh, reverse, self.nonlinearity)


class LSTM(RNNBase):
    """A long short-term memory network; its state is the pair (h, c)."""

    gates = 4
    states = 2

    def step(self, projected: Any, state: tuple[Any, ...], w_hh: Any, b_hh: Any) -> tuple[Any, ...]:
        return lstm_step(projected, state[0], state[1], w_hh, b_hh)

    def steps(self, projected: Any, state: tuple[Any, ...], w_hh: Any, b_hh: Any, reverse: bool) -> tuple[Any, ...]:
        return ops.lstm_steps(projected, *state, w_hh, b_hh, reverse)


class GRU(RNNBase):
    """A network of gated recurrent units."""

    gates = 3

    def step(self, projected: Any, state: tuple[Any, ...], w_hh: Any, b_hh: Any) -> tuple[Any, ...]:
        return (gru_step(projected, state[0], w_hh, b_hh),)

    def steps(self, projected: Any, state: tuple[Any, ...], w_hh: Any, b_hh: Any, reverse: bool) -> tuple[Any, ...]:
        return ops.gru_steps(projected, *state, w_hh, b_hh, reverse)
