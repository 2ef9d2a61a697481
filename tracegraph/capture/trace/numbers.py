"""Python numbers that vary from call to call: ints as symbols, floats as `SymFloat`, both computed anew by each call.

Arithmetic on them in the program becomes a `Computed` source: the driver evaluates it in Python, so that it means and
raises exactly what it does in eager code, and a guard sees to it that the result is of the same type again. What such
a number decides (a comparison, a truth) is guarded by its outcome.

    lr (varies)                                      guard: type(L['lr']) is float
    x * (lr / 2)   -->   %1: f32[] = cast(%lr)       input: L['lr'] / 2, as f64[]
                         %2: f32[8] = mul(%x, %1)

In the graph a float is a 0-d input. An int is a symbol like a tensor's size; the graph learns its value from an input
`u8[s0, 0]`, which has no elements.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tracegraph import dtypes
from tracegraph.capture.guards.guard import GuardKind
from tracegraph.capture.guards.sources import Computed, Item, Reference, Source, constant_source
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.numpy_numbers import NumpyNumber
from tracegraph.capture.stack.texts import VaryingText
from tracegraph.capture.stack.values import NUMPY_NUMBERS, TUPLES, is_constant, is_number, is_varying
from tracegraph.capture.trace.safety import flatten
from tracegraph.dtypes import DType
from tracegraph.ir import Role, SymExpr, TensorType
from tracegraph.ir import dim as dims
from tracegraph.ops.core.definition import Definition
from tracegraph.ops.core.sym_float import SymFloat
from tracegraph.ops.graphs.recording import Traced
from tracegraph.ops.kinds.pointwise import Pointwise
from tracegraph.tensor import Tensor

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer

_I64_MAX = 2**63 - 1
_WITH_SOURCE = (SymFloat, NumpyNumber, VaryingText)


@dataclass(frozen=True)
class IntegerRange:
    """The ints that a trace is good for."""

    low: int
    high: int

    def __str__(self) -> str:
        return _TEXTS.get(self) or f"an int from {self.low} to {self.high}"


NATURAL = IntegerRange(0, _I64_MAX)
NEGATIVE = IntegerRange(-_I64_MAX, -1)
ANY_INT = IntegerRange(-_I64_MAX, _I64_MAX)
_TEXTS = {NATURAL: "an int, at least 0", NEGATIVE: "an int below 0", ANY_INT: "an int"}


class TraceNumbers:
    """The varying numbers of one trace."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._floats: dict[Source, SymFloat] = {}
        self._ints: dict[Source, int | SymExpr] = {}
        #: where ints are that may be above and below 0
        self._of_any_sign: set[Source] = set()
        self._of_numpys: dict[Source, NumpyNumber] = {}
        #: symbols of ints, with the source of each, and those the graph knows already
        self._symbols: dict[str, Source] = {}
        self._shown: set[str] = set()
        self._inputs: dict[Source, Traced] = {}

    # ------------------------------------------------------------------------------ numbers of the program

    def number(self, value: Any, source: Source) -> Any:
        """What stands for a number found at `source`, guarded; a number of another type is a guarded constant."""
        if type(value) is float:
            return self._float(value, source)
        if type(value) is int and abs(value) <= _I64_MAX:
            return self._int(value, source)
        if type(value) in NUMPY_NUMBERS:
            return self._of_numpy(value, source)
        if type(value) in TUPLES:
            self._tracer.guards.add(GuardKind.LENGTH, source, len(value))
            return tuple.__new__(type(value), [self.number(v, Item(source, i)) for i, v in enumerate(value)])
        self._tracer.guards.add(GuardKind.CONSTANT, source, value)
        return value

    def _float(self, value: float, source: Source) -> SymFloat:
        if source not in self._floats:
            self._tracer.guards.add(GuardKind.FLOAT, source, float)
            self._floats[source] = SymFloat(value, source, self)
        return self._floats[source]

    def _of_numpy(self, value: Any, source: Source) -> NumpyNumber:
        if source not in self._of_numpys:
            self._tracer.guards.add(GuardKind.TYPE, source, type(value))
            self._of_numpys[source] = NumpyNumber(value, source, self)
        return self._of_numpys[source]

    def _int(self, value: int, source: Source) -> int | SymExpr:
        if source not in self._ints:
            is_any = self._tracer.dynamism.has_both_signs(source, value) or source.depends_on(self._of_any_sign)
            is_any |= self._tracer.guards.is_drawn(source)
            self._ints[source] = self._int_of(value, source, ANY_INT if is_any else _of_sign(value))
        return self._ints[source]

    def _int_of(self, value: int, source: Source, among: IntegerRange) -> int | SymExpr:
        """An int in terms of symbols, which are at least 0."""
        self._tracer.guards.add(GuardKind.INTEGER, source, among)
        sizes = self._tracer.sizes
        if among is NATURAL:
            return self._known(sizes.integer(value, source))
        if among is NEGATIVE:
            return -self._known(sizes.integer(-value, Computed(Reference(operator.neg), (source,))))
        if among is ANY_INT:
            self._of_any_sign.add(source)
            above, below = map(self._known, sizes.of_any_sign(value, source))
            return above - below
        offset = Computed(Reference(operator.sub), (source, constant_source(among.low)))
        return among.low + self._known(sizes.integer(value - among.low, offset, among.high - among.low))

    def drawn_int(self, value: int, source: Source, among: IntegerRange) -> int | SymExpr:
        """What stands for an int drawn at random `among` some, which the call makes sure of when it has drawn."""
        if source not in self._ints:
            self._ints[source] = self._int_of(value, source, among)
        return self._ints[source]

    def _known(self, symbol: SymExpr) -> SymExpr:
        """A symbol of an int, which the graph gets an input for if it needs it."""
        source = self._symbols[str(symbol)] = self._tracer.sizes.sources[str(symbol)]
        if self._tracer.guards.is_drawn(source):
            self._tracer.sizes.drawn.add(str(symbol))
        return symbol

    def compute(self, function: Callable[..., Any], *operands: Any) -> Any:
        """`function(*operands)` on numbers, at least one of which varies.

        Raises:
            Exception: what the function raises for the values of this call.
        """
        result = function(*map(self.value, operands))
        return self.number(result, Computed(Reference(function), tuple(map(self.source, operands))))

    def extremum(self, function: Callable[..., Any], a: Any, b: Any) -> Any:
        """`min` or `max` of numbers, at least one of which varies: of ints an expression over their symbols."""
        if not {type(a), type(b)} <= {int, SymExpr}:
            return self.compute(function, a, b)
        if (is_below := self._tracer.sizes.env.known("<=", a, b)) is not None:
            return a if is_below is (function is min) else b
        return dims.minimum(a, b) if function is min else dims.maximum(a, b)

    def text(self, function: Callable[..., str], *operands: Any) -> VaryingText:
        """The text that `function` makes of numbers and texts, at least one of which varies."""
        source = Computed(Reference(function), tuple(map(self.source, operands)))
        return VaryingText(function(*map(self.value, operands)), source, self)

    def given_text(self, value: str, source: Source) -> VaryingText:
        """What stands for a text found at `source`, guarded."""
        self._tracer.guards.add(GuardKind.TYPE, source, str)
        return VaryingText(value, source, self)

    def are_printed(self, values: tuple[Any, ...]) -> bool:
        """Whether these make a text that varies: constants and numbers, at least one of which does."""
        return any(map(is_varying, values)) and all(is_varying(v) or is_constant(v) for v in values)

    is_number = staticmethod(is_number)

    def specialise(self, number: SymFloat | NumpyNumber | VaryingText) -> Any:
        """The value of this call, to which the trace is then bound."""
        self._tracer.guards.add(GuardKind.CONSTANT, number.source, number.value)
        return number.value

    def value(self, number: Any) -> Any:
        """A number as it is in this call; anything else as it is."""
        if type(number) in _WITH_SOURCE:
            return number.value
        return self._tracer.sizes.env.example(number) if type(number) is SymExpr else number

    def source(self, number: Any) -> Source:
        """Where later calls find a number."""
        if type(number) in _WITH_SOURCE:
            source: Source = number.source
            return source
        if type(number) is SymExpr:
            return self._tracer.sizes.source(number)
        return constant_source(number)

    def check_sizes(self, results: Any) -> None:
        """Refuse tensors whose sizes are drawn at random: compiling decides by sizes.

        Raises:
            Break: one of the results of an operation is such a tensor.
        """
        drawn = self._tracer.sizes.drawn
        if drawn and any(drawn & dims.symbols(n) for r in flatten(results) if type(r) is Traced for n in r.shape):
            raise Break(reasons.SIDE_EFFECT_CALL, "a size that is a random number")

    # ------------------------------------------------------------------------------ numbers in the graph

    def known_to_graph(self, value: Any) -> Any:
        """An attribute or operand whose ints the graph knows and which holds no varying float."""
        if type(value) is SymExpr:
            self._show(dims.symbols(value))
        elif type(value) is SymFloat:
            return float(value)
        elif isinstance(value, tuple):
            return tuple(map(self.known_to_graph, value))
        return value

    def _show(self, symbols: set[str]) -> None:
        """Let the graph have inputs that tell the values of `symbols`."""
        for name in sorted(self._symbols.keys() & symbols - self._shown):
            self._shown.add(name)
            example = int_witness(self._tracer.sizes.env.examples[name])
            self._tracer.add_input(self._symbols[name], example, _type_of_int(dims.sym(name)), Role.PRIMAL, int_witness)

    def lifted(self, op: Definition, operands: tuple[Any, ...]) -> tuple[Any, ...]:
        """The operands of a call with varying floats as 0-d inputs, where that gives what a Python float would."""
        if not any(type(o) is SymFloat for o in operands):
            return operands
        wanted = self._dtypes_as_inputs(op, operands)
        if wanted is None:
            return tuple(float(o) if type(o) is SymFloat else o for o in operands)
        return tuple(self._input(o).to(d) if type(o) is SymFloat else o for o, d in zip(operands, wanted, strict=True))

    def as_rows(self, op: Definition, operands: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """0-d tensors as rows of one element, where floats can be inputs beside those only.

        A float is an input of float32 at least: beside a 0-d tensor of float16 it would decide on the dtype.
        """
        tensors = [o for o in operands if type(o) is Traced]
        if not tensors or any(t.ndim for t in tensors) or self._dtypes_as_inputs(op, operands) is not None:
            return None
        rows = tuple(TensorType(o.dtype, (1,)) if type(o) is Traced else o for o in operands)
        if self._dtypes_as_inputs(op, rows) is None:
            return None
        return tuple(o.reshape(1) if type(o) is Traced else o for o in operands)

    def _dtypes_as_inputs(self, op: Definition, operands: tuple[Any, ...]) -> tuple[DType, ...] | None:
        """The dtype in which each float enters; None if the op would compute something else with tensors."""
        if not isinstance(op, Pointwise):
            return None
        as_numbers = tuple(_type_of(o) for o in operands)
        wanted = tuple(d.compute for d in op.operand_dtypes(as_numbers))
        as_inputs = tuple(
            TensorType(d, ()) if type(o) is SymFloat else t
            for o, d, t in zip(operands, wanted, as_numbers, strict=True)
        )
        agrees = op.promote(as_inputs) == op.promote(as_numbers)
        agrees = agrees and op.operand_dtypes(as_inputs) == op.operand_dtypes(as_numbers)
        return wanted if agrees else None

    def _input(self, number: SymFloat) -> Traced:
        """The 0-d input that holds a float."""
        if number.source not in self._inputs:
            type = TensorType(dtypes.float64, ())
            self._inputs[number.source] = self._tracer.add_input(
                number.source, float_input(number.value), type, Role.PRIMAL, float_input
            )
        return self._inputs[number.source]


def _of_sign(value: int) -> IntegerRange:
    return NATURAL if value >= 0 else NEGATIVE


def float_input(value: float) -> Tensor:
    """A float as graphs take it."""
    return Tensor(np.array(value))


def int_witness(value: int) -> Tensor:
    """A tensor without elements whose first size is an int that a graph needs to know."""
    return Tensor(np.empty((value, 0), np.uint8))


def symbol_of_int(type: TensorType) -> SymExpr | None:
    """The symbol whose value an input of this type tells, if it tells nothing else."""
    match type.shape:
        case (SymExpr() as symbol, 0) if type == _type_of_int(symbol):
            return symbol
    return None


def _type_of_int(symbol: SymExpr) -> TensorType:
    return TensorType(dtypes.uint8, (symbol, 0))


def _type_of(operand: Any) -> Any:
    if type(operand) is Traced:
        return operand.type
    return operand.value if type(operand) is SymFloat else operand
