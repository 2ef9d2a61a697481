"""The parser of the loop IR's text form: recursive descent over the grammar of `loop_ir`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import NoReturn, TypeVar

from tracegraph import dtypes
from tracegraph.codegen.loops.loop_index import Index, ValueRef, index, maximum, minimum
from tracegraph.codegen.loops.loop_ir import (
    Acc,
    Apply,
    Buffer,
    Check,
    Failure,
    Fault,
    For,
    If,
    IndexOf,
    Kernel,
    Let,
    Literal,
    Load,
    Local,
    Mark,
    Mode,
    Operand,
    Param,
    Rhs,
    ScalarParam,
    Set,
    SizeParam,
    Stmt,
    Store,
    Update,
)
from tracegraph.dtypes import DType
from tracegraph.errors import DTypeError, IRError, ParseError

T = TypeVar("T")


def parse_kernel(text: str) -> Kernel:
    """The kernel written in `text`.

    Raises:
        ParseError: with line and column of the first token that does not fit the grammar.
    """
    parser = _Parser(text)
    kernel = parser.kernel()
    parser.expect_end()
    return kernel


_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | (?P<number>(?:\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+)|\d+)
      | (?P<value>%[A-Za-z_][A-Za-z0-9_]*)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<string>"(?:[^"\\\n]|\\.)*")
      | (?P<symbol>\.\.|\+=|//|[-+*%(){}\[\],:=])
    """,
    re.VERBOSE,
)
# `//` starts a comment at the start of a line or after two spaces; elsewhere it is floor division
_COMMENT = re.compile(r"(?m)(^[ \t]*|[ \t]{2,})//[^\n]*")


