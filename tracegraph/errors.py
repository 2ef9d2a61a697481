"""Every error tracegraph raises on purpose.

All of them are RuntimeErrors, which is what PyTorch raises for most of what its kernels refuse; each class also
derives from the builtin exception that says more (a wrong index is an IndexError, a wrong argument a TypeError, ...).
So `except` clauses written for either keep working.
"""

from __future__ import annotations


class TracegraphError(RuntimeError):
    """Base of all errors raised by tracegraph."""

    #: what went wrong, without the call it went wrong in, where the message names both
    complaint: str | None = None


class ShapeError(TracegraphError, ValueError):
    """Operand shapes do not fit the operation (a ValueError in numpy and in the checks PyTorch makes in Python)."""


class DTypeError(TracegraphError, TypeError):
    """Operand dtypes do not fit the operation."""


class ArgumentError(TracegraphError, TypeError):
    """An operation was called with an argument it does not take."""


class ValueRangeError(TracegraphError, ValueError):
    """An argument has the right type and an impossible value."""


class ReadOnlyError(ValueRangeError):
    """A tensor whose memory may not be written to is written to; `memory` is that, as a numpy array."""

    memory: object = None


class IndexRangeError(TracegraphError, IndexError):
    """An index or a dimension number is out of range."""


class ElementError(TracegraphError):
    """An element of a tensor has a value the operation cannot take (integer division by zero)."""


class AutogradError(TracegraphError):
    """The tape cannot compute the gradient asked for."""


class MissingRuleError(TracegraphError, NotImplementedError):
    """A class does not say how to do what is asked of it."""


class IRError(TracegraphError):
    """A graph cannot be built as asked."""


class ParseError(IRError, ValueError):
    """IR text does not parse; the message shows the line and column."""


class VerifyError(IRError):
    """A graph breaks an invariant of the IR; the message shows the offending lines."""


class UndecidableError(IRError):
    """A comparison of symbolic sizes has no answer without a guard, and no ShapeEnv is active to record one."""

    #: the message names the op and its operands already
    is_named = False


class DataDependentError(TracegraphError):
    """Python asked a traced tensor for its data; capture turns this into a graph break."""


class ControlFlowError(TracegraphError):
    """A branch or a loop body given to cond, while_loop or scan is none that can become part of a graph."""


class VmapError(TracegraphError, ValueError):
    """A function that `vmap` maps over samples does what only one sample can do, or its arguments do not fit."""


class StateDictError(TracegraphError):
    """A state dict does not fit the module it is loaded into; the message lists every problem."""


class CaptureError(TracegraphError):
    """`fullgraph=True` and the function cannot be captured as one graph."""


class RecompileError(CaptureError):
    """A function would have to be compiled again, which a setting forbids; the message names the guard that failed."""


class ConstraintViolationError(CaptureError, ValueError):
    """A size that `mark_dynamic` promised to vary cannot, or is out of the range it promised."""


class CompileError(TracegraphError):
    """A stage of the compiler failed; the message names the stage."""


class OptionError(TracegraphError, ValueError):
    """An unknown option, or an option value that is not allowed."""
