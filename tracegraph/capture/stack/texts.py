"""Text that holds numbers that vary: `f"step {step}: {loss:.3f}"`, formatted anew by every call.

The trace may keep such a text, join it with others and hand it on (to `print`, after which a graph begins); whatever
looks at its characters binds the trace to the text of this call.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracegraph.capture.trace.numbers import TraceNumbers


class VaryingText:
    """See the module docstring.

    Attributes:
        value: the text in the call being traced; to use it without a guard is an error.
        source: where later calls find it.
    """

    __slots__ = ("numbers", "source", "value")

    def __init__(self, value: str, source: Any, numbers: TraceNumbers) -> None:
        self.value = value
        self.source = source
        self.numbers = numbers

    def plain(self) -> str:
        """The text, to which the trace is then bound."""
        return str(self.numbers.specialise(self))

    def __repr__(self) -> str:
        return f"VaryingText({self.source})"

    def __str__(self) -> str:
        return self.plain()

    def __hash__(self) -> int:
        return hash(self.plain())


def _install(name: str, function: Callable[..., Any]) -> None:
    def method(self: VaryingText, *others: Any) -> Any:
        return function(self.plain(), *(o.plain() if type(o) is VaryingText else o for o in others))

    setattr(VaryingText, f"__{name}__", method)


# for C code that compares and searches the items of containers
for _name in ("eq", "ne", "lt", "le", "gt", "ge", "contains", "getitem", "add", "mod"):
    _install(_name, getattr(operator, _name))
for _name, _function in (("len", len), ("iter", iter), ("bool", bool)):
    _install(_name, _function)


def joined(*parts: str) -> str:
    """What an f-string makes of its parts."""
    return "".join(parts)


def percent(template: str, *values: Any) -> str:
    """`template % values`."""
    return template % values


def formatted(template: str, *values: Any) -> str:
    """`template.format(*values)`."""
    return template.format(*values)