class _Parser:
    """Recursive descent over the tokens of one kernel."""

    def __init__(self, text: str) -> None:
        self.text = _COMMENT.sub(lambda match: " " * len(match.group()), text)
        self.tokens: list[tuple[str, str, int]] = []
        position = 0
        while position < len(self.text):
            match = _TOKEN.match(self.text, position)
            if match is None:
                self.fail(f"unexpected character {self.text[position]!r}", position)
            if match.lastgroup != "space":
                self.tokens.append((str(match.lastgroup), match.group(), position))
            position = match.end()
        self.tokens.append(("end", "end of text", len(self.text)))
        self.at = 0

    # -- tokens

    def fail(self, message: str, position: int | None = None) -> NoReturn:
        position = self.tokens[self.at][2] if position is None else position
        line = self.text.count("\n", 0, position) + 1
        column = position - self.text.rfind("\n", 0, position)
        source = self.text.splitlines()[line - 1] if line <= len(self.text.splitlines()) else ""
        raise ParseError(f"line {line}, column {column}: {message}\n  {source.strip()}")

    def peek(self, text: str) -> bool:
        return self.tokens[self.at][1] == text

    def accept(self, text: str) -> bool:
        if not self.peek(text):
            return False
        self.at += 1
        return True

    def expect(self, text: str) -> None:
        if not self.accept(text):
            self.fail(f"expected {text!r}, found {self.tokens[self.at][1]!r}")

    def expect_end(self) -> None:
        if self.tokens[self.at][0] != "end":
            self.fail(f"expected the end of the text, found {self.tokens[self.at][1]!r}")

    def take(self, kind: str, what: str) -> str:
        found, text, _ = self.tokens[self.at]
        if found != kind:
            self.fail(f"expected {what}, found {text!r}")
        self.at += 1
        return text

    def name(self, what: str) -> str:
        return self.take("name", what)

    def value(self) -> ValueRef:
        return ValueRef(self.take("value", "a value such as %x")[1:])

    def dtype(self) -> DType:
        name = self.name("a dtype")
        try:
            return dtypes.from_name(name)
        except DTypeError as error:
            self.at -= 1
            self.fail(str(error))

    def bracketed(self, item: Callable[[], T]) -> tuple[T, ...]:
        return self.separated("[", item, "]")

    def separated(self, opening: str, item: Callable[[], T], closing: str) -> tuple[T, ...]:
        self.expect(opening)
        items: list[T] = []
        while not self.accept(closing):
            if items:
                self.expect(",")
            items.append(item())
        return tuple(items)

    def build(self, make: Callable[..., T], *args: object) -> T:
        """Construct a node; an invalid field is reported at the current line."""
        try:
            return make(*args)
        except IRError as error:
            self.at -= 1
            self.fail(str(error))

    # -- kernels and parameters

    def kernel(self) -> Kernel:
        self.expect("kernel")
        name = self.name("a kernel name")
        params = self.separated("(", self.param, ")")
        return self.build(Kernel, name, params, self.block())

    def param(self) -> Param:
        keyword = self.name("in, out, inout, size or scalar")
        if keyword == "size":
            return SizeParam(self.name("a size name"))
        if keyword == "scalar":
            name = self.value().name
            self.expect(":")
            return ScalarParam(name, self.dtype())
        if keyword not in {mode.value for mode in Mode}:
            self.at -= 1
            self.fail(f"expected in, out, inout, size or scalar, found {keyword!r}")
        return self.buffer(Mode(keyword))

    def buffer(self, mode: Mode) -> Buffer:
        name = self.name("a buffer name")
        self.expect(":")
        dtype = self.dtype()
        shape = self.bracketed(self.index)
        strides = self.bracketed(self.index) if self.accept("strides") else None
        return self.build(Buffer, name, dtype, shape, mode, strides)

    # -- statements

    def block(self) -> tuple[Stmt, ...]:
        self.expect("{")
        body: list[Stmt] = []
        while not self.accept("}"):
            keyword = self.name("a statement")
            handler = self._STATEMENTS.get(keyword)
            if handler is None:
                self.at -= 1
                self.fail(f"unknown statement {keyword!r}; one of {', '.join(self._STATEMENTS)}")
            body.append(handler(self))
        return tuple(body)

    def stmt_for(self) -> Stmt:
        variable = self.name("a loop variable")
        self.expect("in")
        start = self.index()
        self.expect("..")
        stop = self.index()
        step = int(self.take("number", "the step")) if self.accept("step") else 1
        marks = frozenset(mark for mark in Mark if self.accept(mark.value))
        return self.build(For, variable, start, stop, self.block(), step, marks)

    def stmt_if(self) -> Stmt:
        condition = self.value()
        return If(condition, self.block())

    def stmt_let(self) -> Stmt:
        name, dtype = self.typed_value()
        return self.build(Let, name, dtype, self.rhs())

    def stmt_acc(self) -> Stmt:
        name, dtype = self.typed_value()
        return self.build(Acc, name, dtype, self.operand())

    def stmt_update(self) -> Stmt:
        acc = self.value()
        self.expect("=")
        op = self.name("an operation")
        self.expect("(")
        if self.value() != acc:
            self.at -= 1
            self.fail(f"the first operand of an update must be the accumulator {acc}")
        self.expect(",")
        operand = self.operand()
        self.expect(")")
        return self.build(Update, acc.name, op, operand)

    def stmt_set(self) -> Stmt:
        acc = self.value()
        self.expect("=")
        return Set(acc.name, self.operand())

    def stmt_local(self) -> Stmt:
        return self.build(Local, self.buffer(Mode.INOUT))

    def stmt_store(self) -> Stmt:
        buffer = self.name("a buffer")
        indices = self.bracketed(self.index)
        accumulate = self.accept("+=")
        if not accumulate:
            self.expect("=")
        return Store(buffer, indices, self.operand(), accumulate)

    def stmt_check(self) -> Stmt:
        fault = next((fault for fault in Fault if self.accept(fault.value)), None)
        if fault is None:
            self.fail(f"expected index or value, found {self.tokens[self.at][1]!r}")
        condition = self.value()
        self.expect(",")
        message = json.loads(self.take("string", "a message"))
        return Check(condition, self.build(Failure, fault, message))

    _STATEMENTS: dict[str, Callable[[_Parser], Stmt]] = {
        "for": stmt_for,
        "let": stmt_let,
        "acc": stmt_acc,
        "update": stmt_update,
        "set": stmt_set,
        "local": stmt_local,
        "store": stmt_store,
        "if": stmt_if,
        "check": stmt_check,
    }

    def typed_value(self) -> tuple[str, DType]:
        name = self.value().name
        self.expect(":")
        dtype = self.dtype()
        self.expect("=")
        return name, dtype

    def rhs(self) -> Rhs:
        if self.accept("load"):
            buffer = self.name("a buffer")
            indices = self.bracketed(self.index)
            if not self.accept("where"):
                return Load(buffer, indices)
            mask = self.value()
            self.expect("else")
            return Load(buffer, indices, mask, self.literal())
        if self.accept("index"):
            self.expect("(")
            expression = self.index()
            self.expect(")")
            return IndexOf(expression)
        op = self.name("an operation, load or index")
        return self.build(Apply, op, self.separated("(", self.operand, ")"))

    def operand(self) -> Operand:
        return self.value() if self.tokens[self.at][0] == "value" else self.literal()

    def literal(self) -> Literal:
        sign = -1 if self.accept("-") else 1
        kind, text, _ = self.tokens[self.at]
        if kind == "name" and text in _WORDS:
            self.at += 1
            word = _WORDS[text]
            return Literal(word) if isinstance(word, bool) else Literal(sign * word)
        number = self.take("number", "a value or a literal")
        return Literal(sign * (int(number) if number.isdigit() else float(number)))

    # -- index expressions

    def index(self) -> Index:
        negative = self.accept("-")
        total = self.term()
        total = -total if negative else total
        while True:
            if self.accept("+"):
                total = total + self.term()
            elif self.accept("-"):
                total = total - self.term()
            else:
                return total

    def term(self) -> Index:
        product = self.factor()
        while True:
            if self.accept("*"):
                product = product * self.factor()
            elif self.accept("//"):
                product = self.build(Index.__floordiv__, product, self.factor())
            elif self.accept("%"):
                product = self.build(Index.__mod__, product, self.factor())
            else:
                return product

    def factor(self) -> Index:
        kind, text, _ = self.tokens[self.at]
        if self.accept("("):
            inner = self.index()
            self.expect(")")
            return inner
        if kind == "value":
            return index(self.value())
        if kind == "number" and text.isdigit():
            self.at += 1
            return index(int(text))
        name = self.name("an index expression")
        if name in _EXTREMA and self.peek("("):
            arguments = self.separated("(", self.index, ")")
            if len(arguments) != 2:
                self.fail(f"{name} takes two indices, got {len(arguments)}")
            return _EXTREMA[name](*arguments)
        return index(name)


_WORDS: dict[str, float | bool] = {
    "true": True,
    "false": False,
    "inf": float("inf"),
    "nan": float("nan"),
}
_EXTREMA: dict[str, Callable[..., Index]] = {"min": minimum, "max": maximum}
