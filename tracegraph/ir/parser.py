"""IR text to graphs. Types are inferred again by the builder and compared with the text.

Grammar (comments `// file:line` at the end of a node's line give its location; others are ignored):

    graph    = "graph" NAME "(" [input {"," input}] ")" "{" {node} "return" [operand {"," operand}] "}"
    input    = VALUE ":" type [ROLE]
    node     = [result {"," result} "="] NAME "(" [arg {"," arg}] ")"
    result   = VALUE ":" type
    arg      = operand | NAME "=" attr
    operand  = VALUE | attr
    attr     = NUMBER | STRING | "true" | "false" | "none" | DTYPE | dim | "[" [attr {"," attr}] "]" | graph
    type     = DTYPE "[" [dim {"," dim}] "]"
    dim      = term {("+" | "-") term};  term = ["-"] factor {"*" factor}
    factor   = INTEGER | SYMBOL | ("floordiv" | "mod" | "min" | "max") "(" dim "," dim ")"
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from tracegraph import dtypes
from tracegraph.errors import IRError, TracegraphError
from tracegraph.ir import dim as dims
from tracegraph.ir.builder import Builder
from tracegraph.ir.graph import Graph, Location, Operand, Role, Value
from tracegraph.ir.lexer import Token, syntax_error, tokenize
from tracegraph.ir.op import lookup
from tracegraph.ir.types import TensorType

_ROLES = {role.value: role for role in Role}
_DTYPES = {d.name: d for d in dtypes.ALL}
_LITERALS = {"true": True, "false": False, "none": None, "inf": float("inf"), "nan": float("nan")}


def parse(text: str, constants: Mapping[str, np.ndarray] | None = None) -> Graph:
    """The graph that `text` describes.

    Args:
        constants: arrays of the large constants by digest (see `printer.constant_digest`).

    Raises:
        ParseError: the text breaks the grammar, names an unknown op or value, or states a type that inference
            contradicts. The message shows line, column and the line itself.
    """
    parser = _Parser(text, constants or {})
    graph = parser.graph()
    parser.skip_comments()
    parser.expect("end")
    return graph


def parse_type(text: str) -> TensorType:
    """The type that `text` (`f32[s0, 64]`) describes; ParseError otherwise."""
    parser = _Parser(text, {})
    type = parser.type()
    parser.expect("end")
    return type


class _Parser:
    def __init__(self, text: str, constants: Mapping[str, np.ndarray]) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self.position = 0
        self.constants = constants

    # ------------------------------------------------------------------------------------ token stream

    @property
    def token(self) -> Token:
        return self.tokens[self.position]

    def error(self, message: str, token: Token | None = None) -> Exception:
        at = token or self.token
        return syntax_error(self.text, at.line, at.column, message)

    def accept(self, text: str) -> bool:
        if self.token.text == text and self.token.kind != "string":
            self.position += 1
            return True
        return False

    def expect(self, wanted: str) -> Token:
        """Consume a token of this kind or text."""
        token = self.token
        if wanted not in (token.kind, token.text):
            raise self.error(f"expected {wanted!r}, found {token.text or 'the end'!r}")
        self.position += 1
        return token

    def skip_comments(self) -> None:
        while self.token.kind == "comment":
            self.position += 1

    # ------------------------------------------------------------------------------------ graphs

    def graph(self) -> Graph:
        self.skip_comments()
        self.expect("graph")
        builder = Builder(self.expect("name").text)
        values: dict[str, Value] = {}
        self.expect("(")
        while not self.accept(")"):
            self.input(builder, values)
            if self.token.text != ")":
                self.expect(",")
        self.expect("{")
        self.skip_comments()
        while not self.accept("return"):
            self.node(builder, values)
            self.skip_comments()
        outputs: list[Operand] = []
        while self.token.text != "}" and self.token.kind != "comment":
            outputs.append(self.operand(values))
            if not self.accept(","):
                break
        self.skip_comments()
        self.expect("}")
        return builder.output(*outputs)

    def input(self, builder: Builder, values: dict[str, Value]) -> None:
        name = self.expect("value")
        self.expect(":")
        type = self.type()
        role = None
        if self.token.kind == "name":
            role_token = self.expect("name")
            if role_token.text not in _ROLES:
                raise self.error(f"unknown role; one of {', '.join(_ROLES)}", role_token)
            role = _ROLES[role_token.text]
        self.define(values, name, builder.placeholder(type, name.text[1:], role))

    def define(self, values: dict[str, Value], name: Token, value: Value) -> None:
        if name.text in values:
            raise self.error(f"{name.text} is defined twice", name)
        values[name.text] = value

    def node(self, builder: Builder, values: dict[str, Value]) -> None:
        results: list[tuple[Token, TensorType]] = []
        while self.token.kind == "value":
            name = self.expect("value")
            self.expect(":")
            results.append((name, self.type()))
            if not self.accept(","):
                self.expect("=")
        op = self.expect("name")
        if op.text == "constant" and len(results) == 1:
            produced: tuple[Value, ...] = (self.constant(builder, results[0][1]),)
        else:
            produced = self.call(builder, op, values)
        if len(produced) != len(results):
            raise self.error(f"{op.text} has {len(produced)} results, the text names {len(results)}", op)
        for (name, type), value in zip(results, produced, strict=True):
            if value.type != type:
                raise self.error(f"{name.text} is stated as {type}, inference gives {value.type}", name)
            self.define(values, name, value)

    def call(self, builder: Builder, op: Token, values: dict[str, Value]) -> tuple[Value, ...]:
        self.expect("(")
        operands: list[Operand] = []
        attrs: dict[str, object] = {}
        while not self.accept(")"):
            if self.token.kind == "name" and self.tokens[self.position + 1].text == "=":
                key = self.expect("name").text
                self.expect("=")
                attrs[key] = self.attr()
            else:
                operands.append(self.operand(values))
            if self.token.text != ")":
                self.expect(",")
        builder.location = self.location(op.line)
        try:
            called = lookup(op.text)
            called.check_call([o.type if isinstance(o, Value) else o for o in operands], attrs)
            return builder.call_all(called, *operands, **attrs)
        except (IRError, TracegraphError, TypeError, ValueError) as e:
            raise self.error(_reason(op.text, e), op) from e

    def location(self, line: int) -> Location | None:
        """The `// file:line` comment that ends the current line."""
        token = self.token
        if token.kind != "comment" or token.line < line:
            return None
        file, _, number = token.text[2:].strip().rpartition(":")
        return Location(file, int(number)) if file and number.isdigit() else None

    def constant(self, builder: Builder, type: TensorType) -> Value:
        self.expect("(")
        token = self.token
        if token.kind == "digest":
            self.position += 1
            if token.text[1:] not in self.constants:
                raise self.error(f"constant {token.text} is not among the constants given to parse", token)
            array = self.constants[token.text[1:]]
        else:
            elements = self.attr()
            try:
                array = np.asarray(elements, dtype=type.dtype.np).reshape(type.shape)
            except (TypeError, ValueError, OverflowError) as e:
                raise self.error(f"the elements do not make a constant {type}: {e}", token) from e
        self.expect(")")
        return builder.constant(array)

    # ------------------------------------------------------------------------------------ leaves

    def operand(self, values: dict[str, Value]) -> Operand:
        if self.token.kind == "value":
            token = self.expect("value")
            if token.text not in values:
                raise self.error(f"{token.text} is not defined above", token)
            return values[token.text]
        return self.attr()  # type: ignore[return-value]

    def attr(self) -> object:
        token = self.token
        if token.text == "graph" and token.kind == "name":
            return self.graph()
        if self.accept("["):
            items: list[object] = []
            while not self.accept("]"):
                items.append(self.attr())
                if self.token.text != "]":
                    self.expect(",")
            return tuple(items)
        if token.kind == "string":
            self.position += 1
            return token.text[1:-1].replace("\\n", "\n").replace('\\"', '"').replace("\\\\", "\\")
        if token.text in _LITERALS:
            self.position += 1
            return _LITERALS[token.text]
        if token.text in _DTYPES:
            self.position += 1
            return _DTYPES[token.text]
        negative = token.text == "-" and self.tokens[self.position + 1].kind == "number"
        number = self.tokens[self.position + 1] if negative else token
        if number.kind == "number" and not number.text.lstrip("-").isdigit():
            self.position += 2 if negative else 1
            return -float(number.text) if negative else float(number.text)
        return self.dim()

    def type(self) -> TensorType:
        token = self.expect("name")
        if token.text not in _DTYPES:
            raise self.error(f"unknown dtype; one of {', '.join(_DTYPES)}", token)
        self.expect("[")
        shape: list[dims.Dim] = []
        while not self.accept("]"):
            shape.append(self.dim())
            if self.token.text != "]":
                self.expect(",")
        return TensorType(_DTYPES[token.text], tuple(shape))

    def dim(self) -> dims.Dim:
        total: dims.Dim = self.term()
        while self.token.text in ("+", "-"):
            sign = 1 if self.expect("punct").text == "+" else -1
            total = total + sign * self.term()
        return total

    def term(self) -> dims.Dim:
        sign = -1 if self.accept("-") else 1
        result: dims.Dim = self.factor()
        while self.accept("*"):
            result = result * self.factor()
        return sign * result

    def factor(self) -> dims.Dim:
        token = self.token
        if token.kind == "number" and token.text.isdigit():
            self.position += 1
            return int(token.text)
        if token.kind != "name":
            raise self.error(f"expected a number, a size or a value, found {token.text or 'the end'!r}")
        self.position += 1
        if token.text in dims.FUNCTIONS and self.accept("("):
            a = self.dim()
            self.expect(",")
            b = self.dim()
            self.expect(")")
            return dims.FUNCTIONS[token.text](a, b)
        return dims.sym(token.text)


def _reason(op: str, error: Exception) -> str:
    """Why a call cannot be made; what Python says of attributes that inference asks for in the words of the text."""
    if type(error) is TypeError and "missing" in str(error):
        missing = re.findall(r"'(\w+)'", str(error))
        return f"{op}: the call lacks {', '.join(f'{name}=' for name in missing)}"
    return str(error)
