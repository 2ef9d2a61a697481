"""Signatures of ops: from Python call to (operands, attributes).

A definition states its signature as PyTorch's documentation does, for example
`(input: Tensor, dim: dims = None, keepdim: bool = False)`. The annotation of a parameter is its sort, from the
tables: operand sorts (here) become positional operands of the graph node, the rest (`CANONICAL`) keyword attributes
in canonical form.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracegraph.errors import ArgumentError, ValueRangeError
from tracegraph.ir.types import TensorType
from tracegraph.ops.core.arguments import NUMBER_TYPES, TENSOR_TYPES, described, is_number, is_tensor
from tracegraph.ops.core.canonical import CANONICAL

#: sorts that are operands: a tensor; a tensor or a number; either of them or None; a list of tensors; a number that
#: takes part in the arithmetic but has no say in dtype, shape or gradient, and may be a 0-d value in a graph
OPERAND_SORTS = ("Tensor", "Number", "OptionalTensor", "OptionalNumber", "Tensors", "Scalar", "OptionalScalar")


#: operands and canonical attributes
Bound = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True)
class Parameter:
    """One parameter of an op: name, sort, and default (`...` where it must be given)."""

    name: str
    sort: str
    default: object = ...
    keyword_only: bool = False

    @property
    def is_operand(self) -> bool:
        return self.sort in OPERAND_SORTS

    @property
    def is_scalar(self) -> bool:
        return self.sort.endswith("Scalar")

    @property
    def takes_number(self) -> bool:
        return self.sort.endswith(("Number", "Scalar"))


class Signature:
    """The parsed signature of one op; `bind` canonicalises a call."""

    def __init__(self, op: str, text: str) -> None:
        self.op = op
        self.text = text
        self.parameters = tuple(_parse(op, text))
        self._positional = tuple(p for p in self.parameters if not p.keyword_only)
        self._by_name = {p.name: p for p in self.parameters}
        first = self.parameters[0] if self.parameters else None
        self._rank_of = first if first is not None and first.is_operand else None
        #: how many of the operands, the last ones, are scalars
        self.scalars = sum(p.is_scalar for p in self.parameters)
        #: `bind` for well-formed calls, several times faster; a TypeError means: let `bind` explain
        self.bind_fast: Callable[..., Bound] = self._generate_and_bind

    def _generate_and_bind(self, *args: Any, **kwargs: Any) -> Bound:
        """The first call of `bind_fast`: most programs call few of the ops there are."""
        self.bind_fast = _generate(self.op, self.parameters)
        return self.bind_fast(*args, **kwargs)

    def defaults(self) -> dict[str, Any]:
        """Canonical attributes of a call that gives the operands only.

        Raises:
            ArgumentError: an attribute has no default.
        """
        return {p.name: CANONICAL[p.sort](self.op, p.name, p.default, 0) for p in self.parameters if not p.is_operand}

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Bound:
        """Operands and canonical attributes of the call `op(*args, **kwargs)`.

        Raises:
            ArgumentError: too many, missing or unknown arguments, or one of the wrong Python type.
            IndexRangeError: a dimension number out of range.
        """
        given = self._match(args, kwargs)
        operands: list[Any] = []
        attrs: dict[str, Any] = {}
        rank = self._rank(given)
        for p in self.parameters:
            value = given[p.name]
            if p.sort == "Tensors":
                operands.extend(self._tensor_list(p, value))
            elif p.is_operand:
                operands.append(self._operand(p, value))
            else:
                attrs[p.name] = CANONICAL[p.sort](self.op, p.name, value, rank)
        return tuple(operands), attrs

    def check(self, operands: Sequence[Any], attrs: Mapping[str, Any]) -> None:
        """Raise unless `bind` could have given these operands (types for tensors) and attributes.

        Raises:
            ArgumentError, IndexRangeError, DTypeError: the message names the operand or attribute.
        """
        takers = [p for p in self.parameters if p.is_operand]
        spread = next((i for i, p in enumerate(takers) if p.sort == "Tensors"), None)
        if spread is not None:
            takers[spread : spread + 1] = [takers[spread]] * max(len(operands) - len(takers) + 1, 1)
        if len(operands) != len(takers):
            plural = "" if len(takers) == 1 else "s"
            raise ArgumentError(f"{self.op}{self.text} takes {len(takers)} operand{plural}, got {len(operands)}")
        for p, operand in zip(takers, operands, strict=True):
            if not _fits(p, operand):
                raise ArgumentError(f"{self.op}: operand {p.name!r} must be {_EXPECTED[p.sort]}, got {operand}")
        rank = len(operands[0].shape) if operands and isinstance(operands[0], TensorType) else 0
        for name, value in attrs.items():
            attribute = self._by_name.get(name)
            if attribute is None or attribute.is_operand:
                raise ArgumentError(f"{self.op}{self.text} has no attribute {name!r}")
            canonical = CANONICAL[attribute.sort](self.op, name, value, rank)
            if canonical is not value and canonical != value:
                raise ArgumentError(f"{self.op}: {name}={value} is not canonical; graphs have {canonical}")

    def matched(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """What a call gives, by parameter; what fits none keeps its position or name."""
        args = self._collect_varargs(tuple(args))
        names = [p.name for p in self._positional]
        given = {names[i] if i < len(names) else str(i): value for i, value in enumerate(args)}
        return given | {ALIASES.get(n, n) if n not in self._by_name else n: v for n, v in kwargs.items()}

    def _match(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        args = self._collect_varargs(args)
        if len(args) > len(self._positional):
            most = len(self._positional)
            raise ArgumentError(
                f"{self.op}{self.text} takes {most} positional argument{'' if most == 1 else 's'}, got {len(args)}"
            )
        given = {p.name: value for p, value in zip(self._positional, args, strict=False)}
        for name, value in kwargs.items():
            name = ALIASES.get(name, name) if name not in self._by_name else name
            if name not in self._by_name:
                raise ArgumentError(f"{self.op}{self.text} has no argument {name!r}")
            if name in given:
                raise ArgumentError(f"{self.op}{self.text} got two values for argument {name!r}")
            given[name] = value
        for p in self.parameters:
            if p.name not in given:
                if p.default is ...:
                    raise ArgumentError(f"{self.op}{self.text}: argument {p.name!r} is missing")
                given[p.name] = p.default
        return given

    def _collect_varargs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """`x.reshape(2, 3)` means `x.reshape((2, 3))`: a last parameter that takes a list may be spread out."""
        last = len(self._positional) - 1
        if last < 0 or len(args) <= last or self._positional[last].sort not in VARARG_SORTS:
            return args
        tail = args[last:]
        return (*args[:last], tail) if len(tail) > 1 else args

    def _rank(self, given: dict[str, Any]) -> int:
        if self._rank_of is None:
            return 0
        first = given[self._rank_of.name]
        if self._rank_of.sort == "Tensors":
            first = first[0] if isinstance(first, Sequence) and first else None
        return getattr(first, "ndim", 0)

    def _operand(self, p: Parameter, value: Any) -> Any:
        if is_tensor(value) and not p.is_scalar:
            return value
        if value is None and p.sort.startswith("Optional"):
            return None
        if p.takes_number and type(value) not in NUMBER_TYPES and getattr(value, "shape", None) == ():
            return value.item()  # of numpy, also where it is a Python float by inheritance
        if p.takes_number and is_number(value):
            return value
        expected = _EXPECTED[p.sort]
        raise ArgumentError(
            f"{self.op}: argument {p.name!r} must be {expected}, got {described(value)}"
            f"{'; wrap it with tracegraph.tensor(...)' if _could_be_tensor(value) else ''}"
        )

    def _tensor_list(self, p: Parameter, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise ArgumentError(
                f"{self.op}: argument {p.name!r} must be a list or tuple of Tensors, got {described(value)}"
            )
        if not value:
            raise ValueRangeError(f"{self.op}: argument {p.name!r} must hold at least one Tensor, got {value!r}")
        for i, t in enumerate(value):
            if not is_tensor(t):
                raise ArgumentError(f"{self.op}: {p.name}[{i}] must be a Tensor, got {described(t)}")
        return tuple(value)


#: spellings of parameters that numpy and PyTorch users type for the canonical one
ALIASES = {"axis": "dim", "axes": "dims", "keepdims": "keepdim", "self": "input", "x": "input"}


#: what an operand of each sort must be
_EXPECTED = {
    "Tensor": "a Tensor",
    "Number": "a Tensor or a number",
    "OptionalTensor": "a Tensor or None",
    "OptionalNumber": "a Tensor, a number or None",
    "Tensors": "a Tensor",
    "Scalar": "a number",
    "OptionalScalar": "a number or None",
}


def _fits(p: Parameter, operand: object) -> bool:
    """Whether `operand`, a type for a tensor, is of the sort of the operand parameter `p`."""
    if isinstance(operand, TensorType):
        return not p.is_scalar or operand.shape == ()
    return p.sort.startswith("Optional") if operand is None else p.takes_number


def _could_be_tensor(value: object) -> bool:
    return isinstance(value, bool | int | float | list | tuple) or hasattr(value, "__array__")


def _fast_tensor(value: Any) -> Any:
    if is_tensor(value):
        TENSOR_TYPES.add(type(value))
        return value
    raise TypeError


def _fast_scalar(value: Any) -> Any:
    raise TypeError


def _tensors(values: Any) -> Any:
    """A list of tensors; a tensor is none, although it can be iterated over."""
    if values and isinstance(values, list | tuple):
        return values
    raise TypeError


def _spread(first: Any, more: tuple[Any, ...]) -> tuple[Any, ...]:
    """The list that is spread out in `x.reshape(2, 3)`."""
    for value in (first, *more):
        if type(value) is not int:
            raise TypeError
    return (first, *more)


def _generate(op: str, parameters: tuple[Parameter, ...]) -> Callable[..., Any]:
    """A Python function with the op's own parameters that returns (operands, attributes) or raises TypeError."""
    names: dict[str, Any] = {
        "T": TENSOR_TYPES,
        "N": NUMBER_TYPES,
        "tensor": _fast_tensor,
        "scalar": _fast_scalar,
        "tensors": _tensors,
        "spread": _spread,
    }
    last = max((i for i, p in enumerate(parameters) if not p.keyword_only), default=-1)
    header: list[str] = []
    operands: list[str] = []
    attrs: list[str] = []
    starred = False
    rank = "getattr({0}, 'ndim', 0)"
    for i, p in enumerate(parameters):
        if p.keyword_only and not starred:
            header.append("*")
            starred = True
        names[f"d{i}"], names[f"canon{i}"] = p.default, CANONICAL.get(p.sort)
        header.append(p.name if p.default is ... else f"{p.name}=d{i}")
        if p.sort == "Tensors":
            operands.append(f"*[v if type(v) in T else tensor(v) for v in tensors({p.name})]")
            rank = "getattr({0}[0], 'ndim', 0)" if i == 0 else rank
        elif p.is_operand:
            types = [f"type({p.name}) in N"] if p.takes_number else []
            types += [] if p.is_scalar else [f"type({p.name}) in T"]
            types += [f"{p.name} is None"] if p.sort.startswith("Optional") else []
            other = "scalar" if p.is_scalar else "tensor"
            operands.append(f"{p.name} if {' or '.join(reversed(types))} else {other}({p.name})")
        else:
            r = rank.format(parameters[0].name) if parameters[0].is_operand else "0"
            value = p.name
            if i == last and p.sort in VARARG_SORTS:
                header.append("*more")
                starred = True
                value = f"spread({p.name}, more) if more else {p.name}"
            attrs.append(f"{p.name!r}: canon{i}({op!r}, {p.name!r}, {value}, {r})")
    source = f"def bind({', '.join(header)}):\n return ({', '.join(operands)}{',' if operands else ''}), "
    exec(source + "{" + ", ".join(attrs) + "}", names)
    return names["bind"]


#: sorts of a last positional parameter that may be spread out: x.permute(1, 0)
VARARG_SORTS = ("dims", "size", "ints")


def _parse(op: str, text: str) -> list[Parameter]:
    tree = ast.parse(f"def f{text}: ...").body[0]
    assert isinstance(tree, ast.FunctionDef)
    a = tree.args
    defaults: list[ast.expr | None] = [None] * (len(a.args) - len(a.defaults)) + list(a.defaults)
    found = [_parameter(op, arg, default, False) for arg, default in zip(a.args, defaults, strict=True)]
    found += [_parameter(op, arg, default, True) for arg, default in zip(a.kwonlyargs, a.kw_defaults, strict=True)]
    return found


def _parameter(op: str, arg: ast.arg, default: ast.expr | None, keyword_only: bool) -> Parameter:
    sort = arg.annotation.id if isinstance(arg.annotation, ast.Name) else ""
    if sort not in OPERAND_SORTS and sort not in CANONICAL:
        raise ArgumentError(f"op {op}: parameter {arg.arg!r} has unknown sort {sort!r}")
    value = ... if default is None else ast.literal_eval(default)
    return Parameter(arg.arg, sort, value, keyword_only)
